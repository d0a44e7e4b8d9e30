"""The page of options in docs/, from the click commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from winnow_dagster.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator


def tables() -> Iterator[tuple[str, str]]:
    """Yield one text: a heading, the help and a table for each command."""
    context = click.Context(main, info_name="winnow")
    parts = [_describe(name, command, context) for name, command in main.commands.items()]
    yield "options", "\n\n".join(parts)


def _describe(name: str, command: click.Command, parent: click.Context) -> str:
    context = click.Context(command, info_name=name, parent=parent)
    arguments = " ".join(str(p.metavar) for p in command.params if isinstance(p, click.Argument))
    lines = [f"## `winnow {name}{' ' + arguments if arguments else ''}`", "", _help(command), ""]
    lines += ["| option | meaning |", "|---|---|"]
    for option in command.params:
        record = option.get_help_record(context)
        if record and isinstance(option, click.Option):
            names, meaning = (text.replace("|", "\\|") for text in record)
            lines.append(f"| `{names}` | {meaning} |")
    return "\n".join(lines)


def _help(command: click.Command) -> str:
    paragraphs = (command.help or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
