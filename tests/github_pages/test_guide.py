"""deploy/github-pages/README.md: its configs are valid, and it names what the workflow reads."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from winnow_dagster.config.loading import load_settings
from winnow_dagster.github_pages import WORKFLOW_PATH, keyless, read_workflow

GUIDE = Path(__file__).parents[2] / "deploy" / "github-pages" / "README.md"
TEXT = GUIDE.read_text(encoding="utf-8")


def test_the_config_of_the_guide_is_valid_and_needs_no_key(tmp_path: Path) -> None:
    (config,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "winnow.yaml").write_text(config)
    settings = load_settings(tmp_path / "winnow.yaml")
    assert (settings.source.kind, settings.credential_file) == ("clickhouse", None)
    assert f"{settings.base_url}/your-package/downloads-30d-non-ci.svg" in TEXT


def test_the_guide_sets_the_variables_and_secrets_that_the_workflow_reads() -> None:
    read = set(re.findall(r"\b(?:vars|secrets)\.(\w+)", read_workflow()))
    assert set(re.findall(r"gh (?:variable|secret) set (\w+)", TEXT)) == read
    assert f"`{re.findall(r'WINNOW_STATE_BRANCH: (.*)', read_workflow())[0]}`" in TEXT
    assert "WINNOW_STATE_BRANCH" in TEXT
    assert '"23 5 * * *"' in read_workflow()
    assert "05:23 UTC" in TEXT


def test_the_guides_command_turns_on_the_lines_for_bigquery_without_a_key(tmp_path: Path) -> None:
    (command,) = re.findall(r"^    (sed .*)$", TEXT, re.MULTILINE)
    path = tmp_path / WORKFLOW_PATH
    path.parent.mkdir(parents=True)
    path.write_text(read_workflow())
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    assert path.read_text() == keyless(read_workflow()) != read_workflow()


def test_the_links_of_the_guide_lead_to_files() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (GUIDE.parent / target).is_file(), target
