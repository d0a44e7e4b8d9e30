"""The ledger's entries: their sum for a month, and sizes in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from winnow_dagster.core.billing import GB, MB, TIB, Entry, format_bytes, month_total

DAY = date(2026, 10, 31)
NOW = datetime(2026, 11, 1, 4, tzinfo=UTC)
ENTRY = Entry("1", NOW, DAY, DAY, ["a"], "per_package", 93 * MB, billed=100 * MB)


def test_the_months_sum_counts_a_query_whose_end_is_unknown_by_its_estimate() -> None:
    entries = [
        ENTRY,
        replace(ENTRY, billed=None),
        replace(ENTRY, billed=0),
        replace(ENTRY, at=datetime(2026, 10, 31, 23, 59, tzinfo=UTC)),
    ]
    assert month_total(entries, NOW) == 193 * MB


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 MB"), (153 * MB, "153 MB"), (4.6 * GB, "4.6 GB"), (0.42 * TIB, "0.42 TiB"), (3 * TIB, "3.00 TiB")],
)
def test_sizes_read_as_people_say_them(size: float, text: str) -> None:
    assert format_bytes(size) == text
