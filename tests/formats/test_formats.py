"""Formats outlive releases: today's code reads what each release wrote, and what an old format lacks is unknown."""

from __future__ import annotations

import csv
import io
import json
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import FixedClock, MakeHouse, on_disk
from winnow_dagster.core.badge import badges_of, may_replace
from winnow_dagster.core.days import Package
from winnow_dagster.core.dimensions import INSTALLER, SYSTEM
from winnow_dagster.core.history import NUMBERS, Day, History
from winnow_dagster.core.names import Selector
from winnow_dagster.core.window import PackageState
from winnow_dagster.site.all_packages import parse_shard, parse_summary
from winnow_dagster.site.chart import plot, share_bar
from winnow_dagster.site.history import format_csv, format_json, parse_json
from winnow_dagster.site.page import format_page
from winnow_dagster.site.record import format_record, parse_record
from winnow_dagster.site.site import SiteConfig
from winnow_dagster.site.spark import sparkline
from winnow_dagster.store.days import DayStore, honest_store
from winnow_dagster.store.ledger import Ledger
from winnow_dagster.store.raw import RawStore

HERE = Path(__file__).parent
RELEASES = sorted(path.name for path in HERE.iterdir() if (path / "data").is_dir())
DAYS = [date(2026, 8, 23), date(2026, 8, 24), date(2026, 8, 25)]
DEMO = Selector("demo")
OF_ALL = ["f95e9c4", "50600c2"]
"""The releases in which `*` published `demo-tool`."""

A_DAY = {
    "raw": 16, "honest": 8, "ci": 3, "mirror": 1, "browser": 1, "script": 1, "unknown": 1, "other": 1,
    "pip": 5, "pipenv": 0, "pipx": 0, "uv": 2, "poetry": 1, "pdm": 0,
    "linux": 5, "macos": 2, "windows": 0, "other_system": 1,
}  # fmt: skip
"""What each day of `demo` has."""


def files(pattern: str) -> list[Any]:
    """Return the files of each release that match, as parameters."""
    return [pytest.param(path, id=str(path.relative_to(HERE))) for path in sorted(HERE.glob(pattern))]


