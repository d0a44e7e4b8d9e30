"""Map the errors of ClickHouse and its client to causes, and describe each in one line with its fix."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from clickhouse_connect.driver.exceptions import ClickHouseError, Error, OperationalError, StreamFailureError

from winnow_dagster.core.escaping import shorten
from winnow_dagster.sources.clickhouse.causes import CLICKHOUSE
from winnow_dagster.sources.clickhouse.limits import NearLimitError
from winnow_dagster.sources.interface import InvalidResponseError, SourceError, TransientError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from winnow_dagster.core.causes import Cause

CLICKHOUSE_ERRORS = (ClickHouseError, NearLimitError, InvalidResponseError)
"""The errors that a query may raise."""

CAUSES_OF_CODES: Mapping[int | None, str] = {
    **dict.fromkeys((201, 202), "rate"),
    **dict.fromkeys((158, 159, 160, 241, 307, 396), "too_large"),
    **dict.fromkeys((192, 193, 194, 516), "credentials"),
    497: "permission",
    **dict.fromkeys((60, 81), "no_table"),
    **dict.fromkeys((16, 43, 47, 53), "schema"),
    **dict.fromkeys((164, 452), "settings"),
}
"""Causes by ClickHouse's error code, as in its source file ErrorCodes.cpp."""

_CAUSES_OF_STATUS: Mapping[int | None, str] = {429: "rate", 401: "credentials", 403: "credentials"}
FIRST_SERVER_ERROR = 500

_CAUSES_OF_TYPES: Mapping[type[BaseException], str] = {NearLimitError: "too_large", InvalidResponseError: "invalid"}


def cause_of(error: BaseException) -> Cause:
    """Return the cause of an error."""
    code, status = _code(error), _status(error)
    name = _CAUSES_OF_TYPES.get(type(error)) or CAUSES_OF_CODES.get(code) or _CAUSES_OF_STATUS.get(status)
    if name:
        return CLICKHOUSE[name]
    if isinstance(error, StreamFailureError) or (status or 0) >= FIRST_SERVER_ERROR:
        return CLICKHOUSE["backend"]
    is_unreachable = isinstance(error, OperationalError) and code is None and status is None
    return CLICKHOUSE["unreachable" if is_unreachable else "unknown"]


def describe(error: BaseException) -> str:
    """Return the server's words and the fix in one line."""
    line = shorten(str(error)).rstrip(". ") or type(error).__name__
    return f"ClickHouse: {line}. {cause_of(error).fix}"


def source_error(error: BaseException) -> SourceError:
    """Return an error as TransientError or SourceError, which end all reading."""
    return (TransientError if cause_of(error).is_transient else SourceError)(describe(error))


def _code(error: BaseException) -> int | None:
    if isinstance(error, Error) and error.code is not None:
        return error.code
    found = re.search(r"\bCode: (\d+)\. DB::Exception", str(error))
    return int(found[1]) if found else None


def _status(error: BaseException) -> int | None:
    found = re.search(r"received HTTP status (\d{3})", str(error))
    return int(found[1]) if found else None
