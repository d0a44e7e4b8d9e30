"""`winnow show` prints numbers from the store, and asks the source for packages that the config does not have."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.cli.conftest import winnow
from tests.cli.terminal import COLUMNS, on_terminal
from tests.clickhouse_service import Engine, serve
from tests.clickhouse_service import Service as ClickHouse
from tests.fake_bigquery import Service, fake
from tests.rows import row, to_frame
from winnow_dagster.config.loading import load_settings
from winnow_dagster.core.categories import winnow as categorise
from winnow_dagster.core.coverage import Coverage, ReadingFacts
from winnow_dagster.defs.resources import Installation
from winnow_dagster.site.history import format_json
from winnow_dagster.site.record import format_record
from winnow_dagster.sources.bigquery.settings import EMULATOR_VARIABLE
from winnow_dagster.sources.clickhouse.kind import CLICKHOUSE
from winnow_dagster.sources.clickhouse.source import ClickHouseSource
from winnow_dagster.sources.kinds import KINDS
from winnow_dagster.store.ledger import ledger_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.rows import Row
    from winnow_dagster.sources.interface import Kind

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)


@pytest.fixture
def clickpy(chdb_engine: Engine) -> Iterator[ClickHouse]:
    """A server whose copy is loaded up to today, which is not complete."""
    chdb_engine.create()
    chdb_engine.insert([YESTERDAY - timedelta(days=back) for back in range(-1, 20)], "twine", 200)
    with serve(chdb_engine) as service:
        yield service


def configure(*packages: str, days: int = 3, kind: str = "parquet", **more: object) -> None:
    source = {"kind": kind} | ({"path": "rows/*.parquet"} if kind == "parquet" else {})
    entries = [{"name": name, "window_days": days} for name in packages]
    Path("winnow.yaml").write_text(json.dumps({"source": source, "packages": entries, **more}))


def store(rows: Sequence[Row], days: int, *, short: Sequence[date] = ()) -> None:
    """Store these rows as all that was read for the config's entries on so many days up to yesterday."""
    settings = load_settings()
    installation = Installation(settings)
    for day in (YESTERDAY - timedelta(days=back) for back in range(days)):
        facts = {selector: ReadingFacts(is_short=day in short) for selector in settings.windows}
        coverage = Coverage(dict.fromkeys(settings.windows, datetime.now(UTC)), facts=facts)
        counts = to_frame(row for row in rows if row["date"] == day)
        installation.raw.write(day, counts, coverage)
        installation.honest.write(day, categorise(counts.lazy()).collect(), coverage)


def daily(package: str, counts: Sequence[int], **facts: Any) -> list[Row]:
    """Return rows of a package with these counts, the newest day last."""
    newest_first = enumerate(reversed(counts))
    return [row(YESTERDAY - timedelta(days=back), package, downloads=n, **facts) for back, n in newest_first if n]


def test_a_package_of_the_config_comes_from_the_store() -> None:
    configure("a")
    store(daily("a", [10, 20, 30, 20, 30, 40]) + daily("a", [0, 0, 0, 5, 5, 5], installer="bandersnatch"), 6)
    done = winnow("show", "a")
    assert done.exit_code == 0
    assert done.stderr == ""
    first, total, change, spark, _, *tables = done.stdout.splitlines()
    assert first == "a: 90 installs in 3 days"
    assert total == f"  90 honest of 105 downloads (85.7%), {YESTERDAY - timedelta(days=2)} to {YESTERDAY}"
    before = f"{YESTERDAY - timedelta(days=5)} to {YESTERDAY - timedelta(days=3)}"
    assert change == f"  +50.0 % against 60 from {before}"
    assert spark in {"  ▅▆█", "  =#@"}
    assert tables[0].split() == ["category", "honest,", "by", "installer", "honest,", "by", "system"]
    assert tables[1].split() == ["honest", "90", "85.7%", "pip", "90", "100%", "Linux", "90", "100%"]
    assert tables[3].split()[:3] == ["mirror", "15", "14.3%"]
    assert all(len(line) <= COLUMNS and line == line.rstrip() for line in done.stdout.splitlines())


def test_without_names_all_packages_prefixes_and_groups_are_shown() -> None:
    configure("a", "x-*", groups=[{"name": "both", "packages": ["a", "x-*"], "window_days": 2}])
    store(daily("a", [1, 2, 3]) + daily("x-y", [4, 5, 6]) + daily("x-z", [0, 0, 1]), 3)
    shown = winnow("show").stdout
    titles = [line for line in shown.splitlines() if " in 3 days" in line or " in 2 days" in line]
    assert titles == [
        "a: 6 installs in 3 days",
        "x-y: 15 installs in 3 days",
        "x-z: 1 install in 3 days",
        "both: 17 installs in 2 days",
    ]


