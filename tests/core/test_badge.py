"""What a badge says: the predecessor's payloads and file names, and what it says when there is no present number."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow_dagster.core.badge import (
    BADGE_KINDS,
    SLUGS,
    Badge,
    BadgeStyle,
    badges_of,
    format_count,
    format_share,
    keep_style,
    may_replace,
    parse_file_name,
)
from winnow_dagster.core.categories import CATEGORIES, INSTALLERS
from winnow_dagster.core.dimensions import SYSTEM
from winnow_dagster.core.names import normalise
from winnow_dagster.core.window import ALL, PackageState, Window, WindowCounts, WindowState

AS_OF = date(2025, 6, 30)
counts = st.integers(0, 10**12)


def badges(
    honest: int | None,
    *,
    source: str = "parquet",
    today: date = AS_OF + timedelta(days=1),
    style: BadgeStyle | None = None,
    length: int = 30,
) -> dict[str, Badge]:
    number = None
    if honest is not None:
        number = WindowCounts(
            Window(30, AS_OF),
            {
                "raw": honest + 7 * 6,
                **dict.fromkeys(CATEGORIES, 7),
                "honest": honest,
                **{installer: place for place, installer in enumerate(INSTALLERS, start=1)},
                **{system: place for place, system in enumerate(SYSTEM.values, start=11)},
            },
        )
    state = PackageState(normalise("a"), source, (WindowState(length, number, 12),))
    found = badges_of(state, style or BadgeStyle(), today=today, stale_threshold_days=3)
    return {badge.slug: badge for badge in found}


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1k"),
        (1049, "1k"),
        (1200, "1.2k"),
        (12_655, "12.7k"),
        (999_900, "999.9k"),
        (999_949, "999.9k"),
        (999_999, "1M"),
        (1_000_000, "1M"),
        (1_250_000, "1.2M"),
        (1_234_600_000, "1234.6M"),
    ],
)
def test_counts_are_formatted_as_the_predecessor_formats_them(count: int, text: str) -> None:
    assert format_count(count) == text


def value_of(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.[1-9])?)([kM]?)", text)
    assert match, text
    return float(match[1]) * {"": 1, "k": 1e3, "M": 1e6}[match[2]]


@given(counts, counts)
def test_a_formatted_number_never_goes_down_as_the_count_goes_up(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert value_of(format_count(low)) <= value_of(format_count(high))


@given(counts | st.integers(999_000, 1_001_000))
def test_a_formatted_number_is_near_its_count_and_never_reads_1000k(count: int) -> None:
    text = format_count(count)
    assert not text.startswith("1000k")
    assert abs(value_of(text) - count) <= max(0, count * 0.051)


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="not -1"):
        format_count(-1)


def test_a_package_has_the_predecessors_badges_with_their_keys_in_their_order() -> None:
    found = badges(1234)
    assert list(found["downloads"].payload.items()) == [
        ("schemaVersion", 1),
        ("label", "pip*/uv/poetry/pdm (30d)"),
        ("message", "1.2k"),
        ("color", "blue"),
    ]
    assert {slug: (badge.payload["label"], badge.payload["message"]) for slug, badge in found.items()} == {
        "downloads": ("pip*/uv/poetry/pdm (30d)", "1.2k"),
        "installer-pip": ("pip (30d)", "1"),
        "installer-pipenv": ("pipenv (30d)", "2"),
        "installer-pipx": ("pipx (30d)", "3"),
        "installer-uv": ("uv (30d)", "4"),
        "installer-poetry": ("poetry (30d)", "5"),
        "installer-pdm": ("pdm (30d)", "6"),
        "installer-pip-family": ("pip* (30d)", "6"),
        "os-linux": ("linux (30d)", "11"),
        "os-macos": ("macos (30d)", "12"),
        "os-windows": ("windows (30d)", "13"),
        "honest-share": ("honest (30d)", "96.7%"),
    }


@pytest.mark.parametrize(("honest", "color"), [(0, "lightgrey"), (9, "lightgrey"), (10, "blue")])
def test_a_badge_is_blue_from_ten_up(honest: int, color: str) -> None:
    assert badges(honest)["downloads"].payload["color"] == color


def test_before_its_first_complete_window_every_badge_is_a_placeholder() -> None:
    for badge in badges(None).values():
        assert badge.payload["message"] == "collecting 12/30d"
        assert badge.payload["color"] == "lightgrey"


def test_a_number_older_than_the_threshold_says_its_day_and_one_at_the_threshold_does_not() -> None:
    fresh = badges(1234, today=AS_OF + timedelta(days=3))["downloads"].payload
    stale = badges(1234, today=AS_OF + timedelta(days=4))["downloads"].payload
    assert (fresh["message"], fresh["color"]) == ("1.2k", "blue")
    assert (stale["message"], stale["color"]) == ("1.2k to 2025-06-30", "lightgrey")


@pytest.mark.parametrize("honest", [1234, None])
def test_every_badge_of_sample_data_says_sample(honest: int | None) -> None:
    assert all(str(b.payload["label"]).startswith("sample: ") for b in badges(honest, source="sample").values())


def test_a_number_gives_way_to_a_number_only() -> None:
    number, placeholder = badges(5)["downloads"], badges(None)["downloads"]
    sample = badges(5, source="sample")["downloads"]
    for better in (number, badges(5, today=AS_OF + timedelta(days=9))["downloads"]):
        assert may_replace(better.payload, number.payload)
        assert not may_replace(better.payload, placeholder.payload)
        assert not may_replace(better.payload, sample.payload)
    for worse in (placeholder.payload, sample.payload, {}):
        assert all(may_replace(worse, badge.payload) for badge in (number, placeholder, sample))


parts = st.integers(0, 10**9).flatmap(lambda whole: st.tuples(st.integers(0, whole), st.just(whole)))


@given(parts)
def test_a_share_is_nothing_only_of_nothing_and_all_only_of_all(numbers: tuple[int, int]) -> None:
    part, whole = numbers
    text = format_share(part, whole)
    if whole == 0:
        assert text == "no downloads"
        return
    assert (text == "0%") == (part == 0)
    assert (text == "100%") == (part == whole)
    assert re.fullmatch(r"\d{1,3}(\.[1-9])?%", text)
    assert abs(float(text[:-1]) - 100 * part / whole) <= 0.1


@pytest.mark.parametrize(
    ("length", "template", "label"),
    [
        (30, "installs ({days}d)", "installs (30d)"),
        (30, "{days} days", "30 days"),
        (30, "installs", "installs"),
        (ALL, "installs ({days}d)", "installs (since 2025-06-01)"),
        (ALL, "{days} days", "30 days"),
    ],
)
def test_a_label_names_its_days(length: int, template: str, label: str) -> None:
    found = badges(5, style=BadgeStyle(labels={"downloads": template}), length=length)
    assert found["downloads"].payload["label"] == label
    assert found["os-linux"].payload["label"] == ("linux (30d)" if length else "linux (since 2025-06-01)")


@pytest.mark.parametrize(
    ("label", "headlines"),
    [
        ("people ({days}d)", ["people (7d)", "people (30d)", "people (all)"]),
        ("people", ["people", "people (30d)", "people (all)"]),
    ],
)
def test_no_two_badges_of_a_package_have_the_same_label(label: str, headlines: list[str]) -> None:
    windows = [WindowState(days, None, 0) for days in (7, 30, ALL)]
    state = PackageState(normalise("a"), "parquet", (windows[0],), former=tuple(windows[1:]))
    style = BadgeStyle(labels={"downloads": label})
    found = badges_of(state, style, today=AS_OF, stale_threshold_days=3)
    labels = [badge.payload["label"] for badge in found]
    assert len(set(labels)) == len(labels) == 3 * len(SLUGS)
    assert [text for text in labels if str(text).startswith("people")] == headlines


def test_the_badge_of_all_days_says_since_when_and_has_a_file_of_its_own() -> None:
    found = badges(1234, length=ALL)["downloads"]
    assert found.file_name == "downloads-all-non-ci.json"
    assert found.payload["label"] == "pip*/uv/poetry/pdm (since 2025-06-01)"
    assert badges(None, length=ALL)["downloads"].payload["message"] == "collecting 12/1d"


@pytest.mark.parametrize(("honest", "color"), [(0, "red"), (99, "red"), (100, "4c1d95"), (10**9, "4c1d95")])
def test_the_headline_its_parts_and_shares_have_thresholds_of_their_own(honest: int, color: str) -> None:
    found = badges(honest, style=BadgeStyle(colors=((0, "red"), (100, "4c1d95")), part_colors=((0, "black"),)))
    assert found["downloads"].payload["color"] == color
    assert {found[slug].payload["color"] for slug in SLUGS if slug not in {"downloads", "honest-share"}} == {"black"}
    assert found["honest-share"].payload["color"] == "blue"


def test_more_keys_come_after_the_four_in_the_order_given() -> None:
    style = BadgeStyle(extras={"labelColor": "black", "cacheSeconds": 3600})
    assert list(badges(5, style=style)["downloads"].payload) == [
        "schemaVersion", "label", "message", "color", "labelColor", "cacheSeconds",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", BADGE_KINDS)
@pytest.mark.parametrize("days", [1, 30, 3660, ALL])
def test_a_file_name_tells_which_badge_it_is(kind: object, days: int) -> None:
    slug = kind.slug  # type: ignore[attr-defined]
    badge = Badge(slug, days, {})
    assert parse_file_name(badge.file_name) == parse_file_name(badge.picture_name) == (slug, days)


@pytest.mark.parametrize(
    "name", ["counts.json", "downloads-0d-non-ci.json", "x-30d-non-ci.json", "downloads-30d-non-ci"]
)
def test_no_other_file_name_is_taken_for_a_badge(name: str) -> None:
    assert parse_file_name(name) is None


def test_a_badge_that_left_the_config_keeps_its_look_and_still_grows_stale() -> None:
    own = BadgeStyle(labels={"downloads": "installs"}, colors=((0, "red"),), extras={"style": "flat-square"})
    published = badges(1234, style=own)["downloads"].payload
    fresh = keep_style(published, badges(2345)["downloads"]).payload
    stale = keep_style(published, badges(2345, today=AS_OF + timedelta(days=9))["downloads"]).payload
    assert fresh == {**published, "message": "2.3k"}
    assert stale == {**published, "message": "2.3k to 2025-06-30", "color": "lightgrey"}
    assert keep_style({}, badges(5)["downloads"]) == badges(5)["downloads"]


def test_the_slugs_are_those_of_the_kinds_each_once() -> None:
    assert len(set(SLUGS)) == len(BADGE_KINDS) == 12
