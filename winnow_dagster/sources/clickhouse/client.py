"""Send queries to a ClickHouse server: wait for quotas, and refuse answers that may be cut off."""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import clickhouse_connect

from winnow_dagster.sources.clickhouse.causes import CLICKHOUSE
from winnow_dagster.sources.clickhouse.errors import CLICKHOUSE_ERRORS, cause_of, source_error
from winnow_dagster.sources.clickhouse.limits import OVERFLOW_SETTINGS, THROW, usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from clickhouse_connect.driver.client import Client

    from winnow_dagster.sources.clickhouse.limits import Limits
    from winnow_dagster.sources.clickhouse.settings import ClickHouseSettings

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 10
ANSWER_SECONDS = 120
"""The maximum time without a byte from the server. The public server ends queries after 60 seconds."""


@dataclass(frozen=True)
class WaitPolicy:
    """How long to wait while the server refuses queries because of a quota. Quotas renew within an hour."""

    seconds: Sequence[float] = (30, 60, 120, 240, 480, 960, 1800)
    sleep: Callable[[float], None] = time.sleep

    def call(self, send: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever `send` returns
        """Return what `send` returns. Wait and send again while a quota is used up; then raise its error."""
        for seconds in self.seconds:
            try:
                return send()
            except CLICKHOUSE_ERRORS as error:
                if cause_of(error) is not CLICKHOUSE["rate"]:
                    raise
                logger.warning("ClickHouse refuses more queries for now; Winnow waits %d s and goes on", seconds)
                self.sleep(seconds)
        return send()


@dataclass
class Connection:
    """A connection for one reading."""

    client: Client
    limits: Limits
    policy: WaitPolicy
    overflow: Mapping[str, str] = field(default_factory=dict)
    """The settings that make the server fail a query at a limit; empty if the server does not let us set them."""

    def ask(self, text: str, parameters: Mapping[str, object]) -> Sequence[Sequence[object]]:
        """Return the rows of an answer that is far from every limit. Raises NearLimitError and ClickHouseError."""
        try:
            return self._ask(text, parameters)
        except CLICKHOUSE_ERRORS as error:
            if not self.overflow or cause_of(error) is not CLICKHOUSE["settings"]:
                raise
        logger.info("The server does not accept %s; Winnow refuses answers near a limit", ", ".join(self.overflow))
        self.overflow = {}
        return self._ask(text, parameters)

    def _ask(self, text: str, parameters: Mapping[str, object]) -> Sequence[Sequence[object]]:
        def send() -> Sequence[Sequence[object]]:
            began = time.monotonic()
            result = self.client.query(text, parameters=dict(parameters), settings=dict(self.overflow))
            rows = result.result_rows
            self.limits.check(usage(result.summary, len(rows), time.monotonic() - began))
            return rows

        rows: Sequence[Sequence[object]] = self.policy.call(send)
        return rows


@contextlib.contextmanager
def connect(settings: ClickHouseSettings, policy: WaitPolicy) -> Iterator[Connection]:
    """Yield a connection. Raises SourceError if the server cannot be reached, or rejects the user."""
    # The client logs each error with a traceback, and then raises it. Winnow describes the error in one line.
    logging.getLogger(clickhouse_connect.__name__).setLevel(logging.CRITICAL)
    try:
        client = policy.call(lambda: _open(settings))
    except CLICKHOUSE_ERRORS as error:
        raise source_error(error) from None
    try:
        server_settings = client.server_settings
        limits = settings.limits.lowered_to({name: setting.value for name, setting in server_settings.items()})
        fixed = [name for name in OVERFLOW_SETTINGS if name in server_settings and server_settings[name].readonly]
        # The client refuses to send a setting that the user may not change, even to the value that it has.
        yield Connection(client, limits, policy, {} if fixed else dict.fromkeys(OVERFLOW_SETTINGS, THROW))
    finally:
        client.close()


def _open(settings: ClickHouseSettings) -> Client:
    return clickhouse_connect.get_client(
        interface="https" if settings.secure else "http",
        host=settings.host,
        port=settings.port,
        username=settings.user,
        password=settings.password,
        connect_timeout=CONNECT_SECONDS,
        send_receive_timeout=ANSWER_SECONDS,
        # The wait policy retries. A session would tie queries to one replica.
        query_retries=0,
        autogenerate_session_id=False,
        show_clickhouse_errors="scrub",
    )
