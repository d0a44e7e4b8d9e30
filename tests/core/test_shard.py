"""Shards: newer numbers win by window, and what nobody counted stays unknown."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from winnow_dagster.core.badge import SLUGS, BadgeStyle
from winnow_dagster.core.shard import ALL_COLUMNS, HEADLINE_COLUMNS, SHOWN_COLUMNS, Shard, columns_for, shard_of
from winnow_dagster.core.window import Window

DAY = date(2025, 6, 30)
WIDE = (*HEADLINE_COLUMNS, "pip")
NAMES = ("aa", "ab", "ac")
LENGTHS = (30, 7, 365)


@st.composite
def shards(draw: st.DrawFn) -> Shard:
    columns = draw(st.sampled_from([HEADLINE_COLUMNS, WIDE]))
    lengths = tuple(draw(st.lists(st.sampled_from(LENGTHS), unique=True, min_size=1)))
    windows = tuple(Window(days, DAY - timedelta(days=draw(st.integers(0, 2)))) for days in lengths)
    names = draw(st.sets(st.sampled_from(NAMES)))
    numbers = st.tuples(*[st.integers(0, 9)] * len(columns) * len(lengths))
    return Shard("bigquery", columns, windows, lengths, {name: draw(numbers) for name in sorted(names)})


def one_window(
    ago: int = 0, *, columns: tuple[str, ...] = HEADLINE_COLUMNS, **packages: tuple[int | None, ...]
) -> Shard:
    return Shard("bigquery", columns, (Window(30, DAY - timedelta(days=ago)),), (30,), packages)


def expected(computed: Shard, published: Shard, name: str, days: int) -> dict[str, int]:
    """Return what one package has in one window after a publication."""
    window = dict(zip(computed.lengths, computed.windows, strict=True)).get(days)
    before = dict(zip(published.lengths, published.windows, strict=True)).get(days)
    if window and (before is None or window.as_of >= before.as_of):
        return computed.counted(computed.packages.get(name, (0,) * 99), days)
    known = published.counted(published.packages[name], days) if name in published.packages else {}
    return {column: count for column, count in known.items() if column in computed.columns}


@settings(max_examples=50)
@given(shards(), shards())
def test_each_window_of_each_package_is_the_newest_of_the_computed_and_the_published_one(
    computed: Shard, published: Shard
) -> None:
    kept = computed.keep_newest(published)
    assert kept.columns == computed.columns
    assert kept.lengths[: len(computed.lengths)] == computed.lengths
    assert set(kept.lengths) == {*computed.lengths, *published.lengths}
    assert list(kept.packages) == sorted({*computed.packages, *published.packages})
    for days, window in zip(kept.lengths, kept.windows, strict=True):
        both = [(s, s.lengths.index(days)) for s in (computed, published) if days in s.lengths]
        assert window.as_of == max(shard.windows[at].as_of for shard, at in both)
        for name, numbers in kept.packages.items():
            assert kept.counted(numbers, days) == expected(computed, published, name, days)


@settings(max_examples=50)
@given(shards(), shards())
def test_to_publish_the_same_shard_again_changes_nothing(computed: Shard, published: Shard) -> None:
    kept = computed.keep_newest(published)
    assert computed.keep_newest(kept) == kept


def test_without_a_published_shard_the_computed_one_stays() -> None:
    computed = one_window(aa=(1, 2))
    assert computed.keep_newest(None) is computed


def test_a_published_package_that_is_no_longer_downloaded_has_zero_and_not_nothing() -> None:
    kept = one_window(0, aa=(1, 2)).keep_newest(one_window(1, ab=(3, 4)))
    assert kept.packages == {"aa": (1, 2), "ab": (0, 0)}


def test_what_the_published_shard_did_not_count_is_unknown_and_not_zero() -> None:
    kept = one_window(1, columns=WIDE, aa=(1, 2, 1), ac=(1, 1, 1)).keep_newest(one_window(0, aa=(5, 6)))
    assert kept.packages == {"aa": (5, 6, None), "ac": (None, None, None)}
    assert kept.counted(kept.packages["aa"], 30) == {"honest": 5, "raw": 6}
    assert kept.can_show(kept.packages["aa"], 30, "downloads")
    assert not kept.can_show(kept.packages["aa"], 30, "installer-pip")


def test_a_package_without_an_honest_count_has_no_window() -> None:
    shard = one_window(aa=(1, 2), ac=(None, None))
    (window,) = shard.state(shard.packages["aa"]).windows
    assert window.counts is not None
    assert (window.days, window.counts.window, window.counts.honest, window.counts.raw) == (30, Window(30, DAY), 1, 2)
    assert shard.state(shard.packages["ac"]).windows == ()


def test_a_badge_of_a_share_needs_the_raw_count_too() -> None:
    shard = one_window(aa=(1, None))
    assert shard.can_show(shard.packages["aa"], 30, "downloads")
    assert not shard.can_show(shard.packages["aa"], 30, "honest-share")


@settings(max_examples=50)
@given(shards(), st.sets(st.sampled_from(LENGTHS)))
def test_a_shard_without_some_windows_keeps_the_numbers_of_the_others(shard: Shard, gone: set[int]) -> None:
    left = shard.without(gone)
    assert left.lengths == tuple(days for days in shard.lengths if days not in gone)
    for name, numbers in shard.packages.items():
        for days in left.lengths:
            assert left.counted(left.packages[name], days) == shard.counted(numbers, days)
            assert left.windows[left.lengths.index(days)] == shard.windows[shard.lengths.index(days)]


def test_shards_have_in_common_the_windows_of_the_same_days_and_columns() -> None:
    ends = (DAY, DAY)
    shard = Shard("bigquery", HEADLINE_COLUMNS, tuple(map(Window, (30, 7), ends)), (30, 7), {})
    older = Shard("bigquery", HEADLINE_COLUMNS, (Window(7, DAY), Window(30, DAY - timedelta(days=1))), (7, 30), {})
    assert shard.common_lengths(older) == [7]
    assert one_window().common_lengths(one_window(columns=WIDE)) == []


def test_the_headline_and_the_share_need_only_two_columns() -> None:
    assert columns_for(BadgeStyle(slugs=("downloads", "honest-share"))) == HEADLINE_COLUMNS
    assert columns_for(BadgeStyle(slugs=("downloads", "os-linux"))) == ALL_COLUMNS
    assert columns_for(BadgeStyle()) == ALL_COLUMNS


def test_all_columns_are_enough_for_every_badge() -> None:
    assert set(SHOWN_COLUMNS) == set(SLUGS)
    assert all(needed <= set(ALL_COLUMNS) for needed in SHOWN_COLUMNS.values())


def test_names_that_begin_with_the_same_two_characters_share_a_shard() -> None:
    assert [shard_of(name) for name in ("requests", "re", "r", "2to3")] == ["re", "re", "r", "2t"]
