"""Check the numbers that Winnow publishes from the rows in ../shared/data/across_the_change.

The rows lie on both sides of 2026-08-24. Run this with the interpreter that has Winnow and its tests' packages:
`check_change.py [parquet] [bigquery]`. Without arguments it checks both sources. It collects each source once for each
as-of day, then in three collects into one site, then after an upgrade of the previous release's store and site. It
prints each difference, and then exits with 1.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
from check_data import SYSTEM_FILES, format_like_a_badge, format_share_like_a_badge, run_collect

from winnow_dagster.config.loading import load_settings

CHECKOUT = Path(__file__).resolve().parents[1]
DATA = CHECKOUT.parent / "shared" / "data" / "across_the_change"
EXPECTED: Mapping[str, Any] = json.loads((DATA / "expected.json").read_text())["packages"]
UPGRADE = CHECKOUT / "tests" / "formats" / "upgrade.tar.xz"
AS_OFS = sorted({window.split()[0] for package in EXPECTED.values() for window in package["windows"]})
FIRST = "2026-08-02"
CHANGE = "2026-08-24"
INSERTED_AT_ONCE = 500
BREAKDOWNS = ("python", "version", "country", "libc", "cpu", "file_type")

Source = Mapping[str, object]


class Check:
    """What was compared, and what differs."""

    def __init__(self, breakdowns: Sequence[str] = BREAKDOWNS) -> None:
        self.breakdowns_of_source = breakdowns
        self.compared = 0
        self.wrong: list[str] = []

    def same(self, found: object, wanted: object, where: str) -> None:
        """Compare a value with the expected one."""
        self.compared += 1
        if found != wanted:
            self.wrong.append(f"{where}: {found!r}, not {wanted!r}")

    def holds(self, what: object, where: str) -> None:
        """Check that a condition is true."""
        self.compared += 1
        if not what:
            self.wrong.append(where)

    # What is published as of a day.

    def site(self, public: Path, as_of: str, where: str, *, since: str = "", are_known: bool = True) -> None:
        """Check every number that is expected as of a day, for windows that begin on `since` or later.

        `are_known`: whether all days have breakdowns.
        """
        for name, package in EXPECTED.items():
            record = _json(public / name / "counts.json")
            by_value = _json(public / name / "breakdowns.json").get("windows", {})
            for window, expected in package["windows"].items():
                day, length = window.split()
                if day == as_of and since <= first_day(day, length):
                    place = f"{where}: {name} {length} as of {as_of}"
                    self.window(record.get("windows", {}).get(length.removesuffix("d"), {}), expected, place, day)
                    self.badges(public / name, length, expected, place)
                    self.history(public / name, length, expected, place, day)
                    found = by_value.get(length.removesuffix("d"), {})
                    if are_known or found:
                        self.breakdowns(found, expected, place, day)
                        self.days_of_breakdowns(public / name, length, expected, place, day)
        self.holds(not (public / "tidy").exists(), f"{where}: tidy is published, but the config does not list it")

    def window(self, found: Mapping[str, Any], expected: Mapping[str, Any], place: str, as_of: str) -> None:
        """Check the record of a window."""
        self.same(found.get("as_of"), as_of, place)
        self.same(found.get("raw"), expected["raw"], f"{place} raw")
        for part in ("categories", "by_installer", "by_system"):
            for key, count in expected[part].items():
                self.same(found.get(part, {}).get(key), count, f"{place} {part} {key}")
        self.same(found.get("short_days", []), [], f"{place} short days")

    def badges(self, folder: Path, length: str, expected: Mapping[str, Any], place: str) -> None:
        """Check the badges of a window."""
        honest, installers = expected["categories"]["honest"], expected["by_installer"]
        counts = {"downloads": honest, **{f"installer-{name}": count for name, count in installers.items()}}
        counts["installer-pip-family"] = installers["pip"] + installers["pipenv"] + installers["pipx"]
        counts |= {f"os-{SYSTEM_FILES[system]}": count for system, count in expected["by_system"].items()}
        messages = {slug: format_like_a_badge(count) for slug, count in counts.items()}
        messages["honest-share"] = format_share_like_a_badge(honest, expected["raw"])
        for slug, message in messages.items():
            badge = _json(folder / f"{slug}-{length}-non-ci.json")
            self.same(badge.get("message"), message, f"{place} {slug}")

    def history(self, folder: Path, length: str, expected: Mapping[str, Any], place: str, as_of: str) -> None:
        """Check the sums of a window's days, and that each day counts files."""
        first = first_day(as_of, length)
        days = [d for d in _json(folder / "history.json").get("days", ()) if first <= d["date"] <= as_of]
        self.same(len(days), int(length.removesuffix("d")), f"{place} days in the history")
        self.same(sum(day["raw"] for day in days), expected["raw"], f"{place} raw in the history")
        for category, count in expected["categories"].items():
            found = sum(day["categories"][category] for day in days)
            self.same(found, count, f"{place} {category} in the history")
        self.same({day.get("definition") for day in days}, {"files"}, f"{place} definitions in the history")

    def breakdowns(self, found: Mapping[str, Any], expected: Mapping[str, Any], place: str, as_of: str) -> None:
        """Check the breakdowns of a window, value by value."""
        self.same(found.get("as_of"), as_of, f"{place} breakdowns")
        for name, kind in product(self.breakdowns_of_source, ("honest", "ci")):
            counts, wanted = found.get(name, {}).get(kind, {}), expected[f"{kind}_by"][name]
            self.holds(name in found, f"{place} {name} is not published")
            for value in sorted(wanted.keys() | counts.keys()):
                self.same(counts.get(value), wanted.get(value), f"{place} {name} {value or '(not said)'} {kind}")
            self.same(sum(counts.values()), expected["categories"][kind], f"{place} {name}, the sum of {kind}")

    def days_of_breakdowns(
        self, folder: Path, length: str, expected: Mapping[str, Any], place: str, as_of: str
    ) -> None:
        """Check the sums of a window's days, value by value."""
        first = first_day(as_of, length)
        for name, kind in product(self.breakdowns_of_source, ("honest", "ci")):
            summed: Counter[str] = Counter()
            for line in _csv(folder / f"{name}.csv"):
                if first <= line["date"] <= as_of:
                    summed[line[name]] += int(line[kind])
            wanted = expected[f"{kind}_by"][name]
            for value in sorted(wanted.keys() | summed.keys()):
                spelled = value or "(not said)"
                self.same(summed[value], wanted.get(value, 0), f"{place} {name} {spelled} {kind} in its days")


