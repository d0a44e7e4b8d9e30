"""The workflow: its steps, run in order, lose nothing however they fail.

.ci/check_workflow.py checks it against GitHub's schema, and with zizmor.
"""

from __future__ import annotations

import ensurepip
import json
import re
import shutil
import sys
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.downloads import download, write
from tests.github_pages.conftest import BRANCH, Remote, git
from tests.github_pages.runner import Fault, Run, Runner, installed
from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.github_pages import keyless, read_workflow

if TYPE_CHECKING:
    from collections.abc import Mapping

WORKFLOW: dict[Any, Any] = yaml.safe_load(read_workflow())
STEPS = [step["name"] for job in WORKFLOW["jobs"].values() for step in job["steps"]]

COLLECT = """\
#!/bin/sh
# A collect in miniature: reads a day that is not stored yet, then publishes the number of days.
[ "$1" = collect ] || exit 2
mkdir -p data/sample/raw_downloads data/sites public/demo
[ -e data/sites/a.json ] || echo '{{}}' >data/sites/a.json
echo {day} >data/sample/raw_downloads/{day}.parquet
echo {day} >>data/ledger.jsonl
{midway}
ls data/sample/raw_downloads | wc -l >public/demo/badge.json
exit {code}
"""


def test_the_lines_for_bigquery_without_a_key_log_in_before_the_collect() -> None:
    job = yaml.safe_load(keyless(read_workflow()))["jobs"]["collect"]
    names = [step["name"] for step in job["steps"]]
    assert names.index("Restore the state") < names.index("Log in to Google Cloud") < names.index("Collect")
    assert job["permissions"] == {"contents": "write", "id-token": "write"}
    assert WORKFLOW["jobs"]["collect"]["permissions"] == {"contents": "write"}


def test_every_action_is_pinned_by_commit_and_names_its_version() -> None:
    used = re.findall(r"uses: (\S+)(.*)", read_workflow())
    assert len(used) == 5
    for action, remark in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action)
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", remark)


def test_only_one_run_at_a_time_may_write_and_no_job_may_more_than_it_needs() -> None:
    assert WORKFLOW["concurrency"] == {"group": "winnow", "cancel-in-progress": False}
    assert WORKFLOW["permissions"] == {}
    assert {name: job["permissions"] for name, job in WORKFLOW["jobs"].items()} == {
        "collect": {"contents": "write"},
        "deploy": {"pages": "write", "id-token": "write"},
        "result": {},
        "keep-alive": {"actions": "write"},
    }


@pytest.fixture
def runner(remote: Remote, tmp_path: Path) -> Runner:
    """A runner whose pip and `winnow` take no time."""
    found = Runner.of(read_workflow(), remote, tmp_path / "runner")
    pip = '[ "$1 $2" != "-m pip" ] || [ "$*" = "-m pip install --disable-pip-version-check winnow-dagster" ]'
    skip = '[ "$1 $2" != "-m pip" ] || exit 0'
    found.command("python", f'#!/bin/sh\n{pip} || exit 1\n{skip}\nexec "{sys.executable}" "$@"\n')
    return found


def collect_day(runner: Runner, day: str, faults: Mapping[str, Fault] | None = None, **how: object) -> Run:
    runner.command("winnow", COLLECT.format(**{"day": day, "midway": "", "code": 0, **how}))
    return runner.run(faults)


def days(remote: Remote) -> set[str]:
    """The days in the state branch."""
    return {Path(name).stem for name in remote.files() if name.startswith("data/sample/raw_downloads/")}


def shown(runner: Runner) -> int:
    """The number on the badge that Pages serves: of how many days it is."""
    badge = runner.site / "demo" / "badge.json"
    return int(badge.read_text()) if badge.exists() else 0


def test_every_day_adds_to_the_state_and_to_the_site(runner: Runner, remote: Remote) -> None:
    for number, day in enumerate(("2026-11-20", "2026-11-21"), 1):
        done = collect_day(runner, day)
        assert set(done.steps.values()) == {"success"}, done.log
        assert set(done.jobs.values()) == {"success"}
        assert shown(runner) == len(days(remote)) == number
    assert (runner.site / ".nojekyll").exists()
    assert git(remote.origin, "rev-list", "--count", BRANCH) == "1"
    assert (runner.folder / "enabled").read_text().count("/enable\n") == 2
    assert "ghs_made-up" not in done.log


@pytest.mark.parametrize(
    ("fault", "steps"),
    [
        ("fails before", ["Collect", "Save the state", "Deploy the site"]),
        pytest.param("fails before", STEPS, marks=pytest.mark.slow),
        pytest.param("dies after", STEPS, marks=pytest.mark.slow),
        pytest.param("fails after", ["Collect", "Save the state", "Deploy the site"], marks=pytest.mark.slow),
    ],
)
def test_a_run_that_fails_at_any_step_loses_nothing_and_takes_no_badge_back(
    runner: Runner, remote: Remote, fault: Fault, steps: list[str]
) -> None:
    main, day = remote.tip("main"), date(2026, 9, 14)
    collect_day(runner, str(day))
    for step in steps:
        before, published, day = remote.files(), shown(runner), day + ONE_DAY
        broken = collect_day(runner, str(day), {step: fault})
        assert "failure" in broken.jobs.values(), step
        assert before.keys() <= remote.files().keys(), step
        assert published <= shown(runner) <= len(days(remote)), step
        is_read = steps.index(step) >= steps.index("Collect") and (step, fault) != ("Collect", "fails before")
        is_saved = is_read and (step, fault) not in {("Collect", "dies after"), ("Save the state", "fails before")}
        assert (str(day) in days(remote)) == is_saved, step
    kept = days(remote)
    collect_day(runner, str(day + ONE_DAY))
    assert days(remote) == kept | {str(day + ONE_DAY)}
    assert shown(runner) == len(days(remote))
    assert remote.tip("main") == main


