"""Check the workflow for GitHub Actions: GitHub's JSON schema, and zizmor, which finds insecure workflows.

Both check the workflow as it is, and with the lines for BigQuery without a key. They also check the files in .github of
this repository. Neither asks the network.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from winnow_dagster.github_pages import WORKFLOW_PATH, keyless, read_workflow

BIN = Path(sys.executable).parent
BY_SCHEMA = (BIN / "check-jsonschema", "--builtin-schema")
SCHEMA = (*BY_SCHEMA, "vendor.github-workflows")
ZIZMOR = (BIN / "zizmor", "--offline", "--persona=pedantic")
SPOILED = {SCHEMA: ("runs-on:", "runs-in:"), ZIZMOR: ("persist-credentials: false", "fetch-depth: 1")}
"""What each tool has to find: proof that it reads the file."""

GITHUB = Path(__file__).parents[1] / ".github"
OWN_FILES = {
    SCHEMA: "workflows/*.yml",
    (*BY_SCHEMA, "vendor.dependabot"): "dependabot.yml",
    (*BY_SCHEMA, "vendor.github-issue-forms"): "ISSUE_TEMPLATE/[!c]*.yml",
    (*BY_SCHEMA, "vendor.github-issue-config"): "ISSUE_TEMPLATE/config.yml",
    ZIZMOR: "workflows/*.yml",
}
"""The files of this repository that each tool checks."""


def check(command: tuple[str | Path, ...], folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Run a tool on a workflow with this text."""
    path = folder / WORKFLOW_PATH
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return subprocess.run([*command, path], capture_output=True, text=True, check=False)


def main() -> None:
    """Exit with what the tools found."""
    with tempfile.TemporaryDirectory() as folder:
        for command, (good, bad) in SPOILED.items():
            for text in (read_workflow(), keyless(read_workflow())):
                found = check(command, Path(folder), text)
                if found.returncode:
                    sys.exit(f"{command[0]}: exit code {found.returncode}\n{found.stdout}{found.stderr}")
                if not check(command, Path(folder), text.replace(good, bad)).returncode:
                    sys.exit(f"{command[0]}: does not find {bad!r}")
    check_own_files()
    print("The workflow and the files in .github pass GitHub's schemas and zizmor")


def check_own_files() -> None:
    """Exit with what the tools find in this repository's own files."""
    for command, pattern in OWN_FILES.items():
        files = sorted(GITHUB.glob(pattern))
        if not files:
            sys.exit(f"{GITHUB}: no file {pattern}")
        found = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
        if found.returncode:
            sys.exit(f"{command[0]}: exit code {found.returncode}\n{found.stdout}{found.stderr}")


if __name__ == "__main__":
    main()
