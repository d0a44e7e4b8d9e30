"""Checks: each turns red for what it is there for, names it, and is green otherwise."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from tests.conftest import DAY, FixedClock, House, MakeHouse, RowSource, on_disk
from tests.defs.test_counts import culprits
from tests.rows import row, to_frame
from winnow_dagster.config.loading import SAMPLE_PACKAGES
from winnow_dagster.config.settings import GroupSettings
from winnow_dagster.core.names import Group, Selector, normalise
from winnow_dagster.definitions import build
from winnow_dagster.defs.checks import CHECKS
from winnow_dagster.defs.writing import store_answer
from winnow_dagster.files.paths import StorePath
from winnow_dagster.files.session import Session, publishing
from winnow_dagster.sources.sample import SampleSource

HEADLINE = "downloads-7d-non-ci.json"


def ago(days: int) -> date:
    return DAY - timedelta(days=days)


ROWS = [row(ago(n), name, downloads=500) for n in range(60) for name in ("a", "b")]


@pytest.fixture
def source() -> RowSource:
    return RowSource(rows=ROWS)


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two packages, collected and published for sixty days: that takes a second."""
    folder = tmp_path_factory.mktemp("collected")
    with dg.DagsterInstance.ephemeral() as instance:
        house = MakeHouse(folder, RowSource(rows=ROWS), lambda: instance)({"a": (7,), "b": (7,)})
        house.count(ago(59), DAY)
        house.publish()
    return folder


@pytest.fixture
def house(make_house: MakeHouse, collected: Path) -> House:
    """A copy of these packages, in an instance that has no run yet."""
    shutil.copytree(collected, make_house.folder, dirs_exist_ok=True)
    return make_house({"a": (7,), "b": (7,)})


def look(house: House) -> dict[str, dg.AssetCheckEvaluation]:
    """Run all checks by themselves, as their schedule does."""
    job = build(house.winnow).resolve_job_def("winnow_check_all")
    result = job.execute_in_process(instance=house.instance, raise_on_error=False)
    assert result.success
    return {found.check_name: found for found in result.get_asset_check_evaluations()}


def red(house: House) -> dict[str, dict[str, str]]:
    """Return what each check that is red names, and why."""
    return {name: culprits(found) for name, found in look(house).items() if not found.passed}


def edit(path: Path, changes: Mapping[str, object]) -> None:
    path.write_text(json.dumps(json.loads(path.read_bytes()) | changes, indent=2) + "\n")


def test_all_checks_are_green_where_all_is_well(house: House) -> None:
    found = look(house)
    assert set(found) == {check.name for check in CHECKS}
    assert all(evaluation.passed for evaluation in found.values())
    looked_at = {name: evaluation.metadata["looked_at"].value for name, evaluation in found.items()}
    assert looked_at["categories_sum_to_raw"] == 14
    assert looked_at["day_totals_are_usual"] == 7
    assert looked_at["published_equals_store"] == 2 * (5 + 2 * 12)


def test_an_uncovered_package_is_named_with_the_reason(make_house: MakeHouse, source: RowSource) -> None:
    source.failing = {"b"}
    house = make_house({"a": (7,), "b": (7,)})
    house.count(ago(6), DAY)
    assert red(house)["every_package_covered"] == {
        "b": f"7 days, {ago(6)} to {DAY}: the source is on fire. Put it out",
    }


def test_yesterday_is_not_missed_before_the_tick(make_house: MakeHouse) -> None:
    make_house({"a": (7,)}).count(ago(7), ago(1))
    early = datetime.combine(DAY + timedelta(days=1), datetime.min.time(), tzinfo=FixedClock().now().tzinfo)
    house = make_house({"a": (7,)}, FixedClock(moment=early))
    house.publish()
    assert red(house) == {}
    assert set(red(make_house({"a": (7,)}))) == {"every_package_covered"}


def test_days_that_were_missed_show_although_nothing_was_materialised(house: House, make_house: MakeHouse) -> None:
    late = make_house({"a": (7,), "b": (7,)}, FixedClock.after(DAY + timedelta(days=4)))
    found = red(late)
    assert found["newest_day_is_recent"] == {str(DAY): f"is the newest day read, and {ago(-4)} is due"}
    assert found["as_of_is_recent"] == dict.fromkeys(
        ("a (7d)", "b (7d)"), f"as of {DAY}, which is more than 3 days ago"
    )
    # An old day that is filled again makes the asset fresh, and no badge younger.
    late.count(ago(59), ago(59), refetch=True)
    assert set(red(late)) == {"every_package_covered", "newest_day_is_recent", "as_of_is_recent"}


