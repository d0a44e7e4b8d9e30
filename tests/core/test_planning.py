"""What is missing is found and asked for once; what is covered is left alone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from hypothesis import given
from hypothesis import strategies as st

from winnow_dagster.core.answers import WaitingAnswer
from winnow_dagster.core.coverage import NO_FACTS, Coverage, Request, end_of
from winnow_dagster.core.merging import merge_coverage
from winnow_dagster.core.names import Selector
from winnow_dagster.core.planning import Gap, find_gaps, plan_requests
from winnow_dagster.core.read_policy import ReadPolicy

A, B, PREFIX, MEMBER = (Selector.parse(text) for text in ("a", "b", "x-*", "x-y"))
START = date(2025, 1, 1)
THROUGH = date(2025, 6, 30)
NOW = datetime(2025, 7, 1, 4, tzinfo=UTC)
READER = ReadPolicy(NOW, settle_days=3)


def ago(days: int) -> date:
    return THROUGH - timedelta(days=days)


def read(*selectors: Selector, at: datetime = NOW) -> Coverage:
    return Coverage(read=dict.fromkeys(selectors, at))


def gaps(longest: dict[Selector, int], stored: dict[date, Coverage], reader: ReadPolicy = READER) -> list[Gap]:
    return find_gaps(longest, stored, reader, start=START, through=THROUGH)


def test_an_empty_store_is_one_gap_of_the_longest_window() -> None:
    assert gaps({A: 30, B: 30}, {}) == [Gap(ago(29), THROUGH, (A, B))]


def test_a_full_store_has_no_gap() -> None:
    assert gaps({A: 30}, {ago(n): read(A) for n in range(30)}) == []


def test_a_package_is_not_asked_for_beyond_its_own_window() -> None:
    assert gaps({A: 3, B: 1}, {}) == [Gap(ago(2), ago(1), (A,)), Gap(THROUGH, THROUGH, (A, B))]


def test_days_off_and_a_package_added_are_gaps_of_their_own() -> None:
    stored = {ago(n): read(A) for n in range(2, 5)}
    assert gaps({A: 5, B: 5}, stored) == [Gap(ago(4), ago(2), (B,)), Gap(ago(1), THROUGH, (A, B))]


def test_nothing_before_the_start_date_is_a_gap() -> None:
    found = find_gaps({A: 400}, {}, READER, start=START, through=THROUGH)
    assert [gap.first for gap in found] == [START]


def test_a_provisional_day_is_a_gap_once_it_has_settled_and_not_before() -> None:
    stored = {ago(n): read(A, at=end_of(ago(n)) + timedelta(hours=4)) for n in range(6)}
    assert gaps({A: 6}, stored) == [Gap(ago(5), ago(3), (A,))]


def test_a_day_first_read_after_it_settled_is_not_read_again() -> None:
    stored = {ago(n): read(A, at=min(NOW, end_of(ago(n)) + timedelta(days=3))) for n in range(6)}
    assert gaps({A: 6}, stored) == []


def test_without_settling_no_day_is_read_twice() -> None:
    stored = {ago(n): read(A, at=end_of(ago(n))) for n in range(6)}
    assert gaps({A: 6}, stored, ReadPolicy(NOW, settle_days=0)) == []


def test_a_prefix_covers_its_members_and_not_the_other_way_round() -> None:
    assert read(PREFIX).covers(MEMBER)
    assert not read(MEMBER).covers(PREFIX)


def test_a_package_is_not_asked_for_beside_a_prefix_that_selects_it() -> None:
    assert plan_requests([THROUGH], [MEMBER, PREFIX], {}, READER) == [Request(PREFIX, THROUGH, THROUGH)]


def test_a_range_is_asked_for_once_per_package_and_run_of_missing_days() -> None:
    days = [ago(n) for n in range(5)]
    stored = {ago(2): read(A)}
    assert plan_requests(days, [A, B], stored, READER) == [
        Request(A, ago(4), ago(3)),
        Request(A, ago(1), THROUGH),
        Request(B, ago(4), THROUGH),
    ]


def test_a_refetch_asks_for_what_is_covered_too() -> None:
    stored = {THROUGH: read(A)}
    assert plan_requests([THROUGH], [A], stored, READER) == []
    assert plan_requests([THROUGH], [A], stored, READER, refetch=True) == [Request(A, THROUGH, THROUGH)]


def test_a_refetch_does_not_ask_for_what_was_read_since_the_user_asked_for_it() -> None:
    before = NOW - timedelta(minutes=1)
    stored = {ago(1): read(A, B, at=before), THROUGH: Coverage({A: NOW, B: before}, failed={B: "503"})}
    asked = plan_requests([ago(1), THROUGH], [A, B], stored, READER, refetch=NOW)
    assert asked == [Request(A, ago(1), ago(1)), Request(B, ago(1), THROUGH)]
    later = NOW + timedelta(minutes=1)
    assert plan_requests([THROUGH], [A], stored, READER, refetch=later) == [Request(A, THROUGH, THROUGH)]


def test_a_refetch_asks_again_for_what_a_clock_that_was_ahead_has_read() -> None:
    stored = {THROUGH: read(A, at=NOW + timedelta(days=1))}
    asked = plan_requests([THROUGH], [A], stored, READER, refetch=NOW)
    assert asked == [Request(A, THROUGH, THROUGH)]


def test_a_day_that_is_not_over_is_never_asked_for() -> None:
    assert plan_requests([NOW.date()], [A], {}, READER, refetch=True) == []
    midnight = datetime.combine(NOW.date(), time.min, tzinfo=UTC) + timedelta(days=1)
    assert plan_requests([NOW.date()], [A], {}, ReadPolicy(midnight)) == [Request(A, NOW.date(), NOW.date())]


@given(
    st.dictionaries(st.integers(0, 20), st.sets(st.sampled_from([A, B, PREFIX, MEMBER]))),
    st.dictionaries(st.sampled_from([A, B, PREFIX, MEMBER]), st.integers(1, 21), min_size=1),
)
def test_once_what_is_asked_for_is_read_there_is_no_gap_left(
    held: dict[int, set[Selector]], longest: dict[Selector, int]
) -> None:
    stored = {ago(n): read(*selectors) for n, selectors in held.items()}
    for gap in gaps(longest, stored):
        days = [gap.first + timedelta(days=n) for n in range(gap.days)]
        for request in plan_requests(days, gap.selectors, stored, READER):
            for day in request.days():
                before = stored.get(day, Coverage())
                assert not before.covers(request.selector)
                stored[day] = Coverage(read={**before.read, request.selector: NOW})
    assert gaps(longest, stored) == []


def test_days_never_read_come_before_days_to_settle() -> None:
    stored = {ago(n): read(A, at=end_of(ago(n)) + timedelta(hours=4)) for n in range(1, 6)}
    assert gaps({A: 6}, stored) == [Gap(THROUGH, THROUGH, (A,)), Gap(ago(5), ago(3), (A,))]


def test_a_package_is_asked_for_by_itself_where_the_prefix_that_selects_it_failed() -> None:
    failed = Coverage(failed={PREFIX: "why"})
    assert plan_requests([THROUGH], [MEMBER, PREFIX], {THROUGH: failed}, READER) == [
        Request(MEMBER, THROUGH, THROUGH),
        Request(PREFIX, THROUGH, THROUGH),
    ]


def test_a_reading_stamped_in_the_future_is_read_again_beyond_the_longest_window_too() -> None:
    stored = {ago(n): read(PREFIX, at=NOW + timedelta(days=1)) for n in range(6)}
    assert gaps({PREFIX: 3}, stored)[-1] == Gap(ago(5), ago(3), (PREFIX,))


def test_a_package_is_read_again_once_if_a_wider_reading_has_a_stamp_in_the_future() -> None:
    day = ago(0)
    ahead = read(PREFIX, at=NOW + timedelta(days=2))
    assert plan_requests([day], [MEMBER], {day: ahead}, READER) == [Request(MEMBER, day, day, is_reread=True)]
    answer = WaitingAnswer((Request(MEMBER, day, day),), NOW, {day: {MEMBER: NO_FACTS}}, {day: dict(ahead.read)})
    again, _ = merge_coverage(day, ahead, [answer])
    assert plan_requests([day], [MEMBER], {day: again}, READER) == []
    assert plan_requests([day], [PREFIX], {day: again}, READER) == [Request(PREFIX, day, day)]


def test_a_refetch_and_a_backfill_say_which_days_have_counts_that_they_replace() -> None:
    package = Selector("a")
    stored = {THROUGH: read(package)}
    reader = ReadPolicy(NOW, dimensions={package: ("python",)}, backfill=frozenset({"python"}))
    days = [ago(1), THROUGH]
    for refetch in (False, True):
        asked = plan_requests(days, [package], stored, reader, refetch=refetch)
        assert [(r.first, r.is_replacing, r.is_reread, r.dimensions) for r in asked] == [
            (ago(1), False, False, ("python",)),
            (THROUGH, True, False, ("python",)),
        ]
    assert [r.is_replacing for r in plan_requests(days, [package], stored, ReadPolicy(NOW), refetch=True)] == [False]


def test_a_narrower_entry_with_more_dimensions_is_asked_for_beside_a_wider_one() -> None:
    wide, package = Selector.parse("*"), Selector("a")
    reader = ReadPolicy(NOW, dimensions={package: ("python",)})
    asked = plan_requests([THROUGH], [wide, package], {}, reader)
    assert [(r.selector, r.dimensions) for r in asked] == [(wide, ()), (package, ("python",))]
    alike = ReadPolicy(NOW, dimensions={wide: ("python",), package: ("python",)})
    assert [r.selector for r in plan_requests([THROUGH], [wide, package], {}, alike)] == [wide]


def test_an_entry_that_a_dead_run_left_to_a_wider_reading_is_read_by_the_next_run() -> None:
    wide = Selector.parse("*")
    reader = ReadPolicy(NOW, dimensions={A: ("python",)}, uncounted=frozenset({THROUGH}))
    (request,) = plan_requests([THROUGH], [wide, A], {THROUGH: read(wide)}, reader)
    assert (request.selector, request.dimensions, request.is_replacing) == (A, ("python",), True)
    assert plan_requests([THROUGH], [wide, A], {THROUGH: read(wide, A)}, reader) == []
    # An entry that is added beside `*` later has the breakdowns of new days only.
    counted = ReadPolicy(NOW, dimensions={A: ("python",)})
    assert plan_requests([THROUGH], [wide, A], {THROUGH: read(wide)}, counted) == []
