"""Badges of breakdowns: the range of Pythons, and the installs of one value."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.site.broken_down import DAY, ago, breakdowns
from winnow_dagster.core.badge import BadgeStyle, is_slug, parse_file_name
from winnow_dagster.core.breakdowns import NO_BREAKDOWNS, PackageBreakdowns
from winnow_dagster.core.days import Package
from winnow_dagster.core.history import NUMBERS, History
from winnow_dagster.core.values import smallest_range
from winnow_dagster.core.window import ALL, PackageState, Window, WindowCounts, WindowState
from winnow_dagster.site.folder import format_folder
from winnow_dagster.site.site import SiteConfig

TODAY = DAY + timedelta(days=1)
RANGE = "3.10 \N{EN DASH} 3.12"
Files = dict[str, bytes]
Counts = dict[str, tuple[int, int]]


def pythons(counts: Counts, days: int = 3, dimension: str = "python") -> PackageBreakdowns:
    """Return the same counts on each of the last days."""
    return breakdowns((dimension,), {ago(n): {dimension: counts} for n in range(days)})


def folder(
    computed: PackageBreakdowns,
    *slugs: str,
    published: Files | None = None,
    today: date = TODAY,
    source: str = "bigquery",
    style: BadgeStyle | None = None,
    length: int = 3,
) -> Files:
    """Return all files of a package with a window of some days after one more publication."""
    window = Window(length, DAY)
    state = PackageState("a", source, (WindowState(length, WindowCounts(window, dict.fromkeys(NUMBERS, 9)), length),))
    site = SiteConfig(3, styles={"a": style or BadgeStyle(slugs=("downloads", *slugs))})
    before = published or {}
    return {**before, **format_folder(site, Package(state, History.empty(), computed), today, before.get)}


def payload(files: Files, slug: str = "pythons", days: int = 3) -> dict[str, object]:
    found: dict[str, object] = json.loads(files[f"{slug}-{days}d-non-ci.json"])
    return found


MANY: Counts = {"2.7": (1, 90), "3.8": (2, 90), "3.10": (30, 90), "3.11": (30, 90), "3.12": (37, 90), "": (50, 0)}


def test_the_badge_shows_the_smallest_range_with_95_percent_of_the_honest_installs_that_name_one() -> None:
    found = payload(folder(pythons(MANY), "pythons"))
    assert found == {"schemaVersion": 1, "label": "python (3d)", "message": RANGE, "color": "blue"}


def test_a_range_of_one_version_is_that_version() -> None:
    assert payload(folder(pythons({"3.12": (99, 0), "3.13": (1, 99)}), "pythons"))["message"] == "3.12"


@pytest.mark.parametrize(
    ("counts", "message"),
    [({"": (99, 0), "3.12": (0, 9)}, "not said"), ({"3.12": (0, 9)}, "no downloads"), ({}, "no downloads")],
)
def test_without_a_download_that_names_a_python_the_badge_says_why_in_place_of_an_old_range(
    counts: Counts, message: str
) -> None:
    before = folder(pythons(MANY), "pythons")
    found = payload(folder(pythons(counts), "pythons", published=before))
    assert (found["message"], found["color"]) == (message, "lightgrey")


def test_the_badge_is_collecting_until_every_day_of_the_window_is_known() -> None:
    found = payload(folder(pythons(MANY, days=2), "pythons"))
    assert (found["message"], found["color"]) == ("collecting 2/3d", "lightgrey")


def test_a_badge_of_a_value_shows_its_honest_installs() -> None:
    files = folder(pythons({"3.12": (600, 9)}), "python-3.12", "python-3.9")
    assert payload(files, "python-3.12") == {
        "schemaVersion": 1,
        "label": "python 3.12 (3d)",
        "message": "1.8k",
        "color": "blue",
    }
    assert payload(files, "python-3.9")["message"] == "0"
    assert "pythons-3d-non-ci.json" not in files


def test_a_badge_has_a_picture_and_is_on_the_page() -> None:
    files = folder(pythons(MANY), "pythons")
    assert RANGE in files["pythons-3d-non-ci.svg"].decode()
    assert 'src="pythons-3d-non-ci.svg"' in files["index.html"].decode()


def test_a_configured_style_applies() -> None:
    style = BadgeStyle(
        slugs=("pythons", "cpu-arm64"), labels={"cpu-arm64": "ARM in {days} days"}, extras={"style": "flat-square"}
    )
    found = payload(folder(pythons({"arm64": (9, 0)}, dimension="cpu"), style=style), "cpu-arm64")
    assert (found["label"], found["style"], found["color"]) == ("ARM in 3 days", "flat-square", "blue")


def test_a_badge_of_sample_data_says_so() -> None:
    assert payload(folder(pythons(MANY), "pythons", source="sample"))["label"] == "sample: python (3d)"


def test_a_stale_badge_says_up_to_which_day_it_counts() -> None:
    later = TODAY + timedelta(days=3)
    found = payload(folder(pythons(MANY), "pythons", today=later))
    assert (found["message"], found["color"]) == (f"{RANGE} to {DAY}", "lightgrey")


def test_a_published_number_stays_while_its_window_is_not_known_and_grows_stale() -> None:
    files = folder(pythons(MANY), "pythons", "python-3.12")
    longer = folder(NO_BREAKDOWNS, "pythons", "python-3.12", published=files, length=3)
    assert payload(longer)["message"] == RANGE
    window = WindowState(3, WindowCounts(Window(3, TODAY), dict.fromkeys(NUMBERS, 9)), 3)
    site = SiteConfig(3, styles={"a": BadgeStyle(slugs=("downloads", "pythons"))})
    for days, message in ((1, RANGE), (9, f"{RANGE} to {DAY}")):
        package = Package(PackageState("a", "bigquery", (window,)), History.empty(), pythons(MANY, 1))
        moved = format_folder(site, package, TODAY + timedelta(days=days), files.get)
        assert payload(moved)["message"] == message
        # A badge that is no longer configured grows stale too.
        assert ("to" in str(payload(moved, "python-3.12")["message"])) == (days == 9)


def test_a_removed_package_keeps_its_badges_and_files() -> None:
    files = folder(pythons(MANY), "pythons", "python-3.12")
    state = PackageState("a", "bigquery", (WindowState(3, WindowCounts(Window(3, DAY), dict.fromkeys(NUMBERS, 9)), 3),))
    redrawn = format_folder(SiteConfig(3), Package(state, History.empty()), TODAY, files.get)
    changed = {name for name, content in redrawn.items() if files[name] != content}
    assert changed == {"index.html"}
    assert {"pythons-3d-non-ci.json", "python-3.12-3d-non-ci.json", "breakdowns.json"} <= set(redrawn)


def test_a_package_without_breakdowns_has_no_badge_of_them() -> None:
    files = folder(NO_BREAKDOWNS, "pythons", "python-3.12")
    assert not [name for name in files if name.startswith("python")]
    assert "breakdowns.json" not in files


def test_a_badge_of_a_dimension_without_a_breakdown_is_left_out() -> None:
    files = folder(pythons({"arm64": (9, 0)}, dimension="cpu"), "pythons", "cpu-arm64")
    assert "cpu-arm64-3d-non-ci.json" in files
    assert "pythons-3d-non-ci.json" not in files


@pytest.mark.parametrize(
    "slug", ["pythons", "python-3.12", "country-DE", "file_type-bdist_wheel", "version-1.0.post1+x"]
)
@pytest.mark.parametrize("days", ["30d", "all"])
def test_a_config_may_ask_for_the_badge_of_any_value_and_its_file_is_found(slug: str, days: str) -> None:
    assert is_slug(slug)
    assert parse_file_name(f"{slug}-{days}-non-ci.json") == (slug, 30 if days == "30d" else ALL)


@pytest.mark.parametrize(
    "slug", ["", "python", "python-", "python-a/b", "python-..", "python- 3", "pythons-3", "kernel-6", "cpu-\n"]
)
def test_other_slugs_are_refused(slug: str) -> None:
    assert not is_slug(slug)


versions = st.dictionaries(st.sampled_from([f"3.{n}" for n in range(6, 16)]), st.integers(0, 200))


@given(versions)
def test_no_smaller_range_of_versions_has_95_percent(counts: dict[str, int]) -> None:
    named = {v: n for v, n in sorted(counts.items(), key=lambda item: int(item[0][2:])) if n}
    found = smallest_range(counts)
    if not named:
        assert found is None
        return
    assert found
    order, total = list(named), sum(named.values())

    def has_enough(first: int, last: int) -> bool:
        return 20 * sum(named[v] for v in order[first : last + 1]) >= 19 * total

    first, last = map(order.index, found)
    assert has_enough(first, last)
    shorter = last - first - 1
    assert not any(has_enough(at, at + shorter) for at in range(len(order)) if shorter >= 0)


@given(versions, st.integers(1, 10**6))
def test_one_more_ci_download_changes_no_honest_badge(counts: dict[str, int], ci: int) -> None:
    slugs = ("pythons", "python-3.10")
    without, more = (
        folder(pythons({v: (n, extra) for v, n in counts.items()} | {"3.10": (5, extra)}), *slugs) for extra in (0, ci)
    )
    for slug in slugs:
        assert payload(without, slug) == payload(more, slug)
