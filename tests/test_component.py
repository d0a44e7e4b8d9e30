"""Winnow in another Dagster project: as a component, as a function, and two of them side by side."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster.components.component_scaffolding import scaffold_object
from dagster.components.testing import create_defs_folder_sandbox
from jsonschema import Draft202012Validator
from pydantic import ValidationError

import winnow_dagster
from tests.conftest import DAY, House, MakeHouse, RowSource
from tests.rows import row
from winnow_dagster.config.errors import ConfigError
from winnow_dagster.config.settings import Placement
from winnow_dagster.definitions import build
from winnow_dagster.defs.checks import CHECKS
from winnow_dagster.instance.runs import PROCESS_TAG, SITE_TAG, OwnRuns

# Dagster warns of what it does itself when it loads a component.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`parse_obj_as` is deprecated"),
    pytest.mark.filterwarnings("ignore::dagster.BetaWarning"),
]

DEFS = """
type: winnow_dagster.WinnowComponent
attributes:
  service: {output_dir: web}
  source: {kind: sample}
  schedule: {hour: "{{ env.WINNOW_TEST_HOUR }}", minute: "{{ env('WINNOW_TEST_UNSET', '7') }}"}
  start_date: 2026-08-25
  packages: [{name: sample-oat, window_days: [7, 30]}]
  owners: ["team:data"]
  tags: {domain: pypi}
