"""The long faults, cut short: `python -m tests.faults` has them at their full length."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import find, given, settings
from hypothesis import strategies as st

from tests.faults import crash, fuzz, oracle, year
from winnow_dagster.config import loading

SEED = random.randrange(10**6)


@pytest.fixture(scope="module", autouse=True)
def _elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Be in an empty folder: commands look for a config where they are."""
    here = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("empty"))
    yield
    os.chdir(here)


def told(lines: list[str]) -> str:
    return f"seed {SEED}: " + "; ".join(lines)


@pytest.mark.slow
def test_killed_collects_leave_every_badge_whole_and_are_made_up_for() -> None:
    assert "2 of" in told(list(crash.run(2, SEED, days=2)))


@pytest.mark.slow
def test_days_with_faults_end_with_badges_that_an_oracle_agrees_with(monkeypatch: pytest.MonkeyPatch) -> None:
    # The test above kills.
    monkeypatch.setattr(year, "KILLED", 0)
    assert "badges equal to the oracle's" in told(list(year.run(6, SEED, packages=6)))


@pytest.mark.slow
def test_after_random_sequences_every_number_is_what_an_oracle_recounts() -> None:
    assert "all numbers are the oracle's" in told(list(oracle.run(3, SEED, length=5)))


@settings(max_examples=300)
@given(fuzz.almost_configs())
def test_a_config_that_almost_fits_is_settings_or_a_clear_error(content: object) -> None:
    fuzz.try_config(Path.cwd(), yaml.safe_dump(content, allow_unicode=True).encode())


def test_the_fuzzer_draws_a_served_store_and_finds_it_where_nothing_refuses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def serves_the_store(content: Any) -> bool:
        service = content["service"]
        return isinstance(service, dict) and service.get("output_dir") == "data" and "data_dir" not in service

    content = find(fuzz.almost_configs(), serves_the_store, settings=settings(max_examples=2000, database=None))
    fuzz.try_content(tmp_path, content)
    monkeypatch.setattr(loading, "find_exposed", lambda _: ())
    with pytest.raises(AssertionError, match="/data"):
        fuzz.try_content(tmp_path, content)


@settings(max_examples=1000)
@given(fuzz.NASTY | st.text(max_size=12))
def test_a_name_is_normalised_and_safe_or_refused(text: str) -> None:
    fuzz.try_name(text)


@settings(max_examples=200)
@given(fuzz.argument_lists)
def test_whatever_the_arguments_the_command_ends_with_a_sentence(arguments: list[str]) -> None:
    fuzz.try_arguments(arguments)


def test_a_damaged_export_is_named(tmp_path: Path) -> None:
    # Always the same: of very few exports no process survives, and this one has to.
    chance, export = random.Random(20261128), fuzz.an_export(tmp_path)
    with fuzz.quiet():
        for _ in range(150):
            fuzz.try_export(tmp_path, fuzz.spoil(export, chance))


def test_a_damaged_day_is_what_was_written_or_nothing(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    store, day, counts = fuzz.a_day(tmp_path)
    with fuzz.quiet():
        for _ in range(300):
            fuzz.try_day(store, fuzz.spoil(day, chance), counts)
