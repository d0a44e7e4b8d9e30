"""What is published of `*`: badges and days of each package, and the shards of names that are their record."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from winnow_dagster.core.badge import SLUGS, BadgeStyle, badges_of
from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.core.definition import Definition
from winnow_dagster.core.names import EVERYTHING
from winnow_dagster.core.shard import Numbers, Shard
from winnow_dagster.core.window import PackageState, Window, WindowCounts, WindowState
from winnow_dagster.site.history import definition_of_day
from winnow_dagster.site.record import to_json
from winnow_dagster.site.svg import draw
from winnow_dagster.site.template import render

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

FOLDER = "_packages"
SUMMARY_NAME = "index.json"
FORMAT = 1
DAYS_FORMAT = 2

HEADLINE = BadgeStyle(slugs=SLUGS[:1])

MAX_DRAWN = 50_000
"""How many packages' badges are kept for others with the same numbers."""


@dataclass
class BadgeRenderer:
    """Draws the badges of packages of one shard after another: those with the same numbers once."""

    look: BadgeStyle
    today: date
    stale_threshold_days: int
    _drawn: dict[Numbers, dict[str, bytes]] = field(default_factory=dict)
    _of: tuple[Window, ...] = ()

    def files(self, shard: Shard, numbers: Numbers) -> dict[str, bytes]:
        """Return the badges of a package with these numbers, by file name: of what was counted."""
        if self._of != shard.windows or len(self._drawn) > MAX_DRAWN:
            self._drawn.clear()
            self._of = shard.windows
        # The headline says nothing but its honest count.
        key = numbers[:: len(shard.columns)] if self.look.slugs == HEADLINE.slugs else numbers
        found = self._drawn.get(key)
        if found is None:
            badges = badges_of(
                shard.state(numbers), self.look, today=self.today, stale_threshold_days=self.stale_threshold_days
            )
            found = self._drawn[key] = {}
            for badge in badges:
                if badge.slug in self.look.slugs and shard.knows(numbers, badge.days, badge.slug):
                    found |= {badge.file_name: to_json(badge.payload), badge.picture_name: draw(badge.payload)}
        return found


def format_shard(shard: Shard) -> bytes:
    """Return a shard's file: one line a package."""
    head = {
        "format": FORMAT,
        "source": shard.source,
        "columns": list(shard.columns),
        "windows": [
            {"days": days, "first_day": str(window.first_day), "as_of": str(window.as_of)}
            for days, window in zip(shard.lengths, shard.windows, strict=True)
        ],
    }
    # Names are lower case letters, digits and '-': nothing to escape, and none of them is None.
    lines = ",\n".join([f' "{name}":{list(numbers)}'.replace(", ", ",") for name, numbers in shard.packages.items()])
    lines = lines.replace("None", "null")
    return f'{json.dumps(head)[:-1]}, "packages": {{\n{lines}\n}}}}\n'.encode()


def parse_shard(content: bytes | None) -> Shard | None:
    """Return what a shard's file says; None of one that is not there, damaged, or of another format."""
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
class PackageDays:
    """The days of a package, and those of them that a former release counted by another definition (R9)."""

    text: str
    """The honest and raw downloads of each day, as the members of a JSON object."""
    requests: Sequence[str] = ()


def format_days(source: str, package: str, days: PackageDays) -> bytes:
    """Return a package's `history.json`: its days with downloads, honest and raw, within the longest window."""
    head = f'"format": {DAYS_FORMAT}, "package": "{package}", "source": "{source}", "definition": "{Definition.FILES}"'
    exceptions = ", ".join(f'"{day}": "{Definition.REQUESTS}"' for day in days.requests)
    others = f', "definitions": {{{exceptions}}}' if exceptions else ""
    return f'{{{head}{others}, "days": {{{days.text}}}}}\n'.encode()


def merge_days(
    computed: str, published: bytes | None, counted: Sequence[Window], shown: Sequence[Window]
) -> PackageDays:
    """Return the days of a package as they are to be published: no day that is published is taken back (R5).

    `computed` are the days of the windows that were `counted`; of the others that are `shown`, what is published stays.
    """
    try:
        history = json.loads(published or b"{}")
        before = {day: (honest, raw) for day, (honest, raw) in history.get("days", {}).items()}
        requests = {day for day in before if definition_of_day(history, day) is Definition.REQUESTS}
    except (ValueError, TypeError, AttributeError):
        before, requests = {}, set()
    kept = {day: f"[{honest},{raw}]" for day, (honest, raw) in before.items() if not _is_in(day, counted)}
    found = {d: f"[{honest},{raw}]" for d, (honest, raw) in json.loads(f"{{{computed}}}").items()}
    days = sorted(d for d in {**kept, **found} if _is_in(d, shown))
    text = ",".join(f'"{d}":{found.get(d) or kept[d]}' for d in days)
    return PackageDays(text, [day for day in days if day not in found and day in requests])