@pytest.mark.parametrize(("downloads", "is_usual"), [(150, False), (200, True), (1400, True), (1600, False)])
def test_a_day_unlike_its_weekday_is_named(
    make_house: MakeHouse, source: RowSource, downloads: int, *, is_usual: bool
) -> None:
    source.rows = [r for r in source.rows if r["date"] != ago(2)] + [row(ago(2), "a", downloads=downloads)]
    house = make_house({"a": (7,)})
    house.count(ago(59), DAY)
    found = red(house).get("day_totals_are_usual", {})
    assert list(found) == ([] if is_usual else [str(ago(2))])
    if not is_usual:
        assert f"{downloads:,} raw downloads" in found[str(ago(2))]


def test_a_package_added_later_is_not_taken_for_a_jump(make_house: MakeHouse) -> None:
    make_house({"a": (7,)}).count(ago(59), DAY)
    house = make_house({"a": (7,), "b": (7,)})
    house.count(ago(6), DAY)
    found = look(house)["day_totals_are_usual"]
    assert found.passed
    assert found.metadata["looked_at"].value == 7


def test_categories_that_do_not_sum_to_raw_are_named(house: House) -> None:
    raw = house.winnow.raw
    coverage = raw.coverage(DAY)
    assert coverage
    more = to_frame([row(DAY, "a", installer="uv")])
    raw.write(DAY, pl.concat([raw.load([DAY]).counts.collect(), more]), coverage)
    found = red(house)
    assert found["categories_sum_to_raw"] == {f"{DAY} a": "501 raw downloads, and 500 in the seven categories"}


def test_an_unlisted_installer_above_one_percent_of_a_day_is_named(make_house: MakeHouse, source: RowSource) -> None:
    extra = [
        row(DAY, "a", installer="newcomer", system=None, downloads=11),
        row(ago(1), "a", installer="rare", system=None, downloads=5),
    ]
    source.rows = [*source.rows, *extra]
    house = make_house({"a": (7,), "b": (7,)})
    house.count(ago(6), DAY)
    assert red(house)["no_unlisted_installer_stands_out"] == {f"{DAY} newcomer": "11 downloads, 1.1% of the day"}


def test_a_published_file_that_is_not_what_the_store_says_is_named(house: House) -> None:
    public = house.output_dir
    edit(public / "a" / HEADLINE, {"message": "9M"})
    (public / "b" / "os-linux-7d-non-ci.json").unlink()
    assert red(house)["published_equals_store"] == {
        f"a/{HEADLINE}": "is '9M'; the store says '3.5k'",
        "b/os-linux-7d-non-ci.json": "is missing",
    }


def test_a_changed_picture_page_or_history_is_named_with_its_first_change(house: House) -> None:
    folder = house.output_dir / "a"
    for name, was, now in (
        ("downloads-7d-non-ci.svg", "3.5k", "9.5k"),
        ("index.html", "3,500</strong>", "9,500</strong>"),
        ("history.json", '"raw":500', '"raw":900'),
    ):
        (folder / name).write_text((folder / name).read_text().replace(was, now, 1))
    (folder / "history.csv").unlink()
    found = red(house)["published_equals_store"]
    assert set(found) == {f"a/{n}" for n in ("downloads-7d-non-ci.svg", "index.html", "history.json", "history.csv")}
    assert "line 1 is" in found["a/downloads-7d-non-ci.svg"]
    assert found["a/history.csv"] == "is missing"


def test_a_record_that_was_tampered_with_does_not_vouch_for_its_badges(house: House) -> None:
    public = house.output_dir
    record = json.loads((public / "a" / "counts.json").read_bytes())
    record["windows"]["7"]["categories"]["honest"] = record["windows"]["7"]["honest"] = 9_000_000
    edit(public / "a" / "counts.json", record)
    edit(public / "a" / HEADLINE, {"message": "9M"})
    found = red(house)["published_equals_store"]
    assert set(found) == {"a/counts.json", f"a/{HEADLINE}"}
    assert found["a/counts.json"] == "is 9000000 of 3500 in 7d; the store says 3500 of 3500 in 7d"


def test_stale_and_unfinished_badges_are_what_the_store_says_too(house: House, make_house: MakeHouse) -> None:
    late = make_house({"a": (7,), "b": (7,), "c": (7,)}, FixedClock.after(DAY + timedelta(days=9)))
    late.publish()
    assert "published_equals_store" not in red(late)


def test_numbers_that_the_store_cannot_tell_are_counted_and_not_judged(house: House) -> None:
    for day in house.winnow.honest.stored_days():
        on_disk(house.winnow.honest.path(day)).unlink()
    found = look(house)["published_equals_store"]
    assert found.passed
    assert found.metadata["windows_not_in_store"].value == 2