@pytest.fixture(params=RELEASES)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of what a release wrote."""
    return Path(shutil.copytree(HERE / request.param, tmp_path / "old"))


@pytest.mark.parametrize("open_store", [RawStore, honest_store])
def test_each_day_file_is_read_with_all_it_has_and_none_is_set_aside(old: Path, open_store: Any) -> None:
    store: DayStore = open_store(old / "data")
    store.clean_up()
    assert store.damaged() == {}
    assert store.stored_days() == DAYS
    for day in DAYS:
        coverage = store.coverage(day)
        assert coverage is not None
        assert coverage.holds(DEMO)
        assert coverage.holds(Selector("demo-tool"))
        rows = store.load([day]).counts.collect().iter_rows(named=True)
        found = [(row["package"], row["installer"], row["system"], row["downloads"]) for row in rows]
        assert {("demo", "uv", "Darwin", 2), ("demo", None, None, 1), ("demo-tool", "uv", "Windows", 1)} <= set(found)
        assert sum(downloads for *_, downloads in found) == 17


@pytest.mark.parametrize("open_store", [RawStore, honest_store])
def test_a_damaged_day_file_of_an_older_format_is_noticed(old: Path, open_store: Any) -> None:
    path = on_disk(open_store(old / "data").path(DAYS[0]))
    content = path.read_bytes()
    path.write_bytes(content[:60] + content[70:])
    store: DayStore = open_store(old / "data")
    assert store.coverage(DAYS[0]) is None
    assert list(store.damaged()) == [str(path)]


def test_a_day_file_that_another_reading_is_added_to_keeps_its_counts(old: Path) -> None:
    store = RawStore(old / "data")
    coverage = store.coverage(DAYS[-1])
    assert coverage is not None
    before = store.load([DAYS[-1]]).counts.collect()
    store.write(DAYS[-1], before, coverage)
    again = RawStore(old / "data")
    assert again.coverage(DAYS[-1]) == coverage
    assert again.load([DAYS[-1]]).counts.collect().equals(before)


@pytest.mark.parametrize("path", files("*/public/demo/counts.json"))
def test_each_record_is_read_with_its_numbers(path: Path) -> None:
    state = parse_record(path.read_bytes())
    assert state is not None
    for days, window in zip((3, 1), state.windows, strict=True):
        counts = window.counts
        assert counts is not None
        assert (window.days, counts.window.as_of, window.covered_days) == (days, DAYS[-1], days)
        assert (counts.raw, counts.honest, counts.sum(("pip", "pipx"))) == (16 * days, 8 * days, 5 * days)
        assert counts.by(SYSTEM) == {"Linux": 5 * days, "Darwin": 2 * days, "Windows": 0}
        assert sum(filter(None, counts.by(INSTALLER).values())) == 8 * days


def test_installers_that_a_record_did_not_list_yet_are_unknown() -> None:
    state = parse_record((HERE / "b666b88" / "public" / "demo" / "counts.json").read_bytes())
    assert state is not None
    assert [w.counts.unlisted for w in state.windows if w.counts] == [None, None]
    windows = json.loads(format_record(state))["windows"]
    assert windows["3"]["unlisted_installers"] is None


def without(part: str, name: str) -> PackageState:
    """Return a record by a release that did not know of a name yet."""
    fields = json.loads((HERE / "50600c2" / "public" / "demo" / "counts.json").read_bytes())
    for window in fields["windows"].values():
        del window[part][name]
    state = parse_record(json.dumps(fields).encode())
    assert state is not None
    return state


def page(state: PackageState, history: History) -> str:
    site = SiteConfig(base_url="", stale_threshold_days=3, styles={})
    return format_page(Package(state, history), site.badges(state, DAYS[-1]), site, DAYS[-1]).decode()


@pytest.mark.parametrize(
    ("part", "name", "unknown"),
    [
        ("by_installer", "poetry", {"installer-poetry"}),
        ("by_installer", "pipx", {"installer-pipx", "installer-pip-family"}),
        ("by_system", "Darwin", {"os-macos"}),
        ("categories", "other", set()),
    ],
)
def test_what_a_record_lacks_is_null_and_a_dash_and_replaces_no_badge(part: str, name: str, unknown: set[str]) -> None:
    state = without(part, name)
    (window, *_) = json.loads(format_record(state))["windows"].values()
    assert window[part][name] is None
    assert parse_record(format_record(state)) == state
    text = page(state, parse_json(None))
    assert '<td class="n">–</td><td class="n"></td>' in text  # noqa: RUF001
    assert state.headline.counts
    assert share_bar(state.headline.counts)
    for each in badges_of(state, today=DAYS[-1], stale_threshold_days=3):
        if each.slug in unknown:
            assert (each.payload["message"], each.payload["color"]) == ("–", "lightgrey")  # noqa: RUF001
            assert not may_replace({"label": "poetry (3d)", "message": "0"}, each.payload)
            assert may_replace(each.payload, {"label": "poetry (3d)", "message": "0"})
        else:
            assert each.payload["message"] != "–"  # noqa: RUF001


@pytest.mark.parametrize("path", files("*/public/demo/history.json"))
def test_each_history_is_read_with_all_its_days_and_numbers(path: Path) -> None:
    days = parse_json(path.read_bytes()).days
    assert [day.date for day in days] == DAYS
    assert [day.provisional for day in days] == [False] * 3
    assert [day.by_name() for day in days] == [A_DAY] * 3


@pytest.mark.parametrize("release", OF_ALL)
def test_the_days_of_a_package_that_all_of_pypi_published_are_read_with_what_they_have(release: str) -> None:
    history = parse_json((HERE / release / "public" / "demo-tool" / "history.json").read_bytes())
    assert [(day.date, day.provisional) for day in history.days] == [(day, None) for day in DAYS]
    for day in history.days:
        assert {name: n for name, n in day.by_name().items() if n is not None} == {"raw": 1, "honest": 1}


@pytest.mark.parametrize("path", files("*/public/demo/history.csv"))
def test_the_columns_of_each_csv_are_still_there_in_their_order(path: Path) -> None:
    old, new = (
        path.read_text().splitlines(),
        format_csv("parquet", parse_json(path.with_suffix(".json").read_bytes())).decode(),
    )
    for was, line in zip(old, new.splitlines(), strict=True):
        assert line.startswith(was)


def lacking(*keys: str) -> History:
    """Return the history of `demo` whose second day lacks a key."""
    fields = json.loads((HERE / "50600c2" / "public" / "demo" / "history.json").read_bytes())
    part = fields["days"][1]
    for key in keys[:-1]:
        part = part[key]
    del part[keys[-1]]
    return parse_json(json.dumps(fields).encode())


KEYS = [
    ("raw",), ("reading",), ("categories",), ("by_installer",), ("by_system",), ("categories", "honest"),
    ("categories", "other"), ("by_installer", "pdm"), ("by_system", "other_system"),
]  # fmt: skip


@pytest.mark.parametrize("keys", KEYS)
def test_a_key_that_a_history_lacks_loses_no_day_and_is_null_and_an_empty_cell(keys: tuple[str, ...]) -> None:
    history = lacking(*keys)
    assert [day.date for day in history.days] == DAYS
    unknown = [name for name, n in history.days[1].by_name().items() if n is None]
    assert len(unknown) == {"categories": 7, "by_installer": 6, "by_system": 4}.get(keys[-1], keys != ("reading",))
    assert (history.days[1].provisional is None) == (keys == ("reading",))
    assert [day.by_name() for day in (history.days[0], history.days[2])] == [A_DAY] * 2
    content = format_json(PackageState("demo", "parquet", ()), history)
    assert parse_json(content) == history
    first, second, _ = csv.DictReader(io.StringIO(format_csv("parquet", history).decode()))
    assert [second[name] for name in unknown] == [""] * len(unknown)
    assert {name: second[name] for name in NUMBERS if name not in unknown} == {
        name: first[name] for name in NUMBERS if name not in unknown
    }
    assert second["reading"] == ("" if keys == ("reading",) else "settled")


@pytest.mark.parametrize("keys", KEYS)
def test_a_page_and_its_charts_show_what_a_day_lacks_as_a_dash_never_as_0(keys: tuple[str, ...]) -> None:
    history = lacking(*keys)
    state = without("by_system", "Linux")
    (row,) = [line for line in page(state, history).splitlines() if f'<th scope="row">{DAYS[1]}</th>' in line]
    shown = {"categories": 7}.get(keys[-1], int(keys[-1] in {"raw", "reading", "honest", "other"}))
    assert row.count("<td>–") == shown  # noqa: RUF001
    chart = plot(history, 30, "x")
    assert ("known in part only" in chart.summary) == (keys[-1] in {"raw", "honest", "categories"})
    assert sparkline([day.by_name()["honest"] for day in history.days])
    assert parse_json(None).keep_published(history) == history


def test_a_history_of_unknown_numbers_only_has_no_line_and_no_bars() -> None:
    history = History((Day(DAYS[0], None, (None,) * len(NUMBERS)),))
    assert sparkline([day.by_name()["honest"] for day in history.days]) == ""
    assert "1 days that are known in part only" in plot(history, 30, "x").summary


@pytest.mark.parametrize("release", OF_ALL)
def test_shards_and_their_list_are_read(release: str) -> None:
    folder = HERE / release / "public" / "_packages"
    shard, summary = parse_shard((folder / "de.json").read_bytes()), parse_summary((folder / "index.json").read_bytes())
    assert shard is not None
    assert shard.counted(shard.packages["demo-tool"], 3) == {"honest": 3, "raw": 3}
    assert not shard.can_show(shard.packages["demo-tool"], 3, "os-linux")
    assert summary is not None
    assert (summary.windows, summary.shards, summary.stale) == ({"3": str(DAYS[-1])}, {"de": 1}, frozenset())


@pytest.mark.parametrize("path", files("*/data/ledger.jsonl"))
def test_each_ledger_counts_what_was_billed_and_what_may_have_been(path: Path) -> None:
    first, second = Ledger(path).entries()
    assert (first.job_id, first.at, first.counted_bytes) == ("job-1", datetime(2026, 8, 26, 4, tzinfo=UTC), 460_000_000)
    assert (first.first, first.last, list(first.selectors), first.rows) == (DAYS[0], DAYS[-1], ["demo"], 7)
    assert (second.job_id, second.billed, second.counted_bytes) == ("job-2", None, 153_000_000)


@pytest.mark.parametrize("release", RELEASES)
def test_publishing_after_an_upgrade_takes_no_day_and_no_number_back(make_house: MakeHouse, release: str) -> None:
    packages = {"demo": (3, 1), "*" if release in OF_ALL else "demo-tool": (3,)}
    house = make_house(packages, FixedClock.after(DAYS[-1]))
    shutil.copytree(HERE / release / "data", on_disk(house.winnow.settings.store_folder))
    shutil.copytree(HERE / release / "public", house.output_dir)
    house.publish()
    history = parse_json((house.output_dir / "demo" / "history.json").read_bytes())
    assert [day.date for day in history.days] == DAYS
    assert [day.by_name() for day in history.days] == [A_DAY] * 3
    record = parse_record((house.output_dir / "demo" / "counts.json").read_bytes())
    assert record is not None
    assert [(w.counts.raw, w.counts.honest) for w in record.windows if w.counts] == [(48, 24), (16, 8)]
    assert DAYS[-1] + timedelta(days=1) == house.winnow.clock.now().date()
