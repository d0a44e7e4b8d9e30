"""The shared files of the packages that only `*` selects: shards, and their summary."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from winnow_dagster.core.badge import SLUGS, BadgeStyle, is_stale
from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.core.names import EVERYTHING
from winnow_dagster.core.shard import Shard
from winnow_dagster.core.window import PackageState, Window, WindowCounts, WindowState
from winnow_dagster.site.record import to_json

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

SHARDS_FOLDER = "_packages"
"""The folder of the shards, in the web directory."""

SUMMARY_NAME = "index.json"
FORMAT = 1

HEADLINE_STYLE = BadgeStyle(slugs=SLUGS[:1])


def format_shard(shard: Shard) -> bytes:
    """Return a shard's file, with one line for each package."""
    head = {
        "format": FORMAT,
        "source": shard.source,
        "columns": list(shard.columns),
        "windows": [
            {"days": days, "first_day": str(window.first_day), "as_of": str(window.as_of)}
            for days, window in zip(shard.lengths, shard.windows, strict=True)
        ],
    }
    # Names are lower-case letters, digits and '-', so none needs an escape, and none contains `None`.
    lines = ",\n".join([f' "{name}":{list(numbers)}'.replace(", ", ",") for name, numbers in shard.packages.items()])
    lines = lines.replace("None", "null")
    return f'{json.dumps(head)[:-1]}, "packages": {{\n{lines}\n}}}}\n'.encode()


def parse_shard(content: bytes | None) -> Shard | None:
    """Return the shard in a file; None if the file is missing, damaged or of another format."""
    try:
        fields = json.loads(content or b"{}")
        if fields["format"] != FORMAT:
            return None
        windows = [
            (w["days"], date.fromisoformat(w["first_day"]), date.fromisoformat(w["as_of"])) for w in fields["windows"]
        ]
        return Shard(
            fields["source"],
            tuple(fields["columns"]),
            tuple(Window((as_of - first) // ONE_DAY + 1, as_of) for _, first, as_of in windows),
            tuple(days for days, _, _ in windows),
            {name: tuple(numbers) for name, numbers in fields["packages"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


@dataclass(frozen=True)
class Summary:
    """The summary of the published `*`: the shards, the newest day of each window, and the style."""

    source: str
    as_of: Mapping[int, date]
    """The newest day of each window over all shards, by its length in days, the headline's first."""

    configured: Collection[int]
    """The lengths of the configured windows. Other windows are published but no longer configured."""

    shards: Mapping[str, int]
    """The number of packages of each shard."""

    stale: frozenset[int] = frozenset()
    """The windows whose badges name their day because they are stale."""

    style: BadgeStyle = HEADLINE_STYLE
    """The style of the published badges."""

    short_days: tuple[str, ...] = ()
    """Short days that Winnow counts as they are."""

    @property
    def packages(self) -> int:
        """The number of packages."""
        return sum(self.shards.values())

    @property
    def windows(self) -> dict[str, str]:
        """The newest day of each configured window."""
        return {str(days): str(as_of) for days, as_of in self.as_of.items() if days in self.configured}

    def aged(self, today: date, stale_threshold_days: int) -> Summary:
        """Return the summary with the windows that are stale on `today`."""
        stale = frozenset(d for d, as_of in self.as_of.items() if is_stale(as_of, today, stale_threshold_days))
        return replace(self, stale=stale)

    def without(self, lengths: Collection[int], slugs: Sequence[str]) -> Summary:
        """Return the summary without the windows of these lengths, and with these kinds of badges only."""
        as_of = {days: as_of for days, as_of in self.as_of.items() if days not in lengths}
        style = replace(self.style, slugs=tuple(slugs))
        return replace(self, as_of=as_of, stale=self.stale - set(lengths), style=style)

    def state(self) -> PackageState:
        """Return the windows as a package without numbers, for a check of their age."""
        found = [(d, as_of) for d, as_of in self.as_of.items() if d in self.configured]
        windows = [WindowState(d, WindowCounts(Window(d, as_of), {}), d) for d, as_of in found]
        return PackageState(str(EVERYTHING), self.source, tuple(windows))


def format_summary(summary: Summary) -> bytes:
    """Return the summary's file."""
    return to_json(
        {
            "format": FORMAT,
            "source": summary.source,
            "packages": summary.packages,
            "as_of": summary.windows,
            "former": {str(d): str(as_of) for d, as_of in summary.as_of.items() if d not in summary.configured},
            "stale": sorted(map(str, summary.stale)),
            **({"short_days": list(summary.short_days)} if summary.short_days else {}),
            "look": {
                "slugs": list(summary.style.slugs),
                "labels": dict(summary.style.labels),
                "colors": [list(color) for color in summary.style.colors],
                "part_colors": [list(color) for color in summary.style.part_colors],
                "extras": dict(summary.style.extras),
            },
            "shards": dict(summary.shards),
        }
    )


def parse_summary(content: bytes | None) -> Summary | None:
    """Return the summary in a file; None if the file is missing, damaged or of another format."""
    try:
        fields = json.loads(content or b"{}")
        if fields["format"] != FORMAT:
            return None
        # The first release with `*` had neither `former` nor `look`, and `stale` was true or false.
        as_of, style, stale = {**fields["as_of"], **fields.get("former", {})}, fields.get("look"), fields["stale"]
        return Summary(
            fields["source"],
            {int(days): date.fromisoformat(day) for days, day in as_of.items()},
            frozenset(map(int, fields["as_of"])),
            fields["shards"],
            frozenset(map(int, stale if isinstance(stale, list) else ())),
            _parse_style(style) if style else HEADLINE_STYLE,
            tuple(fields.get("short_days", ())),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _parse_style(fields: Mapping[str, Any]) -> BadgeStyle:
    # Before 0.2.0, parts had the headline's colours.
    colors, part_colors = (
        tuple((least, color) for least, color in fields.get(key, fields["colors"])) for key in ("colors", "part_colors")
    )
    return BadgeStyle(tuple(fields["slugs"]), fields["labels"], colors, part_colors, fields["extras"])
