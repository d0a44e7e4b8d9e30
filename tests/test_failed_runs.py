"""A run that fails outside its steps, as when Dagster itself meets an error, is a failure of the collect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from tests.conftest import make_settings
from winnow_dagster.cli import main
from winnow_dagster.instance.failures import failures
from winnow_dagster.instance.opening import open_instance

Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: Patch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("winnow.yaml").write_text("packages: [{name: sample-oat, window_days: 1}]")
    return tmp_path


def before_the_first_step(patch: Patch, error: BaseException) -> None:
    """Raise an error where Dagster opens a run's logs."""

    def fail(_: object) -> None:
        raise error

    patch.setattr(dg.DagsterInstance, "compute_log_manager", property(fail))


def collect(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["collect", *arguments])


def test_the_collect_says_why_and_exits_with_1_and_what_was_published_stays(monkeypatch: Patch) -> None:
    assert collect().exit_code == 0
    published = {path: path.read_bytes() for path in Path("public/sample-oat").iterdir()}
    with monkeypatch.context() as patch:
        before_the_first_step(patch, OSError("no room for logs"))
        failed = collect()
        assert failed.exit_code == 1
        assert "OSError: no room for logs" in failed.output
        assert "every badge is current" not in failed.output
        assert json.loads(collect("--json").stdout)["errors"] == ["OSError: no room for logs"]
    assert {path: path.read_bytes() for path in Path("public/sample-oat").iterdir()} == published
    assert "every badge is current" in collect().output


@pytest.mark.parametrize("error", [KeyboardInterrupt(), dg.DagsterExecutionInterruptedError()])
def test_an_interrupt_outside_steps_begins_no_further_run(
    folder: Path, monkeypatch: Patch, error: BaseException
) -> None:
    with monkeypatch.context() as patch:
        before_the_first_step(patch, error)
        assert collect().exit_code == 1
    with open_instance(make_settings(folder, {"sample-oat": (1,)})) as instance:
        assert len(instance.get_runs()) == 1


@dg.op
def breaks() -> None:
    raise ValueError("the step")


@dg.job
def one_step() -> None:
    breaks()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def test_a_failed_step_is_named_and_the_run_that_it_fails_is_not(instance: dg.DagsterInstance) -> None:
    done = one_step.execute_in_process(instance=instance, raise_on_error=False)
    assert failures(done.all_events) == [("breaks", "ValueError: the step", False)]


def test_a_run_without_an_error_of_its_own_is_described_by_its_message(instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(one_step)
    event = instance.report_run_failed(run, "it died")
    assert failures([event]) == [("", "it died", False)]