def test_files_of_a_removed_package_and_window_are_orphans(house: House, make_house: MakeHouse) -> None:
    less = make_house({"a": (3,)})
    less.publish()
    found = red(less)["no_orphaned_files"]
    assert set(found) == {"a", "b"}
    assert HEADLINE in found["a"]
    assert "counts.json" not in found["a"]
    assert "counts.json" in found["b"]


def test_on_its_first_day_an_installation_without_a_day_is_green(make_house: MakeHouse) -> None:
    house = make_house({"a": (7,)})
    house.winnow = replace(house.winnow, settings=replace(house.winnow.settings, start_date=ago(-1)))
    house.publish()
    assert red(house) == {}


def test_while_days_are_read_again_no_sum_is_wrong_and_none_is_missing(
    house: House, make_house: MakeHouse, source: RowSource
) -> None:
    source.rows = [r | {"downloads": 700} for r in source.rows]
    winnow = make_house({"a": (7,), "b": (7,)}, FixedClock.after(ago(-1))).winnow
    tomorrow = f"1 days, {ago(-1)} to {ago(-1)}: not read yet. Run `winnow collect`"
    not_read = {"a": tomorrow, "b": tomorrow}
    for answer in winnow.fetch([DAY], [], refetch=True):
        store_answer(winnow, answer)
        other = make_house({"a": (7,), "b": (7,)}, winnow.clock)
        assert "categories_sum_to_raw" not in red(other)
        assert red(other)["every_package_covered"] == not_read
    # No run lives so long: these readings will not be counted by the run that made them.
    late = make_house({"a": (7,), "b": (7,)}, FixedClock.after(ago(-3)))
    assert set(red(late)["categories_sum_to_raw"]) == {f"{DAY} a", f"{DAY} b"}
    assert all(str(DAY) in why for why in red(late)["every_package_covered"].values())


@pytest.mark.parametrize("content", [None, b"{}"])
def test_a_package_without_a_readable_record_is_named(house: House, content: bytes | None) -> None:
    house.publish()
    record = house.output_dir / "a" / "counts.json"
    record.unlink() if content is None else record.write_bytes(content)
    assert red(house)["published_equals_store"] == {"a/counts.json": "is missing or damaged. Materialise badges"}
    house.publish()
    assert red(house) == {}


def test_packages_and_groups_whose_folders_were_removed_are_named(house: House) -> None:
    group = Group(normalise("both"), (Selector("a"), Selector("b")))
    settings = replace(house.winnow.settings, groups=(GroupSettings(group, (7,)),))
    house.winnow = replace(house.winnow, settings=settings)
    house.publish()
    listing = "_packages.json names it, and its counts.json is missing. Materialise badges"
    for folder in ("a", "_group"):
        shutil.rmtree(house.output_dir / folder)
    gone = dict.fromkeys(("a/counts.json", "_group/both/counts.json"), "is missing or damaged. Materialise badges")
    found = red(house)
    assert found["published_equals_store"] == gone
    assert found["lists_every_package"] == {"a": listing, "_group/both": listing}
    shutil.rmtree(house.output_dir)
    assert set(red(house)["published_equals_store"]) == {*gone, "b/counts.json"}


def test_a_package_that_was_never_published_is_not_missed(house: House, make_house: MakeHouse) -> None:
    house.publish()
    more = make_house({"a": (7,), "b": (7,), "c": (7,)})
    more.count(ago(6), DAY)
    assert red(more) == {}


