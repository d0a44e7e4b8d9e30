"""The causes of ClickHouse's failures: what each affects, whether it is transient, and how to fix it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from winnow_dagster.core.causes import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping

CLICKHOUSE: Mapping[str, Cause] = {
    "rate": Cause(
        "429, `QUOTA_EXCEEDED`, `TOO_MANY_SIMULTANEOUS_QUERIES`: too many queries or rows in an hour",
        "Winnow waits for up to an hour and goes on. If that is not enough, run again later, or use a server of your "
        "own",
        is_transient=True,
    ),
    "too_large": Cause(
        "`TOO_MANY_ROWS`, `TOO_MANY_BYTES`, `TIMEOUT_EXCEEDED`, `MEMORY_LIMIT_EXCEEDED`, or an answer near a limit",
        "Winnow asks for fewer days at a time. If one day is too large, list its packages by name instead of a "
        "prefix, ask for fewer breakdowns, or use a server of your own or another source",
        fails_every_query=False,
    ),
    "credentials": Cause(
        "401, 403, `AUTHENTICATION_FAILED`, `REQUIRED_PASSWORD`: the server rejects the user or password",
        "Correct source.user, and the variable that source.password_env names",
    ),
    "permission": Cause(
        "`ACCESS_DENIED`: the user may not read the table",
        "Give the user SELECT on the table that source.database and source.table name",
    ),
    "no_table": Cause(
        "`UNKNOWN_TABLE`, `UNKNOWN_DATABASE`",
        "Correct source.database and source.table",
    ),
    "schema": Cause(
        "`UNKNOWN_IDENTIFIER`, `TYPE_MISMATCH`: a column is missing or has another type",
        "Check that the table has the columns of ClickPy's table pypi.pypi",
    ),
    "settings": Cause(
        "`READONLY`, `SETTING_CONSTRAINT_VIOLATION`: the user may not change settings",
        "Winnow sends the query without them, and refuses answers near a limit. If the server still refuses, allow the "
        "user to set wait_end_of_query",
    ),
    "backend": Cause(
        "any 5xx, or an answer that breaks off",
        "Run again later",
        fails_every_query=False,
        is_transient=True,
    ),
    "unreachable": Cause(
        "no connection to the server",
        "Check source.host, source.port and the network, and run again",
        is_transient=True,
    ),
    "invalid": Cause(
        "an answer with impossible values",
        "Nothing of it is counted. Check that the table has ClickPy's schema, and run again",
        fails_every_query=False,
    ),
    "unknown": Cause(
        "any other refusal",
        "Winnow does not know this error: ClickHouse's documentation explains its name",
        fails_every_query=False,
    ),
}
