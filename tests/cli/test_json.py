"""The JSON of commands has the shape that docs/commands.md shows."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

import winnow_dagster
from tests.cli.conftest import winnow
from tests.downloads import download, write

PAGE = Path(winnow_dagster.__file__).parents[1] / "docs" / "commands.md"
DAY = date(2025, 6, 30)

# Keys that are data, such as days and names of installers: any number of them may be there.
OPEN = {"windows", "unlisted_installers", "strategies", "honest_by_day", "honest", "ci", "breakdowns"}


def documented(command: str) -> dict[str, Any]:
    """Return the example of a command."""
    example = re.search(rf"### `winnow {command} --json`.*?```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert example
    found: dict[str, Any] = json.loads(example[1])
    return found


def shape(value: object, key: str = "") -> object:
    """Return the keys and types of JSON. Of a list or of open keys, return the shapes of all values together."""
    if isinstance(value, dict) and key in OPEN:
        return {"*": merge([shape(each) for each in value.values()])}
    if isinstance(value, dict):
        return {name: shape(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [merge([shape(each) for each in value])]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return "number" if is_number else type(value).__name__


def merge(shapes: list[object]) -> object:
    different = [each for at, each in enumerate(shapes) if each not in shapes[:at]]
    return different[0] if len(different) == 1 else different


def configure(kind: str = "parquet") -> None:
    for back in range(5):
        day = DAY - timedelta(days=back)
        write(Path(f"rows/{day}.parquet"), [download(day, "a") for _ in range(10)])
    source = {"kind": kind} | ({"path": "rows/*.parquet"} if kind == "parquet" else {})
    packages = [{"name": "a", "window_days": 3, "breakdowns": []}]
    Path("winnow.yaml").write_text(json.dumps({"source": source, "packages": packages}))


def printed(*arguments: str) -> dict[str, Any]:
    done = winnow(*arguments, "--json")
    assert done.exit_code == 0, done.output
    assert done.stdout.isascii()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_collect() -> None:
    configure()
    found = printed("collect", "--through", str(DAY))
    example = documented("collect")
    assert shape(found) == shape(example)
    assert list(found) == list(example)
    assert found["packages"] == example["packages"]
    assert found["look_at"] == str(Path("public/index.html").absolute())
    again = printed("collect", "--through", str(DAY))
    assert [package["is_new"] for package in again["packages"]] == [False]


def test_check() -> None:
    configure()
    found, example = printed("check"), documented("check")
    assert shape(found) == shape(example)
    assert {key: found[key] for key in ("packages", "source", "first_day")} == {
        key: example[key] for key in ("packages", "source", "first_day")
    }
    assert not Path("data").exists()


@pytest.mark.parametrize("breakdowns", [[], ["python", "version"]])
def test_check_counts_the_files_that_a_collect_publishes(breakdowns: list[str]) -> None:
    configure("sample")
    config = json.loads(Path("winnow.yaml").read_text())
    packages = [{"name": "Sample_A", "window_days": [3, "all"]}, {"name": "b", "window_days": 3}]
    groups = [{"name": "g", "packages": ["sample-a", "b"]}]
    config |= {"packages": packages, "groups": groups, "defaults": {"breakdowns": breakdowns}}
    Path("winnow.yaml").write_text(json.dumps(config))
    expected = printed("check")["files"]
    printed("collect")
    folders = ("sample-a", "Sample_A", "b", "_group/g")
    assert expected == sum(1 for name in folders for path in Path("public", name).rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", ["parquet", "bigquery"])
def test_estimate(kind: str) -> None:
    configure(kind)
    found, example = printed("estimate"), documented("estimate")
    assert shape(found) == shape(example)
    assert (found["source"], found["is_free_source"]) == (kind, kind != "bigquery")
    assert found["strategies"]["auto"] == example["strategies"]["auto"]


def test_show() -> None:
    configure("sample")
    found = printed("show", "httpx", "--days", "7", "--by", "python")
    example = documented("show")
    assert shape(found) == shape(example)
    assert list(found["packages"][0]) == list(example["packages"][0])


@pytest.mark.parametrize("command", ["collect", "check", "estimate", "show"])
def test_with_a_bad_config_nothing_is_on_standard_output(command: str) -> None:
    Path("winnow.yaml").write_text("packages: []")
    done = winnow(command, "--json")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("winnow: ")


def test_quiet_prints_only_what_is_wrong() -> None:
    configure()
    assert winnow("collect", "--through", str(DAY), "--quiet").output == ""
    config = json.loads(Path("winnow.yaml").read_text())
    config["packages"].append({"name": "b", "window_days": 9, "breakdowns": []})
    Path("winnow.yaml").write_text(json.dumps(config))
    done = winnow("collect", "--through", str(DAY), "--quiet")
    assert done.exit_code == 1
    assert all(line.startswith("b: 4 days, 2025-06-22 to 2025-06-25: ") for line in done.stdout.splitlines())


def test_collect_ends_with_one_line_on_what_changed_and_where_to_look() -> None:
    configure()
    lines = [winnow("collect", "--through", str(DAY)).stdout.splitlines()[-1] for _ in range(2)]
    page = Path("public/index.html").absolute()
    said = ("New numbers for 1 of 1 package", "No new number for 1 package: every badge is current")
    for line, what in zip(lines, said, strict=True):
        assert re.fullmatch(rf"{what}, in \d+\.\d s\. See {page} \(`winnow serve` shows it\)", line)


def test_the_reason_in_the_line_of_a_package_is_not_repeated() -> None:
    source = {"kind": "bigquery", "credential_file": "missing.json"}
    Path("winnow.yaml").write_text(json.dumps({"source": source, "packages": [{"name": "a"}]}))
    done = winnow("collect", "--through", str(DAY))
    assert done.exit_code == 1
    assert done.stdout.count("missing.json: cannot be read") == 1
    assert ": every badge is current" not in done.stdout