def test_a_group_and_a_package_of_a_prefix_are_found_by_name() -> None:
    configure("x-*", groups=[{"name": "both", "packages": ["x-*"], "window_days": 2}])
    store(daily("x-y", [4, 5, 6]), 3)
    assert winnow("show", "X.Y").stdout.startswith("x-y: 15 installs")
    assert winnow("show", "both").stdout.startswith("both: 11 installs in 2 days")


def test_a_package_that_only_the_star_selects_comes_from_the_store() -> None:
    configure("*")
    store(daily("any", [4, 5, 6]), 3)
    assert winnow("show", "any").stdout.startswith("any: 15 installs")


def test_days_sets_the_window() -> None:
    configure("a")
    store(daily("a", [1, 2, 4, 8]), 4)
    assert winnow("show", "a", "--days", "2").stdout.startswith("a: 12 installs in 2 days")


def test_a_window_that_is_not_whole_has_no_number_and_fails() -> None:
    configure("a")
    store(daily("a", [1, 2]), 2)
    done = winnow("show", "a")
    assert done.exit_code == 1
    first = YESTERDAY - timedelta(days=2)
    assert done.stdout.splitlines() == [
        "a: no number yet, 2 of 3 days are read",
        f"  ! 1 days, {first} to {first}: not read yet. Run `winnow collect`",
    ]


def test_more_days_than_the_config_reads_say_what_to_add_to_it() -> None:
    configure("a")
    store(daily("a", [1, 2, 4]), 3)
    done = winnow("show", "a", "--days", "9")
    assert done.exit_code == 1
    assert done.stdout.splitlines()[1] == (
        "  ! 3 of 9 days collected. Winnow reads 3 days: add 9 to window_days, and run `winnow collect`"
    )


@pytest.mark.parametrize(
    ("days", "short", "why"),
    [
        (5, [], "only 2 of the 3 days before are read"),
        (6, [YESTERDAY - timedelta(days=4)], f"PyPI's log lacks rows of {YESTERDAY - timedelta(days=4)}"),
    ],
)
def test_without_two_whole_windows_there_is_no_change(days: int, short: list[date], why: str) -> None:
    configure("a")
    store(daily("a", [1, 2, 3, 4, 5, 6][-days:]), days, short=short)
    assert f"cannot be compared with the window before: {why}" in winnow("show", "a").stdout


def test_a_package_without_a_download_is_0() -> None:
    configure("a")
    store([], 6)
    assert winnow("show", "a").stdout.startswith("a: 0 installs in 3 days\n  0 honest of 0 downloads (no downloads)")


def test_installer_names_send_no_escape_codes() -> None:
    configure("a")
    store(daily("a", [1, 2, 3], installer="\x1b[31mevil"), 3)
    shown = winnow("show", "a").stdout
    assert "evil" in shown
    assert all(line.isprintable() for line in shown.splitlines())


def test_a_package_that_the_config_does_not_have_comes_from_its_source() -> None:
    configure("a", kind="sample")
    done = winnow("show", "httpx", "--days", "7")
    assert done.exit_code == 0
    assert done.stdout.startswith("httpx (sample data): ")
    assert "against" in done.stdout
    assert done.stderr.startswith("httpx: not in the config. Asking sample: ")
    assert [path.name for path in Path().iterdir()] == ["winnow.yaml"]


def test_stored_and_other_packages_are_shown_together() -> None:
    configure("a", kind="sample")
    store(daily("a", [1, 2, 3]), 3)
    assert [p["name"] for p in json.loads(winnow("show", "httpx", "a", "--json").stdout)["packages"]] == ["a", "httpx"]


def test_bigquery_is_asked_only_after_it_has_said_what_that_costs() -> None:
    Path("key.json").write_text(json.dumps(Service().key()))
    configure("a", kind="bigquery", service={"credential_file": "key.json"})
    done = winnow("show", "httpx", "--days", "30")
    assert done.exit_code == 2
    assert "To ask bigquery: 1 queries, about 2.8 GB, $0.02 above the free tier. Add --yes to do it" in done.stderr
    assert not Path("data").exists()


