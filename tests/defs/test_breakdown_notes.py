"""The metadata of a package's breakdowns: the largest values as a table."""

from __future__ import annotations

from tests.site.broken_down import DAY
from winnow_dagster.core.breakdowns import Breakdown
from winnow_dagster.defs.notes import MAX_VALUES, breakdown_notes


def test_each_dimension_is_a_table_with_its_largest_values_first() -> None:
    breakdown = Breakdown("country", DAY, DAY, {"DE": 3, "US": 9, "": 1}, {"DE": 5, "XK": 2})
    found = breakdown_notes({"country": breakdown})
    assert [tuple(record.data.values()) for record in found["by_country"].records] == [
        ("United States", 9, 0),
        ("Germany", 3, 5),
        ("not said", 1, 0),
        ("XK", 0, 2),
    ]
    assert [column.name for column in found["by_country"].schema.columns] == ["value", "honest", "ci"]


def test_a_table_has_the_largest_values_only() -> None:
    breakdown = Breakdown("version", DAY, DAY, {f"1.{n}": n for n in range(1, 99)}, {})
    values = [record.data["value"] for record in breakdown_notes({"version": breakdown})["by_version"].records]
    assert values == [f"1.{n}" for n in range(98, 98 - MAX_VALUES, -1)]