"""
MINIMAL = "type: winnow_dagster.WinnowComponent\nattributes: {source: {kind: sample}, packages: [{name: sample-oat}], "


@pytest.fixture
def defs_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WINNOW_TEST_HOUR", "5")
    path = tmp_path / "downloads" / "defs.yaml"
    path.parent.mkdir()
    path.write_text(DEFS)
    return path


def load(path: Path) -> winnow_dagster.WinnowComponent:
    with create_defs_folder_sandbox() as sandbox:
        folder = sandbox.defs_folder_path / path.parent.name
        folder.mkdir()
        (folder / path.name).write_text(path.read_text())
        with sandbox.load_component_and_build_defs(defs_path=folder) as (component, _):
            assert isinstance(component, winnow_dagster.WinnowComponent)
            return component


def test_the_attributes_are_the_keys_of_the_config_and_paths_are_relative_to_the_file(defs_yaml: Path) -> None:
    settings = load(defs_yaml).settings
    assert settings.config_file is not None
    assert settings.config_file.name == "defs.yaml"
    assert settings.output_dir == settings.config_file.parent / "web"
    assert settings.cron == "7 5 * * *"
    assert str(settings.start_date) == "2026-08-25"
    assert settings.placement == Placement(("downloads",), None, ("team:data",), {"domain": "pypi"})


def test_the_command_line_reads_the_same_file_in_the_same_way(defs_yaml: Path) -> None:
    ours, theirs = winnow_dagster.load_settings(defs_yaml), load(defs_yaml).settings
    folder = theirs.folder
    moved = replace(
        ours, config_file=folder / "defs.yaml", folder=folder, output_dir=folder / "web", data_dir=folder / "data"
    )
    assert moved == theirs


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ("key_prefx: x}", "key_prefx: unknown key. Did you mean key_prefix?"),
        (
            "budget: {tib_per_month: '{{ env.WINNOW_TEST_NO }}'}}",
            "tib_per_month: takes its value from $WINNOW_TEST_NO",
        ),
        ("start_date: '{{ datetime.date.today() }}'}", "is for Dagster only. Use {{ env.NAME }}"),
        ("key_prefix: 'a b'}", "key_prefix: 'a b' is not part of an asset key"),
        ("owners: [me]}", "owners[0]: 'me' is not an owner"),
    ],
)
def test_a_wrong_attribute_is_named_with_its_fix(tmp_path: Path, attributes: str, problem: str) -> None:
    path = tmp_path / "defs.yaml"
    path.write_text(MINIMAL + attributes)
    with pytest.raises(ConfigError) as raised:
        winnow_dagster.load_settings(path)
    assert problem in str(raised.value)


SCHEMA_CASES = [
    ({"packages": [{"name": "a", "window_days": 7, "badges": "python-3.12", "label": "x"}]}, True),
    (
        {"packages": [{"name": "{{ env.NAME }}"}], "schedule": {"hour": "{{ env.HOUR }}"}, "key_prefix": ["a", "b"]},
        True,
    ),
    ({"packages": [{"name": "a", "window_days": [7, "all"], "label_color": 444444}]}, True),
    ({"packages": [{"name": "a"}], "start_date": "2026-08-25"}, True),
    ({"packages": [{"nmae": "a"}]}, False),
    ({"packages": [{"name": "a"}], "sources": {"kind": "sample"}}, False),
    ({"source": {"kind": "sample"}}, False),
]


@pytest.mark.parametrize(("attributes", "is_valid"), SCHEMA_CASES)
def test_the_schema_for_editors_allows_what_winnow_accepts(attributes: dict[str, Any], *, is_valid: bool) -> None:
    schema = winnow_dagster.WinnowComponent.model().model_json_schema()
    assert Draft202012Validator(schema).is_valid(attributes) is is_valid


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"kind": "log"}, "'log' is not a kind of source. Use bigquery, clickhouse, parquet, sample"),
        ({"packages": "httpx, a b"}, "'a b' is not a PyPI name. Use letters"),
    ],
)
def test_a_wrong_option_of_the_scaffold_is_refused_before_a_folder_is_made(
    options: dict[str, str], problem: str, tmp_path: Path
) -> None:
    folder = tmp_path / "downloads"
    with pytest.raises(ValidationError, match=problem):
        scaffold_object(folder, "winnow_dagster.WinnowComponent", json.dumps(options), "yaml", tmp_path)
    assert not folder.exists()


def test_settings_are_read_from_a_path_or_its_text(defs_yaml: Path) -> None:
    assert winnow_dagster.load_settings(str(defs_yaml)) == winnow_dagster.load_settings(defs_yaml)


def test_a_wrong_prefix_is_refused(make_house: MakeHouse) -> None:
    with pytest.raises(ValueError, match="key_prefix: 'a b' is not part of an asset key"):
        winnow_dagster.build_defs(make_house({"a": (1,)}).winnow.settings, key_prefix="a b")


def test_the_package_and_its_core_import_no_dagster() -> None:
    code = (
        "import sys, winnow_dagster, winnow_dagster.core.planning, winnow_dagster.config.loading; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "dagster" not in done.stdout.split()


def houses(make_house: MakeHouse) -> tuple[House, House]:
    """Return two installations with configs and folders of their own, in one project beside a host."""
    found = []
    for name, package in (("one", "a"), ("two", "b")):
        winnow = replace(make_house, folder=make_house.folder / name)({package: (1,)}).winnow
        winnow = replace(winnow, settings=replace(winnow.settings, placement=Placement((name,))))
        found.append(House(winnow, make_house.opened))
    definitions = dg.Definitions.merge(HOST, *(build(house.winnow) for house in found))
    one, two = (replace(house, definitions=definitions) for house in found)
    return one, two


def test_two_side_by_side_publish_and_neither_sees_the_runs_checks_or_partitions_of_the_other(
    make_house: MakeHouse, source: RowSource
) -> None:
    source.rows = [row(DAY, "a", downloads=5), row(DAY, "b", downloads=7)]
    both = houses(make_house)
    for house in both:
        assert house.count(DAY, DAY).success
        house.publish()
    for house, package, number in zip(both, "ab", ("5", "7"), strict=True):
        published = json.loads((house.output_dir / package / "downloads-1d-non-ci.json").read_bytes())
        assert published["message"] == number
        names = house.winnow.names
        assert house.instance.get_materialized_partitions(names.asset("badges")) == {package}
        assert all(house.instance.get_latest_asset_check_evaluation_record(c.key(names)) for c in CHECKS)
    one, two = both
    runs = OwnRuns(one.instance, one.winnow.ownership.site, names=one.winnow.names)
    of_two = OwnRuns(two.instance, two.winnow.ownership.site, names=two.winnow.names)
    like = next(run for run in two.instance.get_runs() if run.asset_selection == {two.winnow.names.asset("index")})
    reading = frozenset({two.winnow.names.asset("raw_downloads")})
    two.instance.add_run(like._replace(run_id="reads", status=dg.DagsterRunStatus.STARTED, asset_selection=reading))
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    assert [record.dagster_run.run_id for record in of_two.reading_days(an_hour_ago)] == ["reads"]
    assert runs.reading_days(an_hour_ago) == []
    assert runs.purge_old_runs(datetime.now(UTC) + timedelta(minutes=5)) == 2
    left = {key.to_user_string() for run in two.instance.get_runs() for key in run.asset_selection or ()}
    assert left == {
        "one/raw_downloads",
        "one/honest_downloads",
        *(key.to_user_string() for key in two.winnow.names.assets()[1:]),
    }


@dg.asset
def badges() -> None:
    """A host's asset."""