def _is_in(day: str, windows: Sequence[Window]) -> bool:
    return any(str(window.first_day) <= day <= str(window.as_of) for window in windows)


@dataclass(frozen=True)
class Summary:
    """What is published of `*`: how many packages each shard has, of when, and whether their badges say so."""

    source: str
    windows: Mapping[str, str]
    """By a window's length in days, the headline's first, the newest day of any shard."""

    former: Mapping[str, str]
    """The same of windows that were published and are no longer configured."""

    stale: frozenset[str]
    """The windows of either kind whose badges say of which day they are."""

    shards: Mapping[str, int]
    look: BadgeStyle = HEADLINE
    """How the badges were drawn that are published."""

    short_days: tuple[str, ...] = ()
    """Short days, which Winnow counts as they are."""

    @property
    def as_of(self) -> dict[str, str]:
        """The newest day of each window, configured or not."""
        return {**self.windows, **self.former}

    def without(self, lengths: Collection[int], slugs: Sequence[str]) -> Summary:
        """Return this without the windows of these lengths, and with these badges only."""
        kept = {days for days in self.as_of if int(days) not in lengths}
        return replace(
            self,
            windows={days: day for days, day in self.windows.items() if days in kept},
            former={days: day for days, day in self.former.items() if days in kept},
            stale=self.stale & kept,
            look=replace(self.look, slugs=tuple(slugs)),
        )

    def state(self) -> PackageState:
        """Return of when it is, as of a package."""
        found = {int(days): date.fromisoformat(as_of) for days, as_of in self.windows.items()}
        windows = [WindowState(d, WindowCounts(Window(d, as_of), {}), d) for d, as_of in found.items()]
        return PackageState(str(EVERYTHING), self.source, tuple(windows))

    @property
    def packages(self) -> int:
        """How many packages there are."""
        return sum(self.shards.values())


def format_summary(summary: Summary) -> bytes:
    """Return the file that lists the shards."""
    return to_json(
        {
            "format": FORMAT,
            "source": summary.source,
            "packages": summary.packages,
            "as_of": dict(summary.windows),
            "former": dict(summary.former),
            "stale": sorted(summary.stale),
            **({"short_days": list(summary.short_days)} if summary.short_days else {}),
            "look": {
                "slugs": list(summary.look.slugs),
                "labels": dict(summary.look.labels),
                "colors": [list(color) for color in summary.look.colors],
                "extras": dict(summary.look.extras),
            },
            "shards": dict(summary.shards),
        }
    )


def format_page(summary: Summary, stale_threshold_days: int, dataset: str) -> bytes:
    """Return the page that finds any package by its name. `dataset`: the public dataset behind the source, or empty."""
    days, as_of = next(iter(summary.as_of.items()))
    return render(
        "everything.html",
        "../",
        sample=summary.source == "sample",
        dataset=dataset,
        packages=summary.packages,
        days=days,
        as_of=as_of,
        short_days=summary.short_days,
        stale_threshold_days=stale_threshold_days,
    )


def parse_summary(content: bytes | None) -> Summary | None:
    """Return what that file says; None where there is none, or none of ours."""
    try:
        fields = json.loads(content or b"{}")
        if fields["format"] != FORMAT:
            return None
        # The first Winnow that had `*` said neither of these, and of `stale` only whether.
        look, stale = fields.get("look"), fields["stale"]
        return Summary(
            fields["source"],
            fields["as_of"],
            fields.get("former", {}),
            frozenset(stale if isinstance(stale, list) else ()),
            fields["shards"],
            _parse_look(look) if look else HEADLINE,
            tuple(fields.get("short_days", ())),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _parse_look(fields: Mapping[str, Any]) -> BadgeStyle:
    colors = tuple((least, color) for least, color in fields["colors"])
    return BadgeStyle(tuple(fields["slugs"]), fields["labels"], colors, fields["extras"])
