"""GitHub Actions and Pages instead of a server: the workflow, and the steps of it that need more than a shell line.

`winnow.yml` is the workflow. A user has a copy of it in a repository. `python -m winnow_dagster.github_pages` is what
its steps call.
"""

from __future__ import annotations

from importlib import resources

WORKFLOW_PATH = ".github/workflows/winnow.yml"
"""The path of the workflow in the user's repository."""

KEYLESS = "#keyless# "
"""The mark of the lines for BigQuery without a key. They take effect once the mark is removed."""


def read_workflow() -> str:
    """Return the text of the workflow."""
    return (resources.files(__package__) / "winnow.yml").read_text(encoding="utf-8")


def keyless(workflow: str) -> str:
    """Return the workflow with the lines for BigQuery without a key."""
    return workflow.replace(KEYLESS, "")
