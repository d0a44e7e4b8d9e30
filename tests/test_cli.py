"""The `winnow` command: its files, output and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from tests.downloads import download, write
from winnow_dagster.cli import collect_like_predecessor, main
from winnow_dagster.config.loading import CONFIG_VARIABLE
from winnow_dagster.config.settings import HOME_VARIABLE
from winnow_dagster.core.billing import Entry
from winnow_dagster.files.processes import this_machine
from winnow_dagster.instance.runs import PROCESS_TAG
from winnow_dagster.store.ledger import ledger_of

if TYPE_CHECKING:
    from collections.abc import Sequence

DAY = date(2025, 6, 30)
NEW = date(2026, 10, 1)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(CONFIG_VARIABLE, raising=False)
    monkeypatch.delenv(HOME_VARIABLE, raising=False)
    return tmp_path


def configure(packages: Sequence[str], *, days: int = 3, path: str = "rows/*.parquet") -> Path:
    """Write a config for packages over files of ten downloads a day each, of ten days up to DAY."""
    for back in range(10):
        day = DAY - timedelta(days=back)
        write(Path(f"rows/{day}.parquet"), [download(day, name) for name in ("a", "b", "x-y") for _ in range(10)])
    config = {
        "source": {"kind": "parquet", "path": path},
        "packages": [{"name": name, "window_days": days} for name in packages],
    }
    Path("winnow.yaml").write_text(json.dumps(config))
    return Path("winnow.yaml")


def winnow(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def message(package: str, days: int = 3) -> str:
    badge = json.loads(Path(f"public/{package}/downloads-{days}d-non-ci.json").read_bytes())
    text: str = badge["message"]
    return text


def published() -> dict[str, int]:
    return {
        str(path): path.stat().st_mtime_ns
        for path in Path("public").rglob("*")
        if path.is_file() and path.name != "_health.json"
    }


def recorded_runs(home: Path) -> int:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        return len(instance.get_runs())


def test_without_a_config_four_sample_packages_are_published_through_yesterday() -> None:
    # Midnight may pass meanwhile.
    yesterdays = {str(datetime.now(UTC).date() - timedelta(days=1))}
    result = winnow("collect")
    yesterdays.add(str(datetime.now(UTC).date() - timedelta(days=1)))
    assert result.exit_code == 0
    health = json.loads(Path("public/_health.json").read_bytes())
    assert health["sample"] is True
    assert len(health["packages"]) == 4
    for name, entry in health["packages"].items():
        assert entry["as_of"] in yesterdays
        assert name in result.stdout


def test_a_collect_publishes_and_a_second_one_reads_nothing_and_touches_nothing() -> None:
    configure(["a", "b"])
    assert winnow("collect", "--through", str(DAY)).exit_code == 0
    assert message("a") == "30"
    before = published()
    health = Path("public/_health.json").read_bytes()
    for file in Path("rows").iterdir():
        file.unlink()
    assert winnow("collect", "--through", str(DAY)).exit_code == 0
    assert published() == before
    assert Path("public/_health.json").read_bytes() != health


def test_the_table_shows_package_headline_honest_of_raw_as_of_and_errors() -> None:
    configure(["a", "b"], days=30)
    result = winnow("collect", "--through", str(DAY))
    assert result.exit_code == 1
    assert "2025-06-01 to 2025-06-30 for 2 entries of `packages:`" in result.stdout
    assert "collecting 10/30d" in result.stdout
    assert "2025-06-20: " in result.stdout
    assert "has no row of that day. Add the file that does" in result.stdout
    again = winnow("collect", "--config", str(configure(["a"], days=2)), "--through", str(DAY)).stdout.splitlines()
    assert again[-3].split() == ["a", "20", "2", "days", "20", "20", str(DAY)]
    assert all(len(line) <= 80 for line in again[:-1])


def test_an_incomplete_package_does_not_stop_the_others() -> None:
    configure(["a", "b"])
    config = json.loads(Path("winnow.yaml").read_text())
    config["packages"][1]["window_days"] = 30
    Path("winnow.yaml").write_text(json.dumps(config))
    assert winnow("collect", "--through", str(DAY)).exit_code == 1
    assert message("a") == "30"
    assert message("b", 30) == "collecting 10/30d"


def test_a_replay_of_old_days_is_not_stale() -> None:
    configure(["a"])
    assert winnow("collect", "--through", str(DAY - timedelta(days=5))).exit_code == 0
    assert message("a") == "30"


def test_collecting_an_older_day_later_replaces_no_number() -> None:
    configure(["a"])
    winnow("collect", "--through", str(DAY))
    before = published()
    winnow("collect", "--through", str(DAY - timedelta(days=2)))
    assert published() == before


def test_one_package_can_be_collected_by_itself() -> None:
    configure(["A", "b", "x-*"])
    result = winnow("collect", "--through", str(DAY), "--package", "a", "--package", "x.y")
    assert result.exit_code == 0
    assert (message("a"), message("x-y"), message("b")) == ("30", "30", "collecting 0/3d")
    assert "collecting" not in result.stdout


def test_a_prefix_that_could_not_be_read_has_a_line_although_it_lists_no_package() -> None:
    configure(["x-*"], days=30)
    for file in Path("rows").iterdir():
        file.unlink()
    result = winnow("collect", "--through", str(DAY))
    assert result.exit_code == 1
    assert "x-*: 30 days, 2025-06-01 to 2025-06-30: source.path: no file at" in result.stdout


def test_a_name_without_a_download_gets_a_remark_and_does_not_fail() -> None:
    configure(["a", "reqests", "reqests-*"])
    result = winnow("collect", "--through", str(DAY))
    assert result.exit_code == 0
    assert "\nreqests: no download in 3 days: is the name right?\n" in result.stdout
    assert "reqests-*: no package with such a name was downloaded: is the prefix right?" in result.stdout
    assert result.stdout.count("right?") == 2


def test_a_group_with_the_name_of_a_package_does_not_show_its_error() -> None:
    configure(["a"], days=30)
    config = json.loads(Path("winnow.yaml").read_text()) | {"groups": [{"name": "a", "packages": ["a"]}]}
    Path("winnow.yaml").write_text(json.dumps(config))
    result = winnow("collect", "--through", str(DAY))
    package, group = (line for line in result.stdout.splitlines() if line.startswith(("a: ", "a (group): ")))
    assert package.startswith("a: 20 days, 2025-06-01 to 2025-06-20: ")
    assert group == "a (group): 2025-06-20 could not be read"


def test_a_package_of_a_prefix_without_a_download_has_a_line() -> None:
    configure(["x-*"])
    result = winnow("collect", "--through", str(DAY), "--package", "x-yy")
    assert result.exit_code == 1
    assert "x-yy: no download in the days read" in result.stdout


def test_the_error_names_a_missing_dagster_home(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(["a"])
    monkeypatch.setenv(HOME_VARIABLE, "nowhere")
    result = winnow("collect", "--through", str(DAY))
    assert result.exit_code == 2
    assert "nowhere: $DAGSTER_HOME is not a directory. Make it, or unset the variable" in result.stderr


def test_the_error_names_a_file_that_lacks_a_column_and_published_files_stay() -> None:
    import polars as pl  # noqa: PLC0415 - one test's file

    configure(["a"])
    winnow("collect", "--through", str(DAY - timedelta(days=1)))
    before = published()
    wrong = Path("rows") / f"{DAY}.parquet"
    pl.read_parquet(wrong).drop("project").write_parquet(wrong)
    result = winnow("collect", "--through", str(DAY))
    assert result.exit_code == 1
    assert f"{wrong.absolute()}: has no column project. Export it" in result.stdout
    assert message("a") == "30"
    changed = {name for name, at in published().items() if before.get(name) != at}
    names = {"public/_packages.json", "public/index.html", "public/a/counts.json", "public/a/index.html"}
    assert changed <= names


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--through", "tomorrow"], "--through: 'tomorrow' is not a day. Write it as "),
        (["--through", ""], "--through: '' is not a day. Write it as "),
        (["--through", "2024-01-01"], "--through: 2024-01-01 is before start_date, 2024-02-23. Choose a later day"),
        (["--through", "2999-12-31"], "--through: 2999-12-31 is not over yet (UTC). The newest day is "),
        (["--package", "aa"], "--package: aa is not in the config. Did you mean a?"),
        (["--package", "zzz"], "--package: zzz is not in the config. Add it under packages: first"),
        (["--package", "../a"], "--package: '../a' is not a PyPI name. Use "),
        (["--config", "nowhere.yaml"], "nowhere.yaml: cannot be read: No such file or directory"),
        (["--pakage", "a"], "No such option"),
    ],
)
def test_bad_arguments_exit_with_2_before_anything_is_read_or_written(arguments: list[str], complaint: str) -> None:
    configure(["a"])
    result = winnow("collect", *arguments)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert not Path("public").exists()
    assert not Path("data").exists()


def test_a_bad_config_exits_with_2_and_a_line_for_each_problem() -> None:
    Path("winnow.yaml").write_text("packages: [{name: a/b}]\nservice: {outputdir: x}")
    result = winnow("collect")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 2
    assert [path.name for path in Path().iterdir()] == ["winnow.yaml"]


def test_sample_data_over_real_numbers_is_refused_before_anything_is_written() -> None:
    configure(["a"])
    winnow("collect", "--through", str(DAY))
    before = published()
    Path("winnow.yaml").write_text("packages: [{name: a, window_days: 3}]")
    result = winnow("collect")
    assert result.exit_code == 2
    assert "holds real numbers, and sample data does not replace them" in result.stderr
    assert published() == before


def test_winnow_collect_of_the_predecessor_works(monkeypatch: pytest.MonkeyPatch) -> None:
    config = configure(["a"])
    monkeypatch.setattr(sys, "argv", ["winnow-collect", "--config", str(config), "--through", str(DAY)])
    with pytest.raises(SystemExit) as ended:
        collect_like_predecessor()
    assert ended.value.code == 0
    assert message("a") == "30"


def test_a_directory_that_is_not_winnows_ends_the_command_of_the_predecessor_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configure(["a"])
    Path("public").mkdir()
    Path("public/index.html").write_text("mine")
    monkeypatch.setattr(sys, "argv", ["winnow-collect", "--config", str(config), "--through", str(DAY)])
    with pytest.raises(SystemExit) as ended:
        collect_like_predecessor()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"winnow: {Path('public').absolute()}")
    assert Path("public/index.html").read_text() == "mine"


def test_a_group_is_not_a_package_to_collect() -> None:
    config = {"packages": [{"name": "a"}, {"name": "b"}], "groups": [{"name": "g", "packages": ["a", "b"]}]}
    Path("winnow.yaml").write_text(json.dumps(config))
    result = winnow("collect", "--package", "g")
    assert result.exit_code == 2
    assert result.stderr == "winnow: --package: g is a group. Name its packages instead: a, b\n"


def test_runs_are_recorded_in_data_dir_if_there_is_no_other_instance() -> None:
    configure(["a"])
    winnow("collect", "--through", str(DAY))
    assert recorded_runs(Path("data/dagster")) == 3
    assert "enabled: false" in Path("data/dagster/dagster.yaml").read_text()


def test_runs_are_recorded_in_the_configs_folder_if_it_has_an_instance(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure(["a"]).absolute()
    instance = "storage: {sqlite: {base_dir: history}}\ntelemetry: {enabled: false}\n"
    Path("dagster.yaml").write_text(instance)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert winnow("collect", "--config", str(config), "--through", str(DAY)).exit_code == 0
    assert list(Path().iterdir()) == []
    monkeypatch.chdir(folder)
    assert recorded_runs(folder) == 3


def test_runs_are_recorded_in_dagster_home_if_it_is_set(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path_factory.mktemp("home")
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}")
    monkeypatch.setenv(HOME_VARIABLE, str(home))
    configure(["a"])
    winnow("collect", "--through", str(DAY))
    assert recorded_runs(home) == 3
    assert not Path("data/dagster").exists()


def test_check_lists_what_the_config_publishes_and_writes_nothing() -> None:
    configure(["A.b", "x-*"], days=7)
    result = winnow("check")
    assert result.exit_code == 0
    for text in ("parquet", "rows/*.parquet", "A.b", "a-b/, A.b/", "x-*", "7", "2024-02-23", "to fetch", "files"):
        assert text in result.stdout
    assert all(len(line) <= 80 for line in result.stdout.splitlines() if str(Path.cwd()) not in line)
    assert not Path("public").exists()
    assert not Path("data").exists()


def test_estimate_prices_a_config_by_the_defaults_and_then_by_the_ledger() -> None:
    packages = [{"name": f"p{n}"} for n in range(100)]
    Path("winnow.yaml").write_text(json.dumps({"source": {"kind": "bigquery"}, "packages": packages}))
    result = winnow("estimate")
    assert result.exit_code == 0
    first, _, titles, *_ = lines = result.stdout.splitlines()
    assert first == "100 packages: free (76 % of the free TiB in the first month, 51 % after)"
    assert titles.split() == ["per_package", "batched", "scan", "auto", "(set)"]
    auto = [line.split("  ")[-1].strip() for line in (line.rstrip() for line in lines[4:14])]
    assert auto == [
        "0.25 TiB",
        "9.3 GB",
        "0.25 TiB",
        "0.25 TiB",
        "0.76 TiB",
        "$0.00",
        "0.51 TiB",
        "$0.00",
        "100",
        "100",
    ]
    assert all(len(line) <= 80 for line in lines[:14])
    assert "93 MB per package and day: from the defaults" in result.stdout
    now = datetime.now(UTC)
    ledger_of(Path("data")).enter(Entry("1", now, NEW, NEW, ["p0", "p1"], "per_package", 0, billed=80_000_000))
    again = winnow("estimate").stdout
    assert "40 MB per package and day: from the ledger" in again
    assert "103.7 GB per scan of a day: from the defaults" in again
    assert "this month so far: 80 MB of a budget of 1.00 TiB" in again
    assert not Path("public").exists()


def test_one_line_names_an_output_dir_that_cannot_be_made() -> None:
    configure(["a"])
    Path("public").write_text("a file where a directory should be")
    result = winnow("collect", "--through", str(DAY))
    assert result.exit_code == 1
    assert str(Path("public").absolute()) in result.stderr
    assert len(result.output.splitlines()) == 1


def test_the_process_shows_no_log_and_exits_with_1_if_a_package_is_incomplete() -> None:
    configure(["a"], days=30)
    command = [sys.executable, "-m", "winnow_dagster", "collect", "--through", str(DAY)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, "COLUMNS": "80"})
    assert done.returncode == 1
    assert done.stderr == ""
    assert "dagster" not in done.stdout


def test_a_message_that_reads_as_markup_is_printed_as_it_is() -> None:
    configure(["a"], path="rows[/b]/*.parquet")
    result = winnow("collect", "--through", str(DAY))
    assert result.exit_code == 1
    assert "rows[/b]/*.parquet" in result.stdout


def test_a_file_name_sends_no_escape_codes_to_the_terminal() -> None:
    config = configure(["a"])
    name = "\x1b[31m\x9b2J\x07\u202eevil.parquet"
    (Path("rows") / name).write_bytes(b"nothing")
    for result in (winnow("collect", "--through", str(DAY)), winnow("check", "--config", str(config))):
        assert all(line.isprintable() for line in result.output.split("\n")), result.output
    assert "evil.parquet" in winnow("collect", "--through", str(DAY)).stdout


def test_a_run_whose_process_died_is_closed_by_the_next_collect(monkeypatch: pytest.MonkeyPatch) -> None:
    configure(["a"])
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    tag = {PROCESS_TAG: f"{dead.pid}.1@{this_machine()} died"}
    winnow("collect", "--through", str(DAY - timedelta(days=1)))
    with dg.DagsterInstance.from_config("data/dagster") as instance:
        run = instance.get_runs()[0]
        instance.add_run(run._replace(run_id="died", status=dg.DagsterRunStatus.STARTED, tags={**run.tags, **tag}))
    winnow("collect", "--through", str(DAY))
    with dg.DagsterInstance.from_config("data/dagster") as instance:
        died = instance.get_run_by_id("died")
        assert died is not None
        assert died.status == dg.DagsterRunStatus.FAILURE


@pytest.fixture
def other() -> Path:
    """Another config beside the first, which publishes to the same directory from the same data."""
    configure(["a"])
    config = json.loads(Path("winnow.yaml").read_text())
    config["packages"] = [{"name": "b", "window_days": 3}]
    Path("other.yaml").write_text(json.dumps(config))
    assert winnow("collect", "--through", str(DAY)).exit_code == 0
    return Path("other.yaml")


@pytest.mark.parametrize("command", [["collect"], ["prune", "--yes"], ["check"]])
def test_a_second_config_neither_publishes_nor_prunes_in_the_directory_of_the_first(
    other: Path, command: list[str]
) -> None:
    before = published()
    result = winnow(*command, "--config", str(other))
    assert result.exit_code == 2
    assert "public: another config publishes there" in result.output
    assert "--adopt" in result.output
    assert published() == before


def test_a_second_config_takes_over_with_adopt(other: Path) -> None:
    assert winnow("collect", "--config", str(other), "--adopt", "--through", str(DAY)).exit_code == 0
    assert "b/downloads" in " ".join(published())
    assert winnow("collect", "--through", str(DAY)).exit_code == 2


def test_a_config_that_lost_its_store_goes_on_with_adopt() -> None:
    configure(["a"])
    winnow("collect", "--through", str(DAY))
    Path("data").rename("lost")
    assert winnow("collect", "--through", str(DAY)).exit_code == 2
    assert winnow("collect", "--adopt", "--through", str(DAY)).exit_code == 0
    assert winnow("collect", "--through", str(DAY)).exit_code == 0


def test_pages_that_others_put_into_the_directory_stay_as_they_are() -> None:
    configure(["a", "b"])
    Path("public/a").mkdir(parents=True)
    Path("public/a/index.html").write_text("their page")
    Path("public/notes.txt").write_text("their notes")
    result = winnow("collect", "--through", str(DAY))
    assert result.exit_code == 1
    assert "public/a/index.html: Winnow did not make this page" in result.output
    assert message("b") == "30"
    assert Path("public/a/index.html").read_text() == "their page"
    assert Path("public/notes.txt").read_text() == "their notes"
    assert winnow("prune", "--yes").exit_code == 0
    assert Path("public/notes.txt").exists()
