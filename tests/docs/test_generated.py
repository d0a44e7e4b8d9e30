"""The parts of docs/ that come from the code are those of the present code, and its examples are valid."""

from __future__ import annotations

import json
import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from tests.docs.config_keys import describe_fields
from tests.docs.generated import DOCS, renewed
from tests.docs.pages import PAGES, blocks, commands, name, read
from winnow_dagster.cli import main
from winnow_dagster.config.loading import parse_settings
from winnow_dagster.config.packages import PackageSection
from winnow_dagster.core.billing import TIB
from winnow_dagster.core.dimensions import BREAKDOWNS
from winnow_dagster.sources.bigquery.billing import Figures
from winnow_dagster.sources.kinds import KINDS

CONFIGS = [
    pytest.param(text, id=f"{name(page)}-{number}")
    for page in PAGES
    for number, text in enumerate(blocks(page, "yaml"))
    if "packages:" in text
]


def test_the_generated_parts_are_up_to_date() -> None:
    outdated = [str(path) for path, (old, new) in renewed().items() if old != new]
    assert not outdated, "run `python -m tests.docs`"


def test_the_meaning_of_a_key_is_the_docstring_under_its_field() -> None:
    meanings = describe_fields(PackageSection)
    assert meanings["min_downloads"].startswith('For `"*"` only')
    assert meanings["window_days"].startswith("A number of days"), "from the base class"


@pytest.mark.parametrize("text", CONFIGS)
def test_each_config_in_the_documentation_is_valid(text: str, tmp_path: Path) -> None:
    settings = parse_settings(text, tmp_path / "winnow.yaml")
    assert settings.source.kind in KINDS
    assert len(settings.packages) == len(yaml.safe_load(text)["packages"])


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_each_command_in_the_documentation_exists_with_its_options(page: Path) -> None:
    for command in commands(page):
        words = shlex.split(command)
        if words[0].endswith("winnow") and len(words) > 1:
            found = main.commands[words[1]]
            with click.Context(main) as context:
                found.make_context(words[1], words[2:], parent=context)
        if words[:2] == ["python", "-m"]:
            assert find_spec(words[2])


def test_the_costs_on_the_page_are_those_that_estimate_prints(tmp_path: Path) -> None:
    columns = []
    for breakdowns in ([], ["python", "version"]):
        config = {
            "source": {"kind": "bigquery"},
            "defaults": {"breakdowns": breakdowns},
            "packages": [{"name": f"p{number}"} for number in range(100)],
        }
        (tmp_path / "winnow.yaml").write_text(yaml.safe_dump(config))
        done = CliRunner().invoke(main, ["estimate", "--json", "--config", str(tmp_path / "winnow.yaml")])
        columns.append(json.loads(done.stdout)["strategies"]["auto"])
    table = dict(re.findall(r"^\| (.+?) \| (.+) \|$", read(DOCS / "cost.md"), re.MULTILINE))
    assert table["first fill of 30 days"] == " | ".join(_size(column["first_fill"]) for column in columns)
    assert table["a month, each day read once"] == " | ".join(_size(column["day"], 30) for column in columns)
    for row, key in (("**first month**", "first_month"), ("**later months**", "later_month")):
        cells = [f"{_size(column[key])}: ${column[key]['dollars']:.2f}" for column in columns]
        assert table[row] == " | ".join(cells).replace("$0.00", "$0")
    every_day = columns[0]["first_fill"]["bytes"] * 30
    price = (every_day / TIB - 1) * Figures.usd_per_tib
    assert f"{every_day / TIB:.2f} TiB\n  a month, ${price:.2f}." in read(DOCS / "cost.md")


def test_each_breakdown_is_in_the_lists_that_are_written_by_hand(tmp_path: Path) -> None:
    config = {"source": {"kind": "bigquery"}, "packages": [{"name": "a"}]}
    (tmp_path / "winnow.yaml").write_text(yaml.safe_dump(config))
    done = CliRunner().invoke(main, ["estimate", "--config", str(tmp_path / "winnow.yaml")])
    prices = dict(re.findall(r"^breakdown by (\w+): \+(\d+) %", done.stdout, re.MULTILINE))
    assert tuple(prices) == BREAKDOWNS
    cost = " ".join(read(DOCS / "cost.md").split())
    for breakdown, percent in prices.items():
        assert f"`{breakdown}` {percent} %" in cost
    assert f"<package>/{{{','.join(BREAKDOWNS)}}}.csv" in read(DOCS / "formats.md")


def _size(entry: dict[str, float], times: int = 1) -> str:
    return f"{entry['bytes'] * times / TIB:.2f} TiB"