def _csv(path: Path) -> Iterator[dict[str, str]]:
    if path.exists():
        with path.open(newline="") as file:
            yield from csv.DictReader(file)


def first_day(as_of: str, length: str) -> str:
    """Return the first day of a window, whose length is such as `7d`."""
    return str(date.fromisoformat(as_of) - timedelta(days=int(length.removesuffix("d")) - 1))


def _json(path: Path) -> Mapping[str, Any]:
    try:
        content: Mapping[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    return content


def collect(  # noqa: PLR0913 - what a config may say
    folder: Path,
    source: Source,
    through: str,
    windows: list[object] | None = None,
    *,
    first: str = FIRST,
    breakdowns: Sequence[str] = BREAKDOWNS,
) -> str:
    """Run `winnow collect` in a folder with this config, and return what it prints."""
    names = [package["configured_as"] for package in EXPECTED.values()]
    config = {
        "start_date": first,
        "source": source,
        "defaults": {"breakdowns": list(breakdowns)},
        "packages": [{"name": name, "window_days": windows or [30, 7, 1]} for name in names],
    }
    folder.mkdir(exist_ok=True)
    # A day has no quotes in a config.
    (folder / "winnow.yaml").write_text(json.dumps(config).replace(f'"{first}"', first))
    code, told = run_collect(folder, through)
    return f"exit code {code}\n{told}"


# The sources.


@contextmanager
def parquet(root: Path) -> Iterator[Source]:
    """Yield the files as a source."""
    del root
    yield {"kind": "parquet", "path": str(DATA / "file_downloads" / "*.parquet")}


@contextmanager
def bigquery(root: Path) -> Iterator[Source]:
    """Yield BigQuery's emulator as a source, with all rows in its table."""
    del root
    sys.path.insert(0, str(CHECKOUT))
    from tests import emulator  # noqa: PLC0415 - only this source needs the tests' packages

    with emulator.emulator() as host, emulator.client(host) as client:
        emulator.create_file_downloads(client)
        rows = pl.read_parquet(DATA / "file_downloads" / "*.parquet").with_columns(
            pl.col("timestamp").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
        )
        for part in rows.iter_slices(INSERTED_AT_ONCE):
            emulator.insert_downloads(client, part.to_dicts())
        os.environ["BIGQUERY_EMULATOR_HOST"] = host
        yield {"kind": "bigquery"}
        del os.environ["BIGQUERY_EMULATOR_HOST"]


SOURCES = {"parquet": parquet, "bigquery": bigquery}


# The three ways to collect each source.


def once(check: Check, root: Path, source: Source, name: str) -> None:
    """Collect each as-of day into a site of its own."""
    for as_of in AS_OFS:
        told = collect(root / as_of, source, as_of)
        _explain(check, check.site, told, root / as_of / "public", as_of, f"{name}, one collect")


def in_three(check: Check, root: Path, source: Source, name: str) -> None:
    """Collect all as-of days into one site, in order."""
    for as_of in AS_OFS:
        told = collect(root / "three", source, as_of)
        _explain(check, check.site, told, root / "three" / "public", as_of, f"{name}, three collects")


def upgraded(check: Check, root: Path, source: Source, name: str) -> None:
    """Collect into a store and site that the previous release made."""
    folder, windows, newest = root / "upgraded", [30, 7, 1, "all"], AS_OFS[-1]
    where = f"{name}, upgraded"
    unpack(folder, source, windows)
    before = {package: _days(folder / "public", package) for package in EXPECTED}
    old = {package: _json(folder / "public" / package / "counts.json")["windows"] for package in EXPECTED}
    if source["kind"] == "parquet":
        # Only files of the days since the change, so that Winnow cannot re-read the old days.
        few = root / "few"
        few.mkdir()
        for path in sorted((DATA / "file_downloads").glob("2026-09-*.parquet")):
            shutil.copy(path, few / path.name)
        partly = {**source, "path": str(few / "*.parquet")}
        move_store(folder, partly, windows)
        told = collect(folder, partly, newest, windows)
        _explain(check, held_back, told, check, folder / "public", before, old, f"{where}, old days not read again")
        move_store(folder, source, windows)
    told = collect(folder, source, newest, windows)
    # The previous release stored the newer days without breakdowns.
    _explain(check, partial(check.site, are_known=False), told, folder / "public", newest, where)
    for package in EXPECTED:
        days = _days(folder / "public", package)
        check.same(sorted(before[package].keys() - days.keys()), [], f"{where}: {package}: days that are gone")
        truth = recount(package)
        for day, line in days.items():
            check.same(line["raw"], truth[day], f"{where}: {package} on {day}: raw in the history")
            check.same(line.get("definition"), "files", f"{where}: {package} on {day}: definition")
        every = _json(folder / "public" / package / "counts.json")["windows"]["all"]
        check.same((every.get("first_day"), every.get("as_of")), (FIRST, newest), f"{where}: {package}, all days")
        check.same(every.get("raw"), sum(truth.values()), f"{where}: {package}, all days: raw")


def held_back(check: Check, public: Path, before: Mapping[str, Any], old: Mapping[str, Any], where: str) -> None:
    """Check what is published before the old days are re-read: no window adds up both definitions."""
    for package, expected in EXPECTED.items():
        days, windows = _days(public, package), _json(public / package / "counts.json")["windows"]
        check.same(sorted(before[package].keys() - days.keys()), [], f"{where}: {package}: days that are gone")
        for day, line in days.items():
            wanted = "requests" if day <= CHANGE else "files"
            check.same(line.get("definition"), wanted, f"{where}: {package} on {day}: definition")
            if day in before[package]:
                check.same(line["raw"], before[package][day]["raw"], f"{where}: {package} on {day}: raw")
        for length in ("7", "1"):
            wanted = expected["windows"][f"{AS_OFS[-1]} {length}d"]
            check.window(windows[length], wanted, f"{where}: {package} {length}d", AS_OFS[-1])
        for length in ("30", "all"):
            kept = {key: windows[length].get(key) for key in ("first_day", "as_of", "raw", "honest")}
            published = {key: old[package][length][key] for key in kept}
            check.same(kept, published, f"{where}: {package} {length}: kept as it was published")


def unpack(folder: Path, source: Source, windows: list[object]) -> None:
    """Unpack the previous release's store and site into a folder."""
    folder.mkdir()
    with tarfile.open(UPGRADE) as tar:
        tar.extractall(folder, filter="data")
    (folder / "data").mkdir()
    (folder / "store").rename(folder / "data" / "parquet-before")
    move_store(folder, source, windows)


def move_store(folder: Path, source: Source, windows: list[object]) -> None:
    """Move the store to where a config with this source looks for it."""
    config = {"source": source, "packages": [{"name": "rich", "window_days": windows}]}
    (folder / "winnow.yaml").write_text(json.dumps(config))
    (store,) = (path.parent for path in (folder / "data").glob("*/raw_downloads"))
    store.rename(str(load_settings(folder / "winnow.yaml").store_folder))


def _days(public: Path, package: str) -> dict[str, Any]:
    return {day["date"]: day for day in _json(public / package / "history.json")["days"]}


def recount(package: str) -> Counter[str]:
    """Count the downloads of a package by day: rows whose file has one of the three endings."""
    name, ends = pl.col("file").struct.field("filename"), (".whl", ".tar.gz", ".zip")
    rows = pl.read_parquet(DATA / "file_downloads" / "*.parquet").filter(
        pl.col("project") == package, pl.any_horizontal([name.str.ends_with(end) for end in ends])
    )
    return Counter(str(moment.date()) for moment in rows["timestamp"])


def _explain(check: Check, hold: Callable[..., None], told: str, *given: object) -> None:
    """Run a check; if it fails, add what the collect before it printed."""
    before = len(check.wrong)
    hold(*given)
    if len(check.wrong) > before:
        check.wrong.append(f"  what was collected before: {told.strip()}")


def main() -> None:
    """Check the sources that are named."""
    check = Check()
    for name in sys.argv[1:] or SOURCES:
        with TemporaryDirectory() as temporary, SOURCES[name](Path(temporary)) as source:
            for part in (once, in_three, upgraded):
                before = check.compared, len(check.wrong)
                part(check, Path(temporary), source, name)
                compared, wrong = check.compared - before[0], len(check.wrong) - before[1]
                print(f"{name}, {part.__name__}: {compared} compared, {wrong} wrong", flush=True)
    if check.wrong:
        shown = "\n".join(check.wrong[:60])
        sys.exit(f"{shown}\n{len(check.wrong)} of {check.compared} differ")
    print(f"{check.compared} numbers of both sides of {CHANGE} as expected, from {', '.join(sys.argv[1:] or SOURCES)}")


if __name__ == "__main__":
    main()
