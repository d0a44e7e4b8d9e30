"""The page of a run tells what Winnow does while it asks a source."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from tests.conftest import DAY, MakeHouse, RowSource
from tests.rows import row
from winnow_dagster.defs.run_log import repeating

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from winnow_dagster.core.coverage import Failure, Reading, Request

logger = logging.getLogger("winnow_dagster.sources.a_test")


@dataclass
class TalkingSource(RowSource):
    """A source that logs what it does, some of it in another thread."""

    def read(self, requests: Sequence[Request]) -> Iterator[Reading | Failure]:
        sent = threading.Thread(target=logger.info, args=("asked for %d", len(requests)))
        sent.start()
        sent.join()
        yield from super().read(requests)
        logger.warning("the budget is small")


def test_requests_and_decisions_stand_in_the_runs_log(make_house: MakeHouse) -> None:
    make_house.source = TalkingSource(rows=[row(DAY, "a", downloads=5)])
    house = make_house({"a": (1,)})
    run = house.count(DAY, DAY)
    messages = [log.user_message for log in house.instance.all_logs(run.run_id)]
    assert messages.index("asked for 1") < messages.index("the budget is small")
    logger.info("nobody listens")
    assert "nobody listens" not in [log.user_message for log in house.instance.all_logs(run.run_id)]


@dataclass
class Lines:
    """A run's log that remembers in which thread it was written."""

    written: list[tuple[str, int]] = field(default_factory=list)

    def log(self, level: int, message: str) -> None:
        assert level == logging.INFO
        self.written.append((message, threading.get_ident()))


def test_the_log_is_written_in_the_thread_of_the_run_only() -> None:
    lines = Lines()
    with repeating(cast("Any", lines)):
        other = threading.Thread(target=logger.info, args=("from another",))
        other.start()
        other.join()
        assert lines.written == []
    assert lines.written == [("from another", threading.get_ident())]