def test_with_yes_bigquery_is_asked_for_one_window_and_the_ledger_has_the_query(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configure("a", kind="bigquery")
    with fake([row(YESTERDAY - timedelta(days=back), "httpx", downloads=7) for back in range(2)]) as service:
        monkeypatch.setenv(EMULATOR_VARIABLE, service.url)
        done = winnow("show", "httpx", "--days", "2", "--yes")
    assert done.exit_code == 0
    assert done.stdout.startswith("httpx: 14 installs in 2 days\n")
    assert "cannot be compared with the window before: only 0 of the 2 days before are read" in done.stdout
    (entry,) = ledger_of(Path("data")).entries()
    assert (entry.selectors, entry.first, entry.last) == (["httpx"], YESTERDAY - timedelta(days=1), YESTERDAY)


@pytest.mark.parametrize("kind", ["sample", "bigquery"])
def test_a_source_without_a_day_since_start_date_says_so_in_one_line(kind: str) -> None:
    start = YESTERDAY + timedelta(days=1)
    configure("a", kind=kind, start_date=str(start))
    Path("winnow.yaml").write_text(Path("winnow.yaml").read_text().replace(f'"{start}"', str(start)))
    done = winnow("show", "zz")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == (
        f"winnow: start_date: {start} is after the newest day of {kind}, {YESTERDAY}. "
        "Set an earlier start_date, or wait until the source has that day"
    )


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["a/b"], "PACKAGE: 'a/b' is not a PyPI name"),
        (["a", "--days", "0"], "0 is not in the range"),
        (["a", "--by", "moon"], "'moon' is not one of"),
    ],
)
def test_bad_arguments_exit_with_2(arguments: list[str], complaint: str) -> None:
    done = winnow("show", *arguments)
    assert (done.exit_code, complaint in done.stderr) == (2, True)


def test_a_published_number_that_the_store_no_longer_has_is_shown_as_its_badge_shows_it() -> None:
    configure("a")
    store(daily("a", [10, 20, 30]), 3)
    installation = Installation(load_settings())
    (package,) = installation.look_up(installation.settings.published_windows)["a"]
    folder = Path("public/a")
    folder.mkdir(parents=True)
    elsewhere = replace(package.state, source="bigquery")
    (folder / "counts.json").write_bytes(format_record(elsewhere))
    (folder / "history.json").write_bytes(format_json(elsewhere, package.history))
    shutil.rmtree("data")
    done = winnow("show", "a")
    assert done.exit_code == 0
    assert done.stdout.startswith("a (from bigquery): 60 installs in 3 days\n")
    assert json.loads(winnow("show", "a", "--json").stdout)["packages"][0]["source"] == "bigquery"


def test_json_has_the_same_numbers() -> None:
    configure("a")
    store(daily("a", [10, 20, 30, 20, 30, 40]), 6)
    (entry,) = json.loads(winnow("show", "a", "--json").stdout)["packages"]
    assert entry["window"]["honest"] == 90
    assert entry["window"]["categories"]["honest"] == 90
    assert (entry["before"]["honest"], entry["before"]["change"]) == (60, 0.5)
    assert list(entry["honest_by_day"].values()) == [20, 30, 40]
    assert (entry["is_stored"], entry["source"], entry["problem"]) == (True, "parquet", None)


def test_a_pipe_that_cannot_encode_blocks_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    configure("a", kind="sample")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    code, shown = on_terminal("show", "httpx")
    assert code == 0
    assert shown.isascii()


def test_on_a_terminal_of_80_columns_no_line_is_longer() -> None:
    configure("a", kind="sample")
    code, shown = on_terminal("show", "requests", "--days", "365")
    assert code == 0
    assert "▇" in shown
    assert all(len(line) <= COLUMNS for line in shown.splitlines())


def test_in_an_empty_folder_a_name_is_asked_of_clickpy(
    clickpy: ClickHouse, chdb_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {"host": "127.0.0.1", "port": clickpy.port, "secure": False}
    # Only the address differs from the public server's.
    kind = replace(CLICKHOUSE, open=lambda settings, _: ClickHouseSource(replace(settings, **here)))
    monkeypatch.setitem(cast("dict[str, Kind]", KINDS), CLICKHOUSE.name, kind)
    days = [YESTERDAY - timedelta(days=back) for back in range(14)]
    chdb_engine.insert(days[:7], "httpx", 3, python_minor="3.12")
    chdb_engine.insert(days[7:], "httpx", 2, python_minor="3.11")
    done = winnow("show", "httpx", "--days", "7", "--by", "python")
    assert done.stderr.startswith("httpx: not in the config. Asking clickhouse pypi.pypi at sql-clickhouse.clickhouse")
    assert done.exit_code == 0
    assert done.stdout.startswith("httpx: 21 installs in 7 days\n")
    assert "+50.0 % against 14 from" in done.stdout
    assert [line.split() for line in done.stdout.splitlines() if line.startswith("  3.12")] == [["3.12", "21", "100%"]]
    assert "The numbers come from ClickPy's copy of PyPI's log" in done.stdout
    assert list(Path().iterdir()) == []