def test_a_publication_under_way_in_another_process_is_waited_for_before_files_count_as_wrong(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    badge = house.output_dir / "a" / HEADLINE
    right = badge.read_bytes()
    edit(badge, {"message": "half"})

    @contextmanager
    def publishes_first(data_dir: StorePath, output_dir: StorePath) -> Iterator[Session]:
        with publishing(data_dir, output_dir) as session:
            badge.write_bytes(right)
            yield session

    monkeypatch.setattr("winnow_dagster.defs.checks.publishing", publishes_first)
    assert red(house) == {}


def test_checks_run_with_what_they_check(house: House) -> None:
    names = {e.check_name for e in house.run("badges").get_asset_check_evaluations()}
    assert names == {check.name for check in CHECKS if check.asset == "badges"}


def test_a_first_start_with_sample_data_shows_nothing_but_green(make_house: MakeHouse) -> None:
    house = make_house(dict.fromkeys(SAMPLE_PACKAGES, (30,)), kind="sample")
    house.winnow = replace(house.winnow, given_source=SampleSource())
    house.count(ago(29), DAY)
    house.publish()
    assert red(house) == {}


@pytest.mark.parametrize("store", ["raw_downloads", "honest_downloads"])
def test_a_damaged_day_is_named_read_again_and_never_counted_as_zero(house: House, store: str) -> None:
    badge = house.output_dir / "a" / HEADLINE
    before = badge.read_bytes()
    path = on_disk(house.winnow.settings.store_folder) / store / f"{ago(2)}.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    house.publish()
    assert badge.read_bytes() == before
    found = red(house)
    assert list(found["no_damaged_days"]) == [str(path)]
    (gap,) = house.winnow.gaps()
    assert (gap.first, gap.last) == (ago(2), ago(2))
    house.count(gap.first, gap.last)
    house.publish()
    assert badge.read_bytes() == before
    found = red(house)
    assert list(found) == ["no_damaged_days"]
    (aside,) = found["no_damaged_days"]
    Path(aside).unlink()
    assert red(house) == {}


def unjudged(house: House, run_id: str) -> set[str]:
    """Return the checks that Dagster shows as failed in a run though nothing judged them."""
    records = {
        check.name: house.instance.event_log_storage.get_asset_check_execution_history(
            check.key(house.winnow.names), limit=1
        )[0]
        for check in CHECKS
    }
    of_run = {name: record for name, record in records.items() if record.run_id == run_id}
    return {n for n, record in of_run.items() if record.event is None or record.event.dagster_event is None} | {
        n
        for n, record in of_run.items()
        if not isinstance(record.event.dagster_event.event_specific_data, dg.AssetCheckEvaluation)  # type: ignore[union-attr]
    }


def test_when_the_source_fails_the_run_judges_its_checks_all_the_same(house: House, source: RowSource) -> None:
    source.is_away = True
    look(house)
    failed = house.run("raw_downloads", "honest_downloads", days=(ago(1), DAY), refetch=True)
    assert not failed.success
    assert unjudged(house, failed.run_id) == set()
    records = {
        check.name: house.instance.get_latest_asset_check_evaluation_record(check.key(house.winnow.names))
        for check in CHECKS
        if check.asset in {"raw_downloads", "honest_downloads"}
    }
    assert {record.run_id for record in records.values() if record} == {failed.run_id}
    evaluations = {name: evaluation_of(record) for name, record in records.items()}
    assert all(evaluation.passed for evaluation in evaluations.values())
    # A day that was never read explains itself at once, not with the next check of everything.
    late = House(replace(house.winnow, clock=FixedClock.after(DAY + timedelta(days=1))), house.opened)
    failed = late.run("raw_downloads", "honest_downloads", days=(ago(-1), ago(-1)))
    record = house.instance.get_latest_asset_check_evaluation_record(CHECKS[0].key(house.winnow.names))
    assert culprits(evaluation_of(record))["a"] == f"1 days, {ago(-1)} to {ago(-1)}: the source is away"
    assert unjudged(house, failed.run_id) == set()


def evaluation_of(record: object) -> dg.AssetCheckEvaluation:
    found = record.event.dagster_event.event_specific_data  # type: ignore[attr-defined]
    assert isinstance(found, dg.AssetCheckEvaluation)
    return found


def test_when_publishing_fails_its_checks_are_judged_all_the_same(house: House) -> None:
    look(house)
    (house.output_dir / "a").rename(house.output_dir.with_name("away"))
    (house.output_dir / "a").write_text("a file where a directory should be")
    failed = house.run("badges")
    assert not failed.success
    assert unjudged(house, failed.run_id) == set()


def test_a_check_that_cannot_be_judged_takes_no_other_down(house: House) -> None:
    path = on_disk(house.winnow.settings.store_folder) / "honest_downloads"
    path.rename(path.with_name("away"))
    path.symlink_to(path)
    result = (
        build(house.winnow)
        .resolve_job_def("winnow_check_all")
        .execute_in_process(instance=house.instance, raise_on_error=False)
    )
    judged = {found.check_name for found in result.get_asset_check_evaluations()}
    assert not result.success
    assert {"day_totals_are_usual", "as_of_is_recent", "no_orphaned_files"} <= judged


def test_the_list_of_packages_has_to_exist_and_to_name_every_published_package(house: House) -> None:
    house.publish()
    assert "lists_every_package" not in red(house)
    path = house.output_dir / "_packages.json"
    listed = json.loads(path.read_bytes())
    path.write_text(json.dumps({**listed, "packages": []}))
    unnamed = "_packages.json does not name it. Materialise index"
    assert red(house)["lists_every_package"] == dict.fromkeys(("a", "b"), unnamed)
    path.write_text("[]")
    assert red(house)["lists_every_package"] == {"_packages.json": "is not Winnow's list. Materialise index"}
    (house.output_dir / "index.html").unlink()
    assert "index.html" in red(house)["lists_every_package"]
