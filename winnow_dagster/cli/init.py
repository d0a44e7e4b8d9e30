"""`winnow init`."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from winnow_dagster.cli.errors import UNUSABLE, Failure
from winnow_dagster.config.loading import CONFIG_NAME, ConfigError, parse_settings
from winnow_dagster.config.starter import Starter
from winnow_dagster.core.names import Selector
from winnow_dagster.fields import MAX_WINDOW_DAYS
from winnow_dagster.github_pages import WORKFLOW_PATH, read_workflow
from winnow_dagster.sources.kinds import KIND_OF_NEW_CONFIGS, KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@click.command("init")
@click.argument("packages", nargs=-1, metavar="[PACKAGE ...]")
@click.option(
    "--config",
    "config_path",
    metavar="PATH",
    type=click.Path(path_type=Path),
    default=CONFIG_NAME,
    show_default=True,
    help="The file to write.",
)
@click.option("--source", "kind", type=click.Choice(sorted(KINDS)), help=f"[default: {KIND_OF_NEW_CONFIGS}]")
@click.option("--credential-file", metavar="PATH", help="The key of a Google service account, for --source bigquery.")
@click.option("--path", metavar="PATH", help="A file, folder or glob, for --source parquet.")
@click.option("--days", type=click.IntRange(1, MAX_WINDOW_DAYS), default=30, show_default=True, help="The window.")
@click.option("--base-url", default="", metavar="URL", help="The web address at which the badges will be.")
@click.option(
    "--github-pages", is_flag=True, help=f"Also write {WORKFLOW_PATH}, which collects and publishes every day."
)
def init_command(  # noqa: PLR0913, PLR0917 - an option each
    packages: tuple[str, ...],
    config_path: Path,
    kind: str | None,
    credential_file: str | None,
    path: str | None,
    days: int,
    base_url: str,
    *,
    github_pages: bool,
) -> None:
    """Write a commented winnow.yaml for these packages.

    Without packages, it asks for them, the source and the web address on a terminal. It never overwrites a file.
    """
    if github_pages and Path(os.path.normpath(config_path.absolute())) != Path.cwd() / CONFIG_NAME:
        # GitHub runs only workflows in .github/ of the repository, and this one reads the config beside it.
        fix = "Change to the folder of your repository, and leave out --config"
        raise Failure(f"--config: the workflow of --github-pages reads ./{CONFIG_NAME} only. {fix}", UNUSABLE)
    if github_pages and config_path.exists() and not packages:
        # The workflow is for the config that is there.
        _write({Path(WORKFLOW_PATH): read_workflow()})
        _say_next(config_path, is_new=False, github_pages=True)
        return
    _refuse_existing(config_path, _how_to_keep(config_path, github_pages=github_pages))
    asks = not packages and sys.stdin is not None and sys.stdin.isatty()
    if not packages and not asks:
        raise Failure("no package is named. Write `winnow init PACKAGE ...`", UNUSABLE)
    names = _ask_for_packages() if asks else _valid(packages)
    kind = kind or (_ask_for_kind() if asks else KIND_OF_NEW_CONFIGS)
    keys = _source_keys(kind, {"credential_file": credential_file, "path": path}, asks=asks)
    if asks and not base_url:
        base_url = click.prompt("Web address of the badges (empty: not known yet)", default="", show_default=False)
    text = Starter(names, kind, days, base_url, keys).format()
    try:
        parse_settings(text, config_path)
    except ConfigError as error:
        raise Failure(str(error), UNUSABLE) from None
    files = {config_path: text}
    if github_pages:
        files[Path(WORKFLOW_PATH)] = read_workflow()
    _write(files)
    _say_next(config_path, is_new=True, github_pages=github_pages)


def _valid(packages: Sequence[str]) -> list[str]:
    """Return the names without repetitions, or exit if one is neither a name nor a prefix."""
    found: dict[Selector, str] = {}
    for package in packages:
        try:
            found.setdefault(Selector.parse(package), package)
        except ValueError as error:
            raise Failure(str(error), UNUSABLE) from None
    return list(found.values())


def _ask_for_packages() -> list[str]:
    def parse(text: str) -> list[str]:
        try:
            names = _valid(text.replace(",", " ").split())
        except Failure as error:
            raise click.BadParameter(error.message) from None
        if not names:
            raise click.BadParameter("name at least one")
        return names

    names: list[str] = click.prompt("Packages (names on PyPI, with spaces between)", value_proc=parse)
    return names


def _ask_for_kind() -> str:
    click.echo("Where the numbers come from:")
    for kind in sorted(KINDS.values(), key=lambda kind: kind.name != KIND_OF_NEW_CONFIGS):
        click.echo(f"  {kind.name:<12}{kind.summary}")
    choice = click.Choice(sorted(KINDS))
    chosen: str = click.prompt("Source", default=KIND_OF_NEW_CONFIGS, type=choice, show_choices=False)
    return chosen


def _source_keys(kind: str, given: Mapping[str, str | None], *, asks: bool) -> dict[str, str]:
    """Return the given keys of `source:`. Exit if one has no use with this kind, or ask for one that it needs."""
    section = KINDS[kind].section
    keys = {key: value for key, value in given.items() if value}
    for key in keys.keys() - section.model_fields.keys():
        raise Failure(f"--{key.replace('_', '-')}: has no use with --source {kind}. Leave it out", UNUSABLE)
    for key, fix in section.required.items():
        if key not in keys and asks:
            keys[key] = click.prompt(f"{fix.rstrip('.')}\n{key}")
        elif key not in keys:
            raise Failure(f"--{key.replace('_', '-')}: missing. {fix}", UNUSABLE)
    return keys


def _how_to_keep(config_path: Path, *, github_pages: bool) -> str:
    """Return what to do if the config is there already."""
    if github_pages and config_path.is_file():
        return "Name no package to write the workflow for it: `winnow init --github-pages`"
    return "Edit it, or name another file with --config"


def _refuse_existing(path: Path, fix: str) -> None:
    if path.exists() or path.is_symlink():
        raise Failure(f"{path}: is there already, and stays as it is. {fix}", UNUSABLE)


def _write(files: Mapping[Path, str]) -> None:
    """Create these files, or none of them."""
    for path in files:
        _refuse_existing(path, "To write it again, remove it first")
    written: list[Path] = []
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(text)
        except OSError as error:
            for each in written:
                each.unlink(missing_ok=True)
            raise Failure(f"{path}: cannot be written: {error.strerror}", UNUSABLE) from None
    for path in files:
        click.echo(f"wrote {path}")


def _say_next(config_path: Path, *, is_new: bool, github_pages: bool) -> None:
    option = "" if config_path == Path(CONFIG_NAME) else f" --config {shlex.quote(str(config_path))}"
    click.echo("\nNext:")
    steps = list(_steps(option)) if is_new else []
    if github_pages:
        steps += [
            ("gh variable set WINNOW_REQUIREMENT", "what pip installs: see deploy/github-pages/README.md of Winnow"),
            (f"git add {CONFIG_NAME} {WORKFLOW_PATH}", "then commit and push"),
            ("Settings, Pages, Source: GitHub Actions", "in your repository, on GitHub"),
            (f"gh workflow run {Path(WORKFLOW_PATH).name}", "collects and publishes for the first time"),
        ]
    width = max(len(command) for command, _ in steps)
    for command, why in steps:
        click.echo(f"  {command:<{width}}  {why}")


def _steps(option: str) -> Iterator[tuple[str, str]]:
    yield f"winnow doctor{option}", "says whether everything is ready"
    yield f"winnow collect{option}", "reads the days and publishes the badges"
    yield f"winnow serve{option} --open", "shows them in your browser"