def test_a_collect_that_is_cancelled_keeps_the_days_that_it_has_read(runner: Runner, remote: Remote) -> None:
    collect_day(runner, "2026-11-20")
    done = collect_day(runner, "2026-11-21", midway="kill -KILL $$")
    assert done.steps["Collect"] == "failure"
    assert done.steps["Save the state"] == "success"
    assert done.jobs["deploy"] == "skipped"
    assert days(remote) == {"2026-11-20", "2026-11-21"}
    assert shown(runner) == 1


def test_a_package_that_is_not_up_to_date_fails_the_run_after_the_others_are_published(
    runner: Runner, remote: Remote
) -> None:
    done = collect_day(runner, "2026-11-20", code=1)
    assert done.jobs == {"collect": "success", "deploy": "success", "result": "failure", "keep-alive": "success"}
    assert shown(runner) == len(days(remote)) == 1
    assert "::error::The site is published, but a package is not up to date" in done.log


def test_a_bad_config_publishes_nothing_and_the_old_site_stays(runner: Runner, remote: Remote) -> None:
    collect_day(runner, "2026-11-20")
    done = collect_day(runner, "2026-11-21", midway="exit 2")
    assert done.jobs["collect"] == "failure"
    assert shown(runner) == 1
    remote.push({"winnow.yaml": "packages: []"})
    before = remote.tip()
    assert collect_day(runner, "2026-11-22").steps["Restore the state"] == "failure"
    assert remote.tip() == before


def test_without_a_requirement_the_run_says_which_variable_to_set(runner: Runner, remote: Remote) -> None:
    runner.variables.clear()
    done = collect_day(runner, "2026-11-20")
    assert done.steps["Install Winnow"] == "failure"
    assert "::error::Set the repository variable WINNOW_REQUIREMENT" in done.log
    assert remote.tip() == ""
    assert done.jobs["keep-alive"] == "success"


def test_failed_jobs_that_are_run_again_do_not_publish_an_outdated_site(runner: Runner, remote: Remote) -> None:
    first = collect_day(runner, "2026-11-20", {"Deploy the site": "fails before"})
    stale = shutil.copytree(runner.folder / "artifacts", runner.folder / "kept")
    collect_day(runner, "2026-11-21")
    shutil.rmtree(runner.folder / "artifacts")
    stale.rename(runner.folder / "artifacts")
    runner.attempt = 2
    again = runner.run(reuse=first)
    assert again.steps["Deploy the site"] == "failure"
    assert shown(runner) == len(days(remote)) == 2


def test_a_branch_of_the_users_with_that_name_stays_as_it_is(runner: Runner, remote: Remote) -> None:
    remote.push({"README.md": "mine"}, BRANCH)
    before = remote.tip()
    done = collect_day(runner, "2026-11-20")
    assert done.steps["Restore the state"] == "failure"
    assert done.steps["Save the state"] == "skipped"
    assert remote.tip() == before
    assert not runner.site.exists()


@pytest.mark.slow
def test_with_pip_and_winnow_themselves_two_days_lead_to_a_badge(remote: Remote, tmp_path: Path) -> None:
    first = date(2026, 9, 14)
    config = "source: {kind: parquet, path: exports}\npackages:\n  - {name: demo, window_days: [1, 2]}\n"
    runner = Runner.of(read_workflow(), remote, tmp_path / "runner")
    # An environment that uv made has no pip; Python brings one along.
    pip = "" if find_spec("pip") else next(Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl"))
    runner.command("python", f'#!/bin/sh\nPYTHONPATH="{pip}" exec "{sys.executable}" "$@"\n')
    for number in range(2):
        day = first + number * ONE_DAY
        rows = [download(day, "demo")] * (number + 3)
        write(remote.origin.parent / "by-hand" / "exports" / f"{day}.parquet", rows)
        remote.push({"winnow.yaml": config, ".gitattributes": ""})
        runner.command("winnow", f'#!/bin/sh\nexec "{installed("winnow")}" "$@" --through {day}\n')
        done = runner.run()
        assert done.jobs["deploy"] == "success", done.log
        assert "Requirement already satisfied" in done.log
        badge = json.loads((runner.site / "demo" / "downloads-1d-non-ci.json").read_text())
        assert badge["message"] == str(number + 3)
    assert json.loads((runner.site / "demo" / "downloads-2d-non-ci.json").read_text())["message"] == "7"
    assert done.jobs["result"] == "success"
    left = {name for name in runner.left["collect"] if name.startswith(("data/", "public/"))}
    history = {name for name in left if name.startswith("data/dagster/")}
    locks = {name for name in left if name.endswith(".lock")}
    assert history
    assert left - history - locks == remote.files().keys() - {"winnow.json"}
