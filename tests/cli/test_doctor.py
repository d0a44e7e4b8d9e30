"""`winnow doctor` prints one line per requirement, with its fix, and fails if one is not met."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import polars as pl
import pytest

from tests.cli.conftest import winnow
from tests.cli.terminal import COLUMNS, on_terminal
from tests.downloads import download, write
from tests.fake_bigquery import Service, fake, refused
from tests.google_answers import JOBS_CREATE
from tests.rows import to_frame
from winnow_dagster.config.loading import load_settings
from winnow_dagster.core.coverage import Coverage
from winnow_dagster.core.names import Selector
from winnow_dagster.defs.resources import Installation
from winnow_dagster.sources.bigquery.client import identify
from winnow_dagster.sources.bigquery.settings import EMULATOR_VARIABLE, BigQuerySettings

if TYPE_CHECKING:
    from collections.abc import Iterator

LINES = ["config", "output_dir", "data_dir", "site", "key", "source", "newest day", "clock", "dagster"]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with fake() as service:
        monkeypatch.setenv(EMULATOR_VARIABLE, service.url)
        yield service


def configure(kind: str, **service: str) -> None:
    source = {"kind": kind} | ({"path": "rows/*.parquet"} if kind == "parquet" else {})
    Path("winnow.yaml").write_text(json.dumps({"source": source, "service": service, "packages": [{"name": "a"}]}))


def diagnose() -> dict[str, tuple[bool, str]]:
    """Return whether each requirement is met, and the text of its line, by its name. The exit code must agree."""
    done = winnow("doctor")
    found = {}
    for line in done.stdout.splitlines():
        assert line[:6] in {"ok    ", "FAIL  "}
        found[line[6:20].strip()] = (line.startswith("ok"), line[20:])
    assert done.exit_code == (0 if all(is_ok for is_ok, _ in found.values()) else 1)
    return found


def test_where_all_is_well_it_passes_and_leaves_nothing_behind() -> None:
    configure("sample")
    found = diagnose()
    assert list(found) == LINES
    assert all(is_ok for is_ok, _ in found.values())
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    assert found["newest day"] == (True, f"{yesterday} is whole at the source")
    assert [path.name for path in Path().iterdir()] == ["winnow.yaml"]


def test_each_problem_of_the_config_is_a_line_and_the_rest_is_not_examined() -> None:
    Path("winnow.yaml").write_text("packages: [{name: a/b}]\nservice: {outputdir: x}")
    done = winnow("doctor")
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("FAIL  config") for line in lines)


def test_a_directory_that_cannot_be_made_fails() -> None:
    Path("file").touch()
    configure("sample", output_dir="file/public")
    is_ok, text = diagnose()["output_dir"]
    assert not is_ok
    assert text.endswith("file: Not a directory. A file is where a directory should be: move it away")


def test_a_directory_of_another_config_fails_and_so_does_sample_data_over_real_numbers(tmp_path: Path) -> None:
    configure("sample")
    Path("public").mkdir()
    Path("public/index.html").write_text("mine")
    assert diagnose()["site"][1].startswith(f"{tmp_path}/public/index.html: Winnow did not make this page")
    Path("public/index.html").unlink()
    Path("public/a").mkdir()
    Path("public/a/downloads-3d-non-ci.json").write_text('{"label": "downloads", "message": "14"}')
    is_ok, text = diagnose()["site"]
    assert (is_ok, "sample data does not replace them" in text) == (False, True)
    assert "sample data does not replace them" in winnow("check").stderr


def test_a_full_disk_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    configure("sample")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=50_000_000))
    assert diagnose()["data_dir"][1].endswith("data: only 50 MB are free. Make room, or choose another disk")


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [
        (None, 0o600, "cannot be read: No such file or directory. Set source.credential_file"),
        ("SECRET", 0o600, "is not JSON"),
        (json.dumps(Service().key()), 0o644, "every user of this machine can read the key. Protect it with chmod o="),
    ],
    # The key is another one in each process, and must not be in a name.
    ids=["missing", "no JSON", "readable by all"],
)
def test_a_key_that_is_missing_unusable_or_exposed_fails(
    service: Service, content: str | None, mode: int, says: str
) -> None:
    if content is not None:
        Path("key.json").write_text(content)
        Path("key.json").chmod(mode)
    configure("bigquery", credential_file="key.json")
    is_ok, text = diagnose()["key"]
    assert not is_ok
    assert says in text
    assert "SECRET" not in text


def test_with_an_unusable_key_the_source_is_not_asked(service: Service) -> None:
    configure("bigquery", credential_file="key.json")
    assert "permission" not in diagnose()
    assert service.calls == []


def test_a_free_dry_run_shows_that_bigquery_lets_winnow_ask(service: Service) -> None:
    Path("key.json").write_text(json.dumps(Service().key()))
    Path("key.json").chmod(0o600)
    configure("bigquery", credential_file="key.json")
    found = diagnose()
    assert list(found) == [*LINES[:6], "credentials", "permission", *LINES[6:]]
    assert found["key"] == (True, f"{Path.cwd()}/key.json: can be read, and is private")
    assert found["permission"][1].startswith("may query. BigQuery's upper bound for one of a day's 1 queries")
    assert found["clock"][1].endswith(", as at the source")
    (query,) = (call.body["configuration"] for call in service.calls if call.operation == "insert")
    assert query["dryRun"] is True
    assert not Path("data").exists()


def test_a_refused_permission_fails_with_the_role_that_is_missing(service: Service) -> None:
    service.script("insert", refused(403, "accessDenied", JOBS_CREATE))
    configure("bigquery")
    found = diagnose()
    assert not found["permission"][0]
    assert "BigQuery Job User (roles/bigquery.jobUser)" in found["permission"][1]
    assert "newest day" not in found


def test_the_account_of_a_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text(json.dumps(Service().key()))
    (tmp_path / "key.json").chmod(0o600)
    named = identify(BigQuerySettings(), tmp_path / "key.json")
    assert named == "winnow@winnow-test.iam.gserviceaccount.com, paid by project winnow-test"


def test_a_source_that_stands_still_fails() -> None:
    write(Path("rows/old.parquet"), [download(date(2025, 6, 30), "a")])
    configure("parquet")
    is_ok, text = diagnose()["newest day"]
    assert not is_ok
    assert text.startswith("2025-06-30: the source is ")
    assert text.endswith(" days behind. Wait until it goes on, or use another source")


def test_a_file_that_no_collect_can_use_fails() -> None:
    write(Path("rows/1.parquet"), [download(datetime.now(UTC).date() - timedelta(days=1), "a", ci=True)])
    rows = pl.read_parquet("rows/1.parquet")
    is_number = pl.col("details").struct.with_fields(pl.field("ci").cast(pl.Int8))
    rows.with_columns(is_number).write_parquet("rows/1.parquet")
    configure("parquet")
    says = "column details.ci is Int8, not true or false. Export it as file_downloads has it"
    assert diagnose()["newest day"] == (False, f"{Path.cwd()}/rows/1.parquet: {says}")


def test_a_source_without_files_fails_and_is_not_asked() -> None:
    configure("parquet")
    found = diagnose()
    assert "Correct the path, or export the files there" in found["source"][1]
    assert "newest day" not in found


@pytest.mark.parametrize(("hours", "side"), [(2, "behind"), (-2, "ahead of")])
def test_a_clock_that_differs_from_the_sources_fails(
    service: Service, monkeypatch: pytest.MonkeyPatch, hours: int, side: str
) -> None:
    there = format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True)
    monkeypatch.setattr(BaseHTTPRequestHandler, "date_time_string", lambda *_: there)
    configure("bigquery")
    is_ok, text = diagnose()["clock"]
    assert not is_ok
    assert f" s {side} the source's clock. Set the clock of this machine" in text


def test_a_clock_behind_the_newest_reading_fails() -> None:
    configure("sample")
    day = datetime.now(UTC).date() - timedelta(days=1)
    later = datetime.now(UTC) + timedelta(hours=1)
    Installation(load_settings()).raw.write(day, to_frame([]), Coverage({Selector("a"): later}))
    is_ok, text = diagnose()["clock"]
    assert not is_ok
    assert f"but the store was written at {later:%Y-%m-%d %H:%M}" in text


def test_a_broken_instance_fails() -> None:
    configure("sample")
    Path("dagster.yaml").write_text("storage: [")
    is_ok, text = diagnose()["dagster"]
    assert not is_ok
    assert "dagster.yaml: line 1" in text


def test_on_a_terminal_no_line_is_longer_than_80_columns() -> None:
    configure("parquet")
    code, shown = on_terminal("doctor")
    assert code == 1
    plain = shown.replace("\x1b[32m", "").replace("\x1b[31m", "").replace("\x1b[0m", "")
    assert all(len(line) <= COLUMNS for line in plain.splitlines() if str(Path.cwd()) not in line)
    assert "\x1b[31mFAIL" in shown
