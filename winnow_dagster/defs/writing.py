"""Write what a run has computed: answers of the source into the store, packages into the web directory."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from winnow_dagster.core.coverage import Failure
from winnow_dagster.files.session import publishing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from winnow_dagster.core.everything import PackagesBySelector
    from winnow_dagster.defs.fetching import Answer
    from winnow_dagster.defs.resources import Installation
    from winnow_dagster.files.operations import Failures
    from winnow_dagster.publishing.directory import WebDir


def store_answer(winnow: Installation, answer: Answer) -> Mapping[date, int]:
    """Store an answer of the source. Return how many more downloads each re-read day has now.

    Raises StorageError.
    """
    if isinstance(answer, Failure):
        winnow.raw.add_failure(answer, winnow.clock.now())
        return {}
    return winnow.raw.add_reading(answer, answer.read_at or winnow.clock.now())


@contextmanager
def open_web(winnow: Installation) -> Iterator[WebDir]:
    """Claim the web directory, and give it as this publication sees it. Raises NotOursError and StorageError."""
    with publishing(winnow.settings.data_dir, winnow.web.folder) as session:
        winnow.ownership.claim()
        yield replace(winnow.web, folder=session.folder)


def publish_packages(
    winnow: Installation, web: WebDir, found: PackagesBySelector, failures: Failures
) -> dict[str, int]:
    """Publish the packages of each selector and group, and return how many files each changes.

    `failures` collects the errors of writing.
    """
    everything = winnow.settings.everything
    web.clean_up()
    return web.publish(found, everything.min_downloads if everything else 0, winnow.clock.through, failures)
