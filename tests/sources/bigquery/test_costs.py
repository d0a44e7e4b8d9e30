"""What `winnow estimate` says of breakdowns: the price of each, whether the config asks for it or not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from winnow_dagster.core.billing import TIB
from winnow_dagster.core.coverage import days_between
from winnow_dagster.core.dimensions import OPEN_DIMENSIONS
from winnow_dagster.core.names import Selector
from winnow_dagster.sources.bigquery.costs import BigQueryCosts
from winnow_dagster.sources.bigquery.settings import BigQuerySettings
from winnow_dagster.sources.interface import SourceContext

DAY = date(2026, 11, 26)
HUNDRED = {Selector.parse(f"p{n}"): 30 for n in range(100)}


@pytest.fixture
def context(tmp_path: Path) -> SourceContext:
    return SourceContext(tmp_path, tmp_path, None, HUNDRED, frozenset(HUNDRED), date(2024, 2, 23), TIB)


def notes(context: SourceContext) -> list[str]:
    found = BigQueryCosts(BigQuerySettings(), context).estimate(DAY).notes
    return [note for note in found if note.startswith(("breakdown by", "estimate_unsaid_ci"))]


def later_month(context: SourceContext) -> str:
    rows = BigQueryCosts(BigQuerySettings(strategy="per_package"), context).estimate(DAY).rows
    return next(row[1] for row in rows if row[0] == "later months")


def test_each_breakdown_that_is_not_read_has_its_price_for_all_entries(context: SourceContext) -> None:
    assert notes(context) == [
        "breakdown by python: +26 %, 0.13 TiB a month for 100 entries (not read)",
        "breakdown by version: +27 %, 0.14 TiB a month for 100 entries (not read)",
        "breakdown by country: +14 %, 78.6 GB a month for 100 entries (not read)",
        "breakdown by libc: +16 %, 92.3 GB a month for 100 entries (not read)",
        "breakdown by cpu: +25 %, 0.13 TiB a month for 100 entries (not read)",
        "breakdown by file_type: +39 %, 0.20 TiB a month for 100 entries (not read)",
        "breakdown by subcommand: +7 %, 39.3 GB a month for 100 entries (not read)",
        "estimate_unsaid_ci: +97 %, 0.49 TiB a month for 100 entries (not read)",
    ]
    assert later_month(context) == "0.51 TiB"


def test_the_table_includes_what_the_config_asks_for(context: SourceContext) -> None:
    asking = replace(context, dimensions=dict.fromkeys(HUNDRED, ("python", "version")))
    assert notes(asking)[:3] == [
        "breakdown by python: +26 %, 0.13 TiB a month for 100 entries (included above)",
        "breakdown by version: +27 %, 0.14 TiB a month for 100 entries (included above)",
        "breakdown by country: +14 %, 78.6 GB a month for 100 entries (not read)",
    ]
    assert later_month(asking) == "0.78 TiB"


def test_a_breakdown_that_some_entries_ask_for_has_its_price_for_these(context: SourceContext) -> None:
    asking = replace(context, dimensions={Selector("p0"): ("python",)}, settling=frozenset())
    assert notes(asking)[0] == "breakdown by python: +26 %, 737 MB a month for 1 entry (included above)"


def test_what_is_not_read_is_not_priced_for_every_package_of_pypi(context: SourceContext) -> None:
    everything = Selector.parse("*")
    both = replace(context, windows={everything: 30, Selector("a"): 30}, settling=frozenset())
    assert all("for 1 entry" in note for note in notes(both))
    assert all("+14 %, 0.40 TiB a month" in note for note in notes(replace(both, windows={everything: 30}))[2:3])


def test_the_prices_of_breakdowns_are_in_the_json_too(context: SourceContext) -> None:
    found = BigQueryCosts(BigQuerySettings(), context).estimate(DAY).content["breakdowns"]
    assert isinstance(found, dict)
    assert list(found) == list(OPEN_DIMENSIONS)
    assert found["python"] == {"bytes_per_month": 147_363_157_895, "entries": 100, "is_read": False}


def test_a_re_read_is_priced_with_its_breakdowns(context: SourceContext) -> None:
    days, entries = days_between(date(2026, 11, 1), date(2026, 11, 30)), [Selector("p0")]
    plain = BigQueryCosts(BigQuerySettings(), context).price_of_refetch(days, entries)
    assert plain.startswith("1 queries, about 2.8 GB")
    asking = replace(context, dimensions=dict.fromkeys(HUNDRED, ("python", "version")))
    assert (
        BigQueryCosts(BigQuerySettings(), asking).price_of_refetch(days, entries).startswith("1 queries, about 4.3 GB")
    )
