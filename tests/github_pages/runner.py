"""A runner for the workflow: runs the `run:` steps of its jobs in order, and does what the actions in it do.

It knows the expressions and conditions of this workflow only, and refuses others.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.github_pages.conftest import Remote

Outcome = Literal["success", "failure", "skipped"]
Fault = Literal["fails before", "fails after", "dies after"]
"""A step that fails, or a runner that is gone: then no other step runs, whatever its condition."""

REQUIREMENT = "winnow-dagster"
TOKEN = "ghs_made-up"
GH = """\
#!/bin/sh
[ "$GH_TOKEN" = {token} ] && [ $# = 4 ] && [ "$1 $2 $3" = "api --method PUT" ] || exit 4
[ "$4" = repos/someone/badges/actions/workflows/winnow.yml/enable ] || exit 1
echo "$4" >>{calls}
"""


class RunnerLostError(Exception):
    """The runner is gone."""


@dataclass
class Run:
    """The results of a run: each step's outcome by its name, and each job's."""

    steps: dict[str, Outcome] = field(default_factory=dict)
    jobs: dict[str, Outcome] = field(default_factory=dict)
    log: str = ""


@dataclass
class Runner:
    """GitHub's side: runners with some commands, artifacts and a Pages site."""

    workflow: Mapping[str, Any]
    remote: Remote
    folder: Path
    variables: dict[str, str] = field(default_factory=lambda: {"WINNOW_REQUIREMENT": REQUIREMENT})
    secrets: dict[str, str] = field(default_factory=dict)
    attempt: int = 1
    left: dict[str, set[str]] = field(default_factory=dict)
    """The files that each job left in its workspace."""

    @classmethod
    def of(cls, text: str, remote: Remote, folder: Path) -> Runner:
        runner = cls(yaml.safe_load(text), remote, folder)
        (folder / "bin").mkdir(parents=True)
        runner.command("python", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        runner.command("gh", GH.format(token=TOKEN, calls=folder / "enabled"))
        return runner

    @property
    def site(self) -> Path:
        """What Pages serves."""
        return self.folder / "site"

    def command(self, name: str, text: str) -> None:
        """Put a command in front of the runner's others."""
        path = self.folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def run(self, faults: Mapping[str, Fault] | None = None, *, reuse: Run | None = None) -> Run:
        """Run all jobs. With `reuse`, run again those that did not succeed, as "Re-run failed jobs" does."""
        done, needs = Run(), dict[str, dict[str, str]]()
        if reuse is None:
            shutil.rmtree(self.folder / "artifacts", ignore_errors=True)
        for name, job in self.workflow["jobs"].items():
            wanted = [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])
            if reuse and reuse.jobs[name] == "success":
                done.jobs[name] = "success"
                needs[name] = {"exit-code": "0"}
            elif all(done.jobs[need] == "success" for need in wanted):
                needs[name] = self._run_job(name, job, needs, faults or {}, done)
            else:
                done.jobs[name] = "skipped"
        return done

    def _run_job(
        self, name: str, job: Mapping[str, Any], needs: Mapping[str, Any], faults: Mapping[str, Fault], done: Run
    ) -> dict[str, str]:
        workspace = self.remote.checkout
        shutil.rmtree(workspace, ignore_errors=True)
        workspace.mkdir()
        known: dict[str, str] = {"github.token": TOKEN, "github.run_attempt": str(self.attempt)}
        known |= {f"vars.{key}": value for key, value in self.variables.items()}
        known |= {
            f"needs.{job}.outputs.{key}": value for job, outputs in needs.items() for key, value in outputs.items()
        }
        done.jobs[name] = "success"
        for step in job["steps"]:
            holds = _holds(step.get("if", ""), known, is_well=done.jobs[name] == "success")
            outcome: Outcome = "skipped"
            if holds:
                try:
                    outcome = self._run_step(step, known, faults.get(step["name"]), done)
                except RunnerLostError:
                    done.jobs[name] = "failure"
                    break
            done.steps[step["name"]] = outcome
            if "id" in step:
                known[f"steps.{step['id']}.outcome"] = outcome
            if outcome == "failure":
                done.jobs[name] = "failure"
        self.left[name] = {str(path.relative_to(workspace)) for path in workspace.rglob("*") if path.is_file()}
        return {key: self._resolve(value, known) for key, value in job.get("outputs", {}).items()}

    def _run_step(self, step: Mapping[str, Any], known: dict[str, str], fault: Fault | None, done: Run) -> Outcome:
        if fault == "fails before":
            return "failure"
        given = {key: self._resolve(str(value), known) for key, value in step.get("with", {}).items()}
        if "uses" in step:
            action = step["uses"].split("@")[0]
            actions: dict[str, Callable[[Mapping[str, str]], None]] = {
                "actions/checkout": self._check_out,
                "actions/setup-python": lambda _: None,
                "actions/upload-pages-artifact": self._upload,
                "actions/deploy-pages": self._deploy,
            }
            try:
                actions[action](given)
            except FileNotFoundError:
                return "failure"
            if action == "actions/deploy-pages":
                known[f"steps.{step['id']}.outputs.page_url"] = "https://someone.github.io/badges"
            code = 0
        else:
            code = self._run_shell(step, known, done)
        if fault == "dies after":
            raise RunnerLostError
        return "failure" if code or fault == "fails after" else "success"

    def _run_shell(self, step: Mapping[str, Any], known: dict[str, str], done: Run) -> int:
        output = self.folder / "output"
        output.write_text("")
        script = self.folder / "step.sh"
        script.write_text(step["run"])
        environment = {
            "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
            "HOME": str(self.folder),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_REPOSITORY": "someone/badges",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_WORKFLOW_REF": "someone/badges/.github/workflows/winnow.yml@refs/heads/main",
            **self.workflow["env"],
            **{key: self._resolve(str(value), known) for key, value in step.get("env", {}).items()},
        }
        assert self.workflow["defaults"] == {"run": {"shell": "bash"}}
        ran = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.remote.checkout, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        done.log += ran.stdout + ran.stderr
        for line in output.read_text().splitlines():
            key, _, value = line.partition("=")
            known[f"steps.{step['id']}.outputs.{key}"] = value
        return ran.returncode

    def _check_out(self, given: Mapping[str, str]) -> None:
        assert given == {"persist-credentials": "False"}
        self.remote.check_out()

    def _upload(self, given: Mapping[str, str]) -> None:
        artifact = self.folder / "artifacts" / given["name"]
        ignore = None if given["include-hidden-files"] == "True" else shutil.ignore_patterns(".*")
        # An artifact cannot be replaced.
        shutil.copytree(given["path"] or "_site/", artifact, ignore=ignore)

    def _deploy(self, given: Mapping[str, str]) -> None:
        artifact = self.folder / "artifacts" / given["artifact_name"]
        fresh = self.folder / "fresh"
        shutil.copytree(artifact, fresh)
        shutil.rmtree(self.site, ignore_errors=True)
        fresh.rename(self.site)

    def _resolve(self, text: str, known: Mapping[str, str]) -> str:
        def value(found: re.Match[str]) -> str:
            name = found[1]
            if name.startswith("secrets."):
                return self.secrets.get(name.removeprefix("secrets."), "")
            if name.startswith(("vars.", "steps.")):
                return known.get(name, "")
            return known[name]

        return re.sub(r"\$\{\{ ([\w.-]+) \}\}", value, text)


def _holds(condition: str, known: Mapping[str, str], *, is_well: bool) -> bool:
    if not condition:
        return is_well
    found = re.fullmatch(r"always\(\) && (steps\.\w+\.outcome) == '(\w+)'", condition)
    assert found, f"the runner does not know {condition!r}"
    return known.get(found[1]) == found[2]


def installed(name: str) -> Path:
    """Return a command of the environment that the tests run in."""
    return Path(os.path.dirname(sys.executable)) / name  # noqa: PTH120 - the link of a virtual environment
