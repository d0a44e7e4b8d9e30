"""The newest numbers of rows that the source gave are kept, and a damaged file says nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from winnow_dagster.core.completeness import DayRows
from winnow_dagster.store.source_rows import FILE_NAME, SourceRows

DAY = date(2026, 11, 20)
ASKED = datetime(2026, 11, 21, 4, tzinfo=UTC)


def test_a_newer_answer_takes_the_place_of_an_older_one_and_of_no_other_day(tmp_path: Path) -> None:
    later = ASKED + timedelta(days=1)
    SourceRows(tmp_path).update({DAY: 5, DAY - timedelta(days=1): 7}, ASKED)
    known = SourceRows(tmp_path).update({DAY: 6}, later)
    assert known == {DAY: DayRows(6, later), DAY - timedelta(days=1): DayRows(7, ASKED)}
    assert SourceRows(tmp_path).load() == known


def test_no_answer_changes_nothing(tmp_path: Path) -> None:
    assert SourceRows(tmp_path).update({}, ASKED) == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"format": 2}', b'{"format": 1, "days": {"x": [1]}}'])
def test_a_damaged_file_says_nothing_and_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    assert SourceRows(tmp_path).load() == {}
    assert SourceRows(tmp_path).update({DAY: 5}, ASKED) == {DAY: DayRows(5, ASKED)}
