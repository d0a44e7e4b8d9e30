"""What winnow.yaml may say of a ClickHouse server."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from textwrap import dedent

import pytest

from winnow_dagster.config.errors import ConfigError
from winnow_dagster.config.loading import load_settings
from winnow_dagster.config.settings import Settings
from winnow_dagster.preflight import find_problems
from winnow_dagster.sources.clickhouse.settings import NO_LIMITS, ClickHouseSettings


def load(folder: Path, text: str) -> Settings:
    path = folder / "winnow.yaml"
    path.write_text(dedent(text))
    return load_settings(path)


def source_of(settings: Settings) -> ClickHouseSettings:
    assert isinstance(settings.source, ClickHouseSettings)
    return settings.source


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    return [line.partition("winnow.yaml: ")[2] for line in str(caught.value).splitlines()]


def test_the_kind_alone_means_clickpys_public_server(tmp_path: Path) -> None:
    settings = load(tmp_path, "source: {kind: clickhouse}\npackages: [{name: rich}, {name: dagster-*}]")
    source = source_of(settings)
    assert (source.host, source.port, source.user, source.password) == (
        "sql-clickhouse.clickhouse.com",
        443,
        "demo",
        "",
    )
    assert (source.secure, source.database, source.table, source.settle_days) == (True, "pypi", "pypi", 3)
    assert settings.store_folder == tmp_path / "data" / "clickhouse"
    assert settings.start_date == date(2026, 8, 25)
    assert str(source) == "clickhouse pypi.pypi at sql-clickhouse.clickhouse.com"


def test_an_own_server_has_its_own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CH_PASSWORD", "s3cret")
    text = """
        source:
          kind: clickhouse
          host: clickhouse.example.com
          port: 9443
          user: winnow
          password_env: CH_PASSWORD
          database: logs
          table: downloads
          control: Flit_Core
          settle_days: 5
        packages: [{name: rich}]
    """
    settings = load(tmp_path, text)
    source = source_of(settings)
    assert (source.port, source.user, source.password, source.control) == (9443, "winnow", "s3cret", "flit-core")
    assert "s3cret" not in repr(source)
    assert settings.store_folder != load(tmp_path, text.replace("downloads", "others")).store_folder
    assert settings.store_folder.name.startswith("clickhouse-")


@pytest.mark.parametrize(("secure", "port"), [("true", 8443), ("false", 8123)])
def test_an_own_server_has_clickhouses_usual_port_and_user(tmp_path: Path, secure: str, port: int) -> None:
    text = f"source: {{kind: clickhouse, host: db.example.com, secure: {secure}}}\npackages: [{{name: rich}}]"
    source = source_of(load(tmp_path, text))
    assert (source.port, source.user, source.limits) == (port, "default", NO_LIMITS)


def test_a_variable_that_is_not_set_is_found_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CH_PASSWORD", raising=False)
    text = "source: {kind: clickhouse, password_env: CH_PASSWORD}\npackages: [{name: rich}]"
    assert "source.password_env: the environment has no variable CH_PASSWORD. Set it to the password" in find_problems(
        load(tmp_path, text)
    )


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("host: 'https://x.example.com'", "source.host: 'https://…' is not a host. Write its name only"),
        ("port: 0", "source.port: "),
        ("database: 'a.b'", "'a.b' is not a name of a database or table"),
        ("table: pypi.pypi", "'pypi.pypi' is not a name of a database or table"),
        ("password_env: 'hunter 2'", "source.password_env: is not the name of an environment variable"),
        ("control: 'a b'", "'a b' is not a PyPI name"),
        ("secure: 1", "source.secure: "),
        ("path: x", "source.path: has no use with kind clickhouse"),
        ("credential_file: x", "source.credential_file: has no use with kind clickhouse"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, key: str, problem: str) -> None:
    found = problems(tmp_path, f"source: {{kind: clickhouse, {key}}}\npackages: [{{name: rich}}]")
    assert len(found) == 1
    assert problem in found[0]
    assert "hunter" not in found[0]


def test_a_table_of_bigquery_keeps_its_own_rule(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "source: {kind: bigquery, table: pypi}\npackages: [{name: rich}]")
    assert "Write it as project.dataset.table" in problem


def test_all_packages_are_too_many_and_prefixes_are_not(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "source: {kind: clickhouse}\npackages: [{name: rich}, {name: '*'}]")
    assert problem == (
        "packages[1].name: '*' has no use with kind clickhouse: a whole day has more rows than ClickPy's server reads "
        "in one query. List packages or prefixes, or use kind bigquery"
    )


def test_days_before_the_present_definition_are_not_configured(tmp_path: Path) -> None:
    text = "source: {kind: clickhouse}\nstart_date: DAY\npackages: [{name: rich}]"
    (problem,) = problems(tmp_path, text.replace("DAY", "2026-08-24"))
    assert problem == (
        "start_date: 2026-08-24 is too early: kind clickhouse reads days since 2026-08-25. Use that day or later, or "
        "remove the key"
    )
    assert load(tmp_path, text.replace("DAY", "2026-09-01")).start_date == date(2026, 9, 1)
