"""The first winnow.yaml of a user, with comments. Reads and writes no file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.core.definition import LAST_MIXED_DAY
from winnow_dagster.core.dimensions import PYTHON, VERSION
from winnow_dagster.fields import CI_KNOWN_SINCE
from winnow_dagster.sources.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LABEL = "installs ({days}d)"
BREAKDOWNS = (PYTHON.name, VERSION.name)
WIDTH = 42
"""The column of the comments."""


@dataclass(frozen=True)
class Starter:
    """The answers of a user."""

    packages: Sequence[str]
    kind: str
    window_days: int = 30
    base_url: str = ""
    source_keys: Mapping[str, str] | None = None
    """Further keys of `source:`, such as the path of a key file."""

    def format(self) -> str:
        """Return the text of the config."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        kind = KINDS[self.kind]
        # Files may be old. A service would only do more work for days by PyPI's former definition.
        first_day = CI_KNOWN_SINCE if "path" in kind.section.required else kind.first_day or LAST_MIXED_DAY + ONE_DAY
        yield "# What Winnow counts and publishes. `winnow check` validates it; docs/configuration.md has every key."
        yield "service:"
        yield _line("  output_dir: public", "a web server serves this folder")
        yield _line("  data_dir: data", "Winnow stores the days that it has read here")
        url = f"base_url: {_scalar(self.base_url)}" if self.base_url else "# base_url: https://badges.example.com"
        yield _line(f"  {url}", "the web address of output_dir, for snippets to copy")
        yield ""
        yield "source:"
        yield _line(f"  kind: {self.kind}", kind.summary)
        for key, value in (self.source_keys or {}).items():
            yield f"  {key}: {_scalar(value)}"
        yield ""
        yield _line(f"start_date: {first_day}", "Winnow reads no earlier day")
        yield ""
        yield _line("defaults:", "for each package without its own")
        yield _line(
            f"  window_days: {self.window_days}", "a number or a list, such as [7, 30, all]; the first is the headline"
        )
        yield _line(f"  label: {LABEL}", "the text on the left of the badge")
        cost = "they cost half as much again" if kind.costs else "for the page and `winnow show --by python`"
        yield _line(f"  breakdowns: [{', '.join(BREAKDOWNS)}]", f"{cost}; [] turns them off")
        yield ""
        yield _line("packages:", "name-* is every package whose name starts with name-")
        for package in self.packages:
            yield f"  - name: {_scalar(package)}"


def _line(text: str, comment: str) -> str:
    return f"{text:<{WIDTH}}# {comment}" if len(text) < WIDTH - 1 else f"{text}  # {comment}"


def _scalar(text: str) -> str:
    """Return a text as YAML, in quotes if it would otherwise be a number, an alias or the like."""
    return yaml.safe_dump(text, width=10_000, allow_unicode=True).removesuffix("...\n").strip()
