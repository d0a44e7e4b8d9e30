"""Each error of ClickHouse's has a cause, and its message names the fix."""

from __future__ import annotations

import socket
from datetime import date

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError, StreamFailureError

from winnow_dagster.sources.clickhouse.causes import CLICKHOUSE
from winnow_dagster.sources.clickhouse.errors import cause_of, describe, source_error
from winnow_dagster.sources.clickhouse.limits import NearLimitError
from winnow_dagster.sources.clickhouse.settings import ClickHouseSettings
from winnow_dagster.sources.clickhouse.source import ClickHouseSource
from winnow_dagster.sources.interface import InvalidResponseError, SourceError, TransientError


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (DatabaseError("x", code=201), "rate"),
        (OperationalError("HTTP driver received HTTP status 429, server response: slow down"), "rate"),
        (StreamFailureError("Code: 158. DB::Exception: Limit for rows exceeded. (TOO_MANY_ROWS)"), "too_large"),
        (NearLimitError("read rows"), "too_large"),
        (DatabaseError("x", code=516), "credentials"),
        (DatabaseError("HTTP driver received HTTP status 403, server response: <html>"), "credentials"),
        (DatabaseError("x", code=497), "permission"),
        (DatabaseError("x", code=60), "no_table"),
        (DatabaseError("x", code=47), "schema"),
        (DatabaseError("x", code=452), "settings"),
        (OperationalError("HTTP driver received HTTP status 503"), "backend"),
        (StreamFailureError("Stream ended unexpectedly (connection closed by server)"), "backend"),
        (OperationalError("Error executing HTTP request"), "unreachable"),
        (InvalidResponseError("odd"), "invalid"),
        (DatabaseError("x", code=1000), "unknown"),
    ],
)
def test_an_error_has_a_cause(error: Exception, name: str) -> None:
    assert cause_of(error) is CLICKHOUSE[name]
    assert CLICKHOUSE[name].fix in describe(error)
    assert "\n" not in describe(error)


def test_a_long_message_is_cut() -> None:
    assert len(describe(DatabaseError("word " * 500, code=1000))) < 500


def test_only_transient_errors_are_tried_again() -> None:
    assert isinstance(source_error(OperationalError("Error executing HTTP request")), TransientError)
    assert not isinstance(source_error(DatabaseError("x", code=516)), TransientError)
    assert isinstance(source_error(DatabaseError("x", code=516)), SourceError)


def test_a_server_that_cannot_be_reached_is_an_error_without_a_traceback_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    source = ClickHouseSource(ClickHouseSettings(host="127.0.0.1", port=port, secure=False))
    with pytest.raises(SourceError, match="Check source\\.host"):
        source.newest_day(date(2026, 11, 27))
    assert not any(record.exc_info for record in caplog.records)
