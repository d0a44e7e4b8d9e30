"""Errors of a Dagster instance: one line with file, key and fix. Winnow publishes what it can."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.conftest import make_settings
from winnow_dagster.cli import main
from winnow_dagster.config.errors import ConfigError
from winnow_dagster.instance.opening import open_instance

CORRECT = "Correct or remove that key"
FILES = {
    "an unknown key": ("storagee: {sqlite: {base_dir: x}}", f"storagee: unknown key. {CORRECT}"),
    "an unknown key below": ("run_monitoring: {enabledd: true}", f"run_monitoring.enabledd: unknown key. {CORRECT}"),
    "a wrong value": (
        "concurrency: {runs: {max_concurrent_runs: many}}",
        f"concurrency.runs.max_concurrent_runs: a value of a wrong type. {CORRECT}",
    ),
    "no end": (
        "storage: {sqlite: {base_dir: x\n",
        "line 2, column 1: expected ',' or '}', but got '<stream end>'. Corr",
    ),
    "a tab": (
        "storage:\n\tsqlite: 1\n",
        "line 2, column 1: found character '\\t' that cannot start any token. Correct",
    ),
    "no YAML at all": ("\x00\x01", "a character that YAML does not have. Correct that line"),
    "a list": ("- a\n", "is not keys and values. Correct that line"),
    "a variable that is not set": (
        "storage: {sqlite: {base_dir: {env: WINNOW_NOT_SET}}}",
        "storage.sqlite.base_dir: takes its value from $WINNOW_NOT_SET, which is not set. Set the variable, or",
    ),
    "a password that is not set": (
        "storage: {postgres: {postgres_db: {hostname: h, username: u, password: {env: WINNOW_NOT_SET}, db_name: d}}}",
        "storage.postgres.postgres_db.password: takes its value from $WINNOW_NOT_SET, which is not set",
    ),
    "a password that is a number": (
        "storage: {postgres: {postgres_db: {hostname: h, username: u, password: 5ec2e7, port: many, db_name: d}}}",
        "storage.postgres.postgres_db.port: a value of a wrong type",
    ),
    "no such module": ("storage: {custom: {module: not_there, class: X}}", "import module not_there when"),
    "no such class": ("storage: {custom: {module: dagster, class: NotThere}}", "find class NotThere in module"),
    "two storages": ("storage: {sqlite: {base_dir: a}, postgres: {postgres_url: x}}", "Expected one of:['postgres'"),
}


@pytest.mark.parametrize(("content", "says"), FILES.values(), ids=FILES)
@pytest.mark.parametrize("home", ["$DAGSTER_HOME", ""])
def test_without_private_errors_a_wrong_dagster_yaml_would_end_in_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, says: str, home: str
) -> None:
    monkeypatch.delenv("WINNOW_NOT_SET", raising=False)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    folder = tmp_path / "home" if home else tmp_path
    folder.mkdir(exist_ok=True)
    (folder / "dagster.yaml").write_text(content)
    if home:
        monkeypatch.setenv("DAGSTER_HOME", str(folder))
    with pytest.raises(ConfigError) as caught, open_instance(make_settings(tmp_path, {"a": (1,)})):
        pass
    for line in str(caught.value).splitlines():
        assert line.startswith(f"{folder / 'dagster.yaml'}: ")
    assert says in str(caught.value)
    assert "5ec2e7" not in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda file: file.write_bytes(b"\xff\xfe"), "is not UTF-8 text. Save it as UTF-8"),
        (lambda file: file.mkdir(), "cannot be read: Is a directory. Check the path and its permissions"),
    ],
    ids=["not text", "a directory"],
)
def test_the_error_names_an_unreadable_file(tmp_path: Path, make: Callable[[Path], object], says: str) -> None:
    make(tmp_path / "dagster.yaml")
    with pytest.raises(ConfigError) as caught, open_instance(make_settings(tmp_path, {"a": (1,)})):
        pass
    assert str(caught.value) == f"{tmp_path / 'dagster.yaml'}: {says}"


@pytest.fixture
def collect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Result]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)

    def run(content: str) -> Result:
        Path("dagster.yaml").write_text(content)
        Path("winnow.yaml").write_text("packages: [{name: sample-oat}]")
        return CliRunner().invoke(main, ["collect"], catch_exceptions=False)

    return run


def test_a_collect_ends_with_one_line_before_it_reads_anything(collect: Callable[[str], Result]) -> None:
    done = collect("storagee: {}")
    assert done.exit_code == 2
    assert done.stderr.splitlines() == [f"winnow: {Path('dagster.yaml').absolute()}: storagee: unknown key. {CORRECT}"]
    assert not Path("data/sample").exists()


@pytest.mark.parametrize(
    ("database", "reason"),
    [
        ("hostname: 127.0.0.1, port: 1", "Connection refused"),
        ("hostname: no-such-host.invalid, port: 5432", "could not translate host name"),
    ],
)
def test_without_postgresql_a_collect_prints_one_line_and_publishes_all(
    collect: Callable[[str], Result], database: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("dagster_postgres")
    monkeypatch.setattr("dagster_postgres.utils.time.sleep", lambda _: None)
    credentials = "scheme: postgresql+psycopg2, username: u, password: 5ec2e7, db_name: d"
    done = collect(f"storage: {{postgres: {{postgres_db: {{{database}, {credentials}}}}}}}")
    assert done.exit_code == 1
    (line,) = [line for line in done.output.splitlines() if "history of runs" in line]
    assert line.startswith(f"{Path('dagster.yaml').absolute()}: ")
    assert reason in line
    assert "Start the database, or correct host, port, user and password" in line
    assert "5ec2e7" not in done.output
    assert Path("public/sample-oat/downloads-30d-non-ci.json").exists()
    assert os.environ["PGCONNECT_TIMEOUT"] == "3"


def test_without_the_private_reference_relative_folders_would_follow_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "config/dagster.yaml").write_text("storage: {sqlite: {base_dir: history}}\n")
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with open_instance(make_settings(tmp_path / "config", {"a": (1,)})) as instance:
        assert instance.get_runs() == []
        assert Path.cwd() == tmp_path / "elsewhere"
    assert (tmp_path / "config/history/history/runs.db").exists()
    assert list((tmp_path / "elsewhere").iterdir()) == []
