"""An installation, without a Dagster instance: what is due, missing, short and published, from its stores and clock."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import DAY, NOW, FixedClock, RowSource, make_settings
from tests.rows import Row, row, to_frame
from winnow_dagster.config.settings import GroupSettings
from winnow_dagster.core.categories import winnow
from winnow_dagster.core.completeness import ALL_ENTRIES, Judgement
from winnow_dagster.core.coverage import Failure, Reading, Request, days_between
from winnow_dagster.core.names import Group, Selector, normalise
from winnow_dagster.core.planning import Gap
from winnow_dagster.core.window import Window
from winnow_dagster.defs.clock import Clock
from winnow_dagster.defs.refusals import RefusedError
from winnow_dagster.defs.resources import Installation
from winnow_dagster.files.errors import SampleOverRealError
from winnow_dagster.files.operations import Failures
from winnow_dagster.publishing.audit import judge_published
from winnow_dagster.publishing.directory import packages_in_full

A, PREFIX = Selector("a-a"), Selector("x-", is_prefix=True)
FIRST = DAY - timedelta(days=2)


def install(
    folder: Path, clock: Clock | None = None, kind: str = "parquet", packages: dict[str, tuple[int, ...]] | None = None
) -> Installation:
    settings = make_settings(folder, packages or {"A_a": (3, 1), "x-*": (2,)}, kind)
    return Installation(settings, clock or FixedClock(), given_source=RowSource())


@pytest.fixture
def installed(tmp_path: Path) -> Installation:
    return install(tmp_path)


def read(to: Installation, *requests: Request, rows: list[Row] | None = None, at: datetime = NOW) -> None:
    to.raw.add_reading(Reading(list(requests), to_frame(rows or [])), at)


def count(of: Installation) -> None:
    """Store the honest counts of all days with raw counts."""
    of.raw.merge()
    for day in of.raw.stored_days():
        coverage = of.raw.coverage(day)
        assert coverage
        of.write_honest(day, winnow(of.raw.load([day]).counts).collect(), coverage)


def fill(of: Installation, first: date = FIRST) -> None:
    """Store what all entries need: two downloads of each package and day."""
    rows = [row(day, name, downloads=2) for day in days_between(first, DAY) for name in ("a-a", "x-b", "x-c")]
    read(of, Request(A, first, DAY), Request(PREFIX, first, DAY), rows=rows)
    count(of)


def publish(of: Installation) -> None:
    failures = Failures()
    keys = [str(which) for which in of.settings.published_windows]
    of.web.publish(of.packages(keys), 0, of.clock.through, failures)
    failures.raise_any()


@pytest.mark.parametrize(("hour", "minute", "ago"), [(3, 29, 2), (3, 30, 1), (23, 59, 1), (0, 0, 2)])
def test_yesterday_is_due_once_the_schedule_has_had_its_turn(tmp_path: Path, hour: int, minute: int, ago: int) -> None:
    now = datetime(2025, 7, 1, hour, minute, tzinfo=UTC)
    assert install(tmp_path, FixedClock(moment=now)).due_day == now.date() - timedelta(days=ago)


def test_a_replay_reads_as_on_the_day_after_it() -> None:
    assert (FixedClock().through, FixedClock().today) == (DAY, DAY + timedelta(days=1))
    replay = FixedClock(replay_through=FIRST)
    assert (replay.through, replay.today) == (FIRST, FIRST + timedelta(days=1))
    assert Clock().now().tzinfo is UTC


def test_runs_are_kept_for_as_long_as_the_config_says(installed: Installation) -> None:
    kept = replace(installed, settings=replace(installed.settings, keep_runs_days=7))
    assert kept.oldest_kept_run == NOW - timedelta(days=7)


def test_days_of_a_window_are_those_of_the_longest_and_none_before_the_first_day_that_counts(
    installed: Installation,
) -> None:
    assert installed.settings.days_of_longest_window(DAY) == days_between(FIRST, DAY)
    assert installed.settings.days_of_longest_window(DAY, weeks_before=1) == days_between(
        FIRST - timedelta(weeks=1), DAY
    )
    late = replace(installed, settings=replace(installed.settings, start_date=DAY))
    assert late.settings.days_of_longest_window(DAY, weeks_before=1) == [DAY]


def test_an_empty_store_lacks_what_each_entry_needs(installed: Installation) -> None:
    assert installed.gaps() == [
        Gap(FIRST, FIRST, (A,)),
        Gap(DAY - timedelta(days=1), DAY, (A, PREFIX)),
    ]
    assert installed.gaps([PREFIX]) == [Gap(DAY - timedelta(days=1), DAY, (PREFIX,))]
    assert installed.gaps([PREFIX], FIRST) == [Gap(FIRST - timedelta(days=1), FIRST, (PREFIX,))]
    assert installed.missing() == {
        "a-a": f"3 days, {FIRST} to {DAY}: not read yet. Run `winnow collect`",
        "x-*": f"2 days, {DAY - timedelta(days=1)} to {DAY}: not read yet. Run `winnow collect`",
    }


def test_a_filled_store_lacks_nothing(installed: Installation) -> None:
    fill(installed)
    assert installed.gaps() == []
    assert installed.missing() == {}


def test_a_day_that_was_read_and_not_counted_is_missing(installed: Installation) -> None:
    fill(installed)
    read(installed, Request(A, DAY, DAY), at=NOW + timedelta(minutes=1))
    assert installed.gaps() == [Gap(DAY, DAY, (A,))]
    count(installed)
    assert installed.gaps() == []


def test_the_newest_missing_day_says_why(installed: Installation) -> None:
    installed.raw.add_failure(Failure(Request(A, DAY, DAY), "the disk is full. Delete something"), NOW)
    count(installed)
    assert installed.missing()["a-a"] == f"3 days, {FIRST} to {DAY}: the disk is full. Delete something"


def test_honest_counts_of_raw_counts_that_were_read_again_meanwhile_are_not_stored(installed: Installation) -> None:
    fill(installed)
    before = installed.raw.coverage(DAY)
    assert before
    read(installed, Request(A, DAY, DAY), at=NOW + timedelta(minutes=1))
    counts = installed.honest.load([DAY]).counts.collect()
    installed.write_honest(DAY, counts.clear(), before)
    assert installed.honest.load([DAY]).counts.collect().height == counts.height


def test_days_that_are_not_over_and_entries_that_do_not_exist_are_refused(installed: Installation) -> None:
    with pytest.raises(RefusedError, match="2025-07-01 is not over yet"):
        installed.fetch([NOW.date()], [], refetch=False)
    with pytest.raises(RefusedError, match="'a-b': no such entry"):
        installed.fetch([DAY], ["a-b"], refetch=False)


WEEKS = [DAY - timedelta(weeks=n) for n in range(6)]


def read_weeks(to: Installation, *downloads: int, at: datetime = NOW) -> None:
    """Read DAY and its weekday in the weeks before, newest first."""
    for day, found in zip(WEEKS, downloads, strict=False):
        rows = [row(day, "a-a", downloads=found)] if found else []
        read(to, Request(A, day, day), Request(PREFIX, day, day), rows=rows, at=at)
    count(to)


def test_a_recent_day_without_a_download_where_there_are_many_is_not_trusted(installed: Installation) -> None:
    read_weeks(installed, 0, 200, 200, 200, 200, at=NOW - timedelta(days=1))
    coverage = installed.raw.coverages(WEEKS)
    assert set(coverage) - set(installed.judge.trusted(coverage)) == {DAY}
    assert installed.judge.short_days() == {DAY: Judgement(0, 200, is_short=True, of=ALL_ENTRIES)}
    assert installed.judge.quiet_days([DAY]).empty == {DAY: (0, 200)}
    assert f"{DAY} is short: the source has 0 downloads of all entries" in installed.missing()["a-a"]


def test_a_day_that_is_not_trusted_is_read_once_a_day(installed: Installation) -> None:
    read_weeks(installed, 0, 200, 200, 200, 200)
    assert DAY not in installed.judge.trusted(installed.raw.coverages(WEEKS))
    assert DAY in installed.judge.trusted(installed.raw.coverages(WEEKS), once_a_day=True)
    assert DAY not in {day for gap in installed.gaps() for day in days_between(gap.first, gap.last)}
    tomorrow = replace(installed, clock=FixedClock(moment=NOW + timedelta(days=1), replay_through=DAY))
    assert DAY in {day for gap in tomorrow.gaps() for day in days_between(gap.first, gap.last)}


def test_after_two_weeks_a_day_without_a_download_is_trusted(installed: Installation) -> None:
    read_weeks(installed, 0, 200, 200, 200, 200)
    later = replace(installed, clock=FixedClock(moment=NOW + timedelta(days=14), replay_through=DAY))
    assert DAY in later.judge.trusted(installed.raw.coverages(WEEKS))
    assert later.judge.short_days() == {}


def test_a_day_is_short_by_the_rows_of_the_source_until_it_is_covered(installed: Installation) -> None:
    usual = {DAY - timedelta(days=n): 1000 for n in range(60)}
    installed.source_rows.update({**usual, DAY: 10, FIRST - timedelta(days=9): 10}, NOW)
    assert installed.judge.by_rows([DAY, NOW.date()]) == {DAY: Judgement(10, 1000, is_short=True)}
    assert installed.judge.short_days() == {DAY: Judgement(10, 1000, is_short=True)}
    assert f"{DAY} is short: the source has 10 rows of all packages" in installed.missing()["x-*"]
    fill(installed)
    assert installed.judge.short_days() == {}


def test_a_day_with_few_downloads_is_read_again(installed: Installation) -> None:
    read_weeks(installed, 10, 2000, 2000, 2000, 2000)
    assert installed.reader.low_days == {DAY}
    assert installed.judge.quiet_days([DAY, WEEKS[1]]).low == {DAY: (10, 2000)}


def test_entries_that_do_not_settle_are_read_once(installed: Installation) -> None:
    packages = tuple(replace(package, settle=package.selector != A) for package in installed.settings.packages)
    assert replace(installed, settings=replace(installed.settings, packages=packages)).reader.read_once == {A}


def test_each_entry_publishes_its_packages(installed: Installation) -> None:
    fill(installed)
    found = {key: packages_in_full(each) for key, each in installed.packages(["a-a", "x-*"]).items()}
    assert {key: [p.state.package for p in packages] for key, packages in found.items()} == {
        "a-a": ["a-a"],
        "x-*": ["x-b", "x-c"],
    }
    (a,) = found["a-a"]
    assert [w.counts and (w.counts.window, w.counts.honest) for w in a.state.windows] == [
        (Window(3, DAY), 6),
        (Window(1, DAY), 2),
    ]
    assert set(installed.packages(["a-a"])) == {"a-a"}
    assert installed.everything() is None


def test_a_replay_counts_no_later_day(tmp_path: Path) -> None:
    found = install(tmp_path, FixedClock(replay_through=DAY - timedelta(days=1)))
    fill(found, FIRST - timedelta(days=1))
    (a,) = packages_in_full(found.packages(["a-a"])["a-a"])
    assert a.as_of == {DAY - timedelta(days=1)}


def test_what_is_published_is_told_by_entry_without_copies_and_without_what_was_removed(tmp_path: Path) -> None:
    before = install(tmp_path, packages={"A_a": (3,), "x-*": (2,), "y": (1,)})
    fill(before)
    read(before, Request(Selector("y"), DAY, DAY))
    count(before)
    publish(before)
    assert {path.name for path in (tmp_path / "public").iterdir()} >= {"A_a", "a-a", "x-b", "x-c", "y"}
    published = install(tmp_path).published()
    assert {key: [s.package for s in states] for key, states in published.items()} == {
        "a-a": ["a-a"],
        "x-*": ["x-b", "x-c"],
    }


def test_a_group_is_published_under_its_own_name_and_needs_the_days_of_its_window(installed: Installation) -> None:
    group = Group(normalise("both"), (A, PREFIX))
    settings = replace(installed.settings, groups=(GroupSettings(group, (3,)),))
    both = Installation(settings, FixedClock(), given_source=RowSource())
    assert both.gaps() == [Gap(FIRST, DAY, (A, PREFIX))]
    fill(both)
    publish(both)
    (state,) = both.published()["_group/both"]
    assert state.headline.counts
    assert state.headline.counts.honest == 3 * 3 * 2


def test_what_was_published_is_what_the_store_says(installed: Installation, tmp_path: Path) -> None:
    fill(installed)
    publish(installed)
    states = {state.package: state for found in installed.published().values() for state in found}

    def read_file(folder: str, name: str) -> bytes | None:
        path = tmp_path / "public" / folder / name
        return path.read_bytes() if path.exists() else None

    def judge() -> dict[str, str]:
        recount = installed.recount(states.values())
        return dict(judge_published(installed.web.site, states, recount, read_file, installed.clock.today).bad)

    assert judge() == {}
    read(installed, Request(A, DAY, DAY), rows=[row(DAY, "a-a", downloads=9)], at=NOW + timedelta(minutes=1))
    count(installed)
    assert judge()["a-a/downloads-3d-non-ci.json"] == "is '6'; the store says '13'"


def test_lists_follow_the_config_and_may_be_of_some_packages_only(installed: Installation) -> None:
    fill(installed)
    publish(installed)
    published = installed.published()
    assert [(row.name, row.folder, row.status) for row in installed.rows(published)] == [
        ("A_a", "A_a", None),
        ("x-b", "x-b", None),
        ("x-c", "x-c", None),
    ]
    assert [row.name for row in installed.rows(published, ["x-c"])] == ["x-c"]


def test_the_files_that_list_packages_are_as_of_the_clock(installed: Installation) -> None:
    fill(installed)
    publish(installed)
    health = json.loads(installed.site_files(installed.published())["_health.json"])
    assert (health["through"], health["finished"], list(health["packages"])) == (
        str(DAY),
        NOW.isoformat(),
        ["A_a", "x-b", "x-c"],
    )


def test_sample_data_is_refused_where_real_numbers_are(installed: Installation, tmp_path: Path) -> None:
    sample = install(tmp_path, kind="sample")
    sample.refuse_sample_over_real()
    fill(installed)
    publish(installed)
    installed.refuse_sample_over_real()
    with pytest.raises(SampleOverRealError):
        sample.refuse_sample_over_real()


def test_each_source_has_stores_of_its_own(installed: Installation, tmp_path: Path) -> None:
    fill(installed)
    sample = install(tmp_path, kind="sample")
    assert sample.raw.stored_days() == []
    assert sample.honest.stored_days() == []
    assert sample.costs is None
    assert installed.raw.stored_days() == days_between(FIRST, DAY)
