"""The resource in Dagster's UI shows the values of the config, and a run cannot change them."""

from __future__ import annotations

from typing import Any

from tests.conftest import House, MakeHouse
from winnow_dagster.defs.building import build
from winnow_dagster.instance.failures import failures


def run_with(house: House, **values: str) -> tuple[bool, str]:
    """Materialise badges with these values of the resource; return whether it succeeded, and why not."""
    shown: Any = (build(house.winnow).resources or {})["winnow"]
    config = {"resources": {"winnow": {"config": shown.model_dump() | values}}}
    job = build(house.winnow).resolve_implicit_global_asset_job_def()
    done = job.execute_in_process(
        instance=house.instance,
        asset_selection=house.winnow.names.assets("badges"),
        partition_key="a",
        run_config=config,
        raise_on_error=False,
    )
    return done.success, "".join(failure.reason for failure in failures(done.all_events))


def test_the_run_config_that_the_launchpad_proposes_is_accepted(make_house: MakeHouse) -> None:
    assert run_with(make_house({"a": (1,)})) == (True, "")


def test_a_run_with_another_value_is_refused_and_nothing_is_published(make_house: MakeHouse) -> None:
    house = make_house({"a": (1,)})
    is_done, why = run_with(house, output_dir="/elsewhere")
    assert not is_done
    assert why.startswith("resources.winnow.config.output_dir: '/elsewhere' is not what the config says")
    assert "Take `winnow` out of the run config" in why
    assert not house.output_dir.exists()