@dg.asset(deps=[badges])
def index() -> None:
    """Another one."""


@dg.asset_check(asset=badges)
def their_check() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.sensor(name="alerts", target=[badges])
def their_sensor() -> dg.SkipReason:
    return dg.SkipReason("nothing")


HOST = dg.Definitions(
    assets=[badges, index],
    asset_checks=[their_check],
    jobs=[dg.define_asset_job("daily", [badges, index])],
    sensors=[their_sensor],
    executor=dg.multiprocess_executor,
    resources={"winnow": 1, "raw_days": 2},
)


def test_beside_a_host_with_the_same_names_nothing_of_the_host_changes(make_house: MakeHouse) -> None:
    merged = houses(make_house)[0].definitions
    assert merged is not None
    dg.Definitions.validate_loadable(merged)
    repository = merged.get_repository_def()
    of_host, of_winnow = repository.get_job("daily"), repository.get_job("one_read_days")
    assert of_host.executor_def is dg.multiprocess_executor
    assert of_winnow.executor_def is dg.in_process_executor
    assert {sensor.name for sensor in repository.sensor_defs} == {
        "alerts",
        *(f"{name}_{what}" for name in ("one", "two") for what in ("fill_gaps", "publish", "delete_old_runs")),
    }
    checks = repository.get_job("one_check_all").asset_layer.asset_graph.asset_check_keys
    assert {key.asset_key.path[0] for key in checks} == {"one"}
    keys = {node.key.to_user_string() for node in merged.resolve_asset_graph().asset_nodes}
    assert {"badges", "index", "one/badges", "two/badges"} <= keys


def test_beside_a_host_only_runs_of_winnows_jobs_are_tagged_with_their_process(
    make_house: MakeHouse, source: RowSource
) -> None:
    source.rows = [row(DAY, "a", downloads=5)]
    one, _ = houses(make_house)
    definitions: Any = build(one.winnow)
    one.winnow.ownership.claim()
    of_job = definitions.resolve_job_def("one_check_all").execute_in_process(instance=one.instance)
    of_host = one.run("badges")
    tags = {run.run_id: set(run.tags) for run in one.instance.get_runs()}
    assert {PROCESS_TAG, SITE_TAG} <= tags[of_job.run_id]
    assert tags[of_host.run_id] & {PROCESS_TAG, SITE_TAG} == {SITE_TAG}


def test_without_a_prefix_the_executor_of_a_project_decides_which_runs_have_one_process(make_house: MakeHouse) -> None:
    house = make_house({"sample-oat": (1,)}, kind="sample")
    house.winnow.ownership.claim()
    house.definitions = winnow_dagster.build_defs(house.winnow.settings)
    of_host = house.run("badges")
    of_job = house.definitions.resolve_job_def("winnow_check_all").execute_in_process(instance=house.instance)
    tags = {run.run_id: set(run.tags) & {PROCESS_TAG, SITE_TAG} for run in house.instance.get_runs()}
    assert tags == {of_host.run_id: {SITE_TAG}, of_job.run_id: {SITE_TAG, PROCESS_TAG}}


def test_without_automation_there_are_no_schedules_sensors_or_conditions(make_house: MakeHouse) -> None:
    winnow = make_house({"a": (1,)}).winnow
    placement = Placement(("one",), is_automated=False)
    definitions = build(replace(winnow, settings=replace(winnow.settings, placement=placement)))
    assert not definitions.schedules
    assert not definitions.sensors
    assert all(node.automation_condition is None for node in definitions.resolve_asset_graph().asset_nodes)
