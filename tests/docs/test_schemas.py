"""Each published file of data has a schema, which allows nothing that it does not describe."""

from __future__ import annotations

import csv
import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator, ValidationError

from tests.docs.schemas import all_schemas, closed
from winnow_dagster.cli import main
from winnow_dagster.config.settings import HOME_VARIABLE

if TYPE_CHECKING:
    from pathlib import Path

OAT_BEFORE = {"name": "Sample_Oat", "window_days": [7, 3, "all"], "style": "plastic", "logo_svg": "<svg/>"}
OAT = {**OAT_BEFORE, "window_days": 7}
RYE = {"name": "sample-rye", "window_days": 400, "badges": ["downloads", "pythons", "python-3.12"]}
CONFIG = {
    "source": {"kind": "sample"},
    "defaults": {"breakdowns": ["python", "version", "country", "libc", "cpu", "file_type"]},
    "groups": [{"name": "grains", "packages": ["sample-oat", "sample-rye"], "window_days": 7}],
}
PATTERNS = {
    "counts": r"[^_]?[^/]*/counts\.json|_group/[^/]+/counts\.json",
    "history": r".*/history\.json",
    "history-csv": r".*/history\.csv",
    "breakdowns": r".*/breakdowns\.json",
    "breakdown-csv": r".*/(python|version|country|libc|cpu|file_type)\.csv",
    "badge": r".*-non-ci\.json",
    "packages": r"_packages\.json",
    "health": r"_health\.json",
    "site": r"_site\.json",
    "everything": r"_packages/index\.json",
    "everything-part": r"_packages/[^/]{2}\.json",
}
"""Which files each schema is for."""


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish everything, then again without two windows of a package, which stay published."""
    folder = tmp_path_factory.mktemp("site")
    start = datetime.now(UTC).date() - timedelta(days=10)
    for oat in (OAT_BEFORE, OAT):
        config = {**CONFIG, "packages": [oat, RYE, {"name": "*", "window_days": 3}], "start_date": start}
        (folder / "winnow.yaml").write_text(yaml.safe_dump(config))
        # Exit code 1: the window of 400 days is not whole.
        arguments = ["collect", "--quiet", "--config", str(folder / "winnow.yaml")]
        done = CliRunner().invoke(main, arguments, env={HOME_VARIABLE: None}, catch_exceptions=False)
        assert done.exit_code == 1
    return folder / "public"


def data_files(public: Path) -> list[str]:
    return sorted(path.relative_to(public).as_posix() for path in public.rglob("*") if path.suffix in {".json", ".csv"})


def values(path: Path) -> list[Any]:
    """Return the JSON of a file, or each line of a CSV file."""
    if path.suffix == ".json":
        return [json.loads(path.read_bytes())]
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_file_of_a_collect_follows_its_schema(public: Path) -> None:
    schemas = {name: Draft202012Validator(closed(all_schemas()[f"{name}.schema.json"])) for name in PATTERNS}
    used = set()
    for file in data_files(public):
        (name,) = [name for name, pattern in PATTERNS.items() if re.fullmatch(pattern, file)]
        used.add(name)
        for value in values(public / file):
            schemas[name].validate(value)
    assert used == set(PATTERNS)
    assert {f"{name}.schema.json" for name in PATTERNS} == set(all_schemas())


def test_a_record_of_a_window_that_is_not_whole_yet_follows_its_schema(public: Path) -> None:
    record = json.loads((public / "sample-rye" / "counts.json").read_bytes())
    assert record["windows"]["400"].keys() == {"collected_days"}
    former = json.loads((public / "sample-oat" / "counts.json").read_bytes())["former_windows"]
    assert former.keys() == {"3", "all"}


def test_the_schemas_are_valid_and_refuse_what_they_do_not_describe(public: Path) -> None:
    for schema in all_schemas().values():
        Draft202012Validator.check_schema(schema)
    record = json.loads((public / "sample-oat" / "counts.json").read_bytes())
    schema = all_schemas()["counts.schema.json"]
    Draft202012Validator(schema).validate({**record, "new": 1})
    for wrong in ({**record, "new": 1}, {**record, "format": 2}, {k: v for k, v in record.items() if k != "windows"}):
        with pytest.raises(ValidationError):
            Draft202012Validator(closed(schema)).validate(wrong)
