"""Retries: those of Dagster count from the start of the run that they retry, and a user's own from theirs."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg

from winnow_dagster.instance.retries import RETRY_NUMBER_TAG, started_at


@dg.op
def nothing() -> None:
    pass


@dg.job
def one_step() -> None:
    nothing()


def test_a_retry_counts_from_the_start_of_the_run_that_it_retries() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        before = datetime.now(UTC)
        first = one_step.execute_in_process(instance=instance).dagster_run
        after = datetime.now(UTC)
        start = started_at(instance, first)
        assert start
        assert before <= start <= after
        parent = first
        for number in (1, 2):
            parent = instance.create_run_for_job(
                one_step,
                tags={RETRY_NUMBER_TAG: str(number)},
                parent_run_id=parent.run_id,
                root_run_id=first.run_id,
            )
            assert started_at(instance, parent) == start


def test_a_run_that_a_user_executes_again_counts_from_its_own_start() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        first = one_step.execute_in_process(instance=instance).dagster_run
        again = instance.create_run_for_job(one_step, parent_run_id=first.run_id, root_run_id=first.run_id)
        assert started_at(instance, again) is None


def test_dagster_still_gives_its_retries_that_tag() -> None:
    from dagster._core.storage import tags  # noqa: PLC0415 - private, and only for this test

    assert tags.RETRY_NUMBER_TAG == RETRY_NUMBER_TAG
    assert RETRY_NUMBER_TAG in tags.TAGS_TO_MAYBE_OMIT_ON_RETRY
