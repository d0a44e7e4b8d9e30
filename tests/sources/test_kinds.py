"""The table of kinds: what a kind is, is said once, and nothing else has to know its name."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from tests.conftest import make_settings
from winnow_dagster.config.loading import BudgetSection
from winnow_dagster.core.names import Selector
from winnow_dagster.defs.resources import Installation
from winnow_dagster.sources.bigquery.billing import Figures
from winnow_dagster.sources.clickhouse.settings import NO_KERNELS
from winnow_dagster.sources.kinds import KINDS, costs_of, costs_or_usual, find_key_problems, open_source

PACKAGE = Path(__file__).parents[2] / "winnow_dagster"
FIRST, LAST = date(2026, 10, 1), date(2026, 10, 30)
FREE_OF_BIGQUERY = ("config", "core", "defs", "files", "instance", "publishing", "site", "store")


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_resolves_to_settings_of_its_name_and_opens(tmp_path: Path, name: str) -> None:
    settings = make_settings(tmp_path, {"a": (7,)}, name)
    assert settings.source.kind == name
    assert open_source(settings.source, settings.source_context)
    assert list(tmp_path.iterdir()) == []


def test_only_services_have_a_pool_and_a_query_for_readers_and_only_bigquery_has_costs(tmp_path: Path) -> None:
    context = make_settings(tmp_path, {"a": (7,)}).source_context
    services = {
        "bigquery": (True, "winnow_bigquery", True, True),
        "clickhouse": (False, "winnow_clickhouse", True, False),
    }
    for name, kind in KINDS.items():
        has_costs = costs_of(kind.section().resolve(tmp_path), context) is not None
        assert (has_costs, kind.pool, kind.reader_query is not None, kind.needs_google) == services.get(
            name, (False, None, False, False)
        )


def test_readers_get_the_query_over_the_public_table() -> None:
    along = KINDS["bigquery"].reader_query
    assert along
    text = along.query([Selector("rich")], FIRST, LAST)
    assert "FROM `bigquery-public-data.pypi.file_downloads`" in text
    assert 'project = "rich"' in text
    assert 'timestamp >= TIMESTAMP("2026-10-01") AND timestamp < TIMESTAMP("2026-10-31")' in text


def test_a_source_without_costs_is_estimated_as_bigquery_with_the_same_days_read_again(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, {"a": (7,)}, "sample")
    kind, costs = costs_or_usual(replace(settings.source, settle_days=5), settings.source_context)
    assert kind == "bigquery"
    assert any("re-read after 5 days" in note for note in costs.estimate(LAST).notes)


def test_a_key_of_another_kind_is_told_apart_from_an_unknown_one() -> None:
    assert list(find_key_problems({"kind": "sample", "path": "x", "table": "t", "odd": 1})) == [
        "source.path: has no use with kind sample. Remove it, or set `kind: parquet`",
        "source.table: has no use with kind sample. Remove it, or set `kind: bigquery`",
    ]
    assert list(find_key_problems({"kind": "parquet"})) == [
        "source.path: missing. Say where the Parquet files are: `path: exports/*.parquet`"
    ]
    assert list(find_key_problems({"kind": [], "path": "x"})) == []


def test_the_default_budget_is_the_free_tier() -> None:
    assert BudgetSection().tib_per_month == Figures.free_tib_per_month


@pytest.mark.parametrize("folder", FREE_OF_BIGQUERY)
def test_no_module_of_another_folder_names_bigquery(folder: str) -> None:
    files = list((PACKAGE / folder).rglob("*.py"))
    assert files
    assert [file.name for file in files if "bigquery" in file.read_text().lower()] == []


def test_loading_a_config_and_its_kinds_imports_no_library_of_a_service() -> None:
    program = (
        "import sys; from winnow_dagster.config.loading import load_settings; import winnow_dagster.sources.kinds\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('google', 'clickhouse_connect')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_server_of_the_users_own_is_not_said_to_be_clickpys(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, {"a": (7,)}, "clickhouse")
    own = replace(settings, source=replace(settings.source, host="db.example.com"))  # type: ignore[call-arg]  # its kind has it
    public, private = (Installation(each).web.site for each in (settings, own))
    assert public.dataset_of("clickhouse") == "pypi.pypi at sql-clickhouse.clickhouse.com"
    assert "ClickPy's copy of PyPI's log" in public.remarks_of("clickhouse")[0]
    assert (private.dataset_of("clickhouse"), private.remarks_of("clickhouse")) == ("", (NO_KERNELS,))
    assert public.remarks_of("clickhouse")[-1] == NO_KERNELS
    assert private.dataset_of("bigquery") == public.dataset_of("bigquery")
