"""History files: read back as they were written, stable, and harmless in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from winnow_dagster.core.definition import LAST_MIXED_DAY, Definition
from winnow_dagster.core.history import NUMBERS, Day, History
from winnow_dagster.core.window import PackageState, Window
from winnow_dagster.site.history import format_csv, format_json, format_short_json, merge_short_histories, parse_json

FIRST = date(2025, 6, 1)
NEW = date(2026, 9, 10)
STATE = PackageState("a", "parquet", ())
ONE_DAY = History((Day(FIRST, provisional=False, numbers=(0,) * len(NUMBERS)),))
counts = st.lists(st.integers(0, 2**62), min_size=len(NUMBERS), max_size=len(NUMBERS))
histories = st.dictionaries(
    st.integers(0, 400), st.tuples(st.booleans(), counts, st.sampled_from(Definition), st.booleans()), max_size=9
).map(
    lambda days: History(
        tuple(
            Day(FIRST + timedelta(days=at), provisional, tuple(numbers), definition, is_short)
            for at, (provisional, numbers, definition, is_short) in sorted(days.items())
        ),
    )
)


@given(histories)
def test_what_is_written_as_json_is_read_back_and_lists_what_is_missing(history: History) -> None:
    content = format_json(STATE, history)
    assert parse_json(content) == history
    fields = json.loads(content)
    assert list(fields) == ["format", "package", "source", "first_day", "last_day", "missing", "short_days", "days"]
    assert len(fields["missing"]) == len(history.missing())
    for day, row in zip(fields["days"], history.days, strict=True):
        assert day["categories"]["honest"] == row.by_name()["honest"]
        assert day["by_installer"]["uv"] == row.by_name()["uv"]
        assert day["by_system"]["other_system"] == row.by_name()["other_system"]
        assert day["definition"] == row.definition
        assert (day["date"] in fields["short_days"]) is row.is_short
        assert day["reading"] == ("provisional" if row.provisional else "settled")


@given(histories)
def test_no_cell_of_the_csv_can_be_taken_for_a_formula(history: History) -> None:
    rows = list(csv.reader(io.StringIO(format_csv("parquet", history).decode())))
    assert rows[0] == ["date", "reading", *NUMBERS, "definition", "source"]
    assert len(rows) == len(history.days) + 1
    for row in rows:
        assert len(row) == len(rows[0])
        assert all(cell[0].isalnum() for cell in row)


def test_what_is_no_history_is_read_as_none() -> None:
    for content in (
        None,
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"format": 2}',
        b'{"format": 1, "days": [{}]}',
        b'{"format": 1}',
        format_json(STATE, History((Day(FIRST, provisional=False, numbers=(0,) * len(NUMBERS)),))).replace(
            b'"raw":0', b'"raw":"0"'
        ),
    ):
        assert parse_json(content) == History.empty()
    assert parse_json(format_json(STATE, History.empty())) == History.empty()


def test_days_published_by_a_release_before_the_definition_count_requests_up_to_the_change_of_the_log() -> None:
    days = [LAST_MIXED_DAY, LAST_MIXED_DAY + timedelta(days=1)]
    history = History(tuple(Day(day, provisional=False, numbers=(0,) * len(NUMBERS)) for day in days))
    before = format_json(STATE, history).replace(b',"definition":"files"', b"")
    assert [day.definition for day in parse_json(before).days] == [Definition.REQUESTS, Definition.FILES]


def test_the_days_of_a_package_that_all_of_pypi_publishes_state_their_definition() -> None:
    old, new = "2026-08-23", str(NEW)
    shown = [Window(30, NEW)]
    without_definition = f'{{"format": 2, "days": {{"{old}":[1,2],"{new}":[3,4]}}}}'.encode()

    first = format_short_json(
        "parquet", "demo", merge_short_histories(f'"{new}":[5,6]', without_definition, [Window(1, NEW)], shown)
    )
    second = format_short_json(
        "parquet", "demo", merge_short_histories(f'"{new}":[7,8]', first, [Window(1, NEW)], shown)
    )
    third = format_short_json(
        "parquet", "demo", merge_short_histories(f'"{old}":[1,1],"{new}":[7,8]', second, shown, shown)
    )

    for content in (first, second):
        assert [day.definition for day in parse_json(content).days] == [Definition.REQUESTS, Definition.FILES]
    assert json.loads(second)["definitions"] == {old: "requests"}
    assert {day.definition for day in parse_json(third).days} == {Definition.FILES}
    assert json.loads(third)["definition"] == "files"
