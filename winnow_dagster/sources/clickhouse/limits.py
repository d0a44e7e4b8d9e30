"""The limits of a ClickHouse server. An answer near one of them may be cut off, so Winnow does not use it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SAFE_SHARE = 0.8
"""The share of a limit up to which Winnow uses an answer. The server checks some limits only after each block."""

OVERFLOW_SETTINGS = ("read_overflow_mode", "result_overflow_mode", "timeout_overflow_mode")
"""The settings that decide what the server does at a limit."""

THROW = "throw"
"""The value with which the server fails a query at a limit. With `break` it returns a part of the answer instead."""

SETTING_OF = {
    "result_rows": "max_result_rows",
    "result_bytes": "max_result_bytes",
    "seconds": "max_execution_time",
    "read_rows": "max_rows_to_read",
    "read_bytes": "max_bytes_to_read",
}
"""The server's setting for each field of `Limits`."""


class NearLimitError(Exception):
    """An answer is too large for the limits of the server, or so close to one that it may be cut off."""


@dataclass(frozen=True)
class Limits:
    """How much one query may return and read, and how long it may take."""

    result_rows: float
    result_bytes: float
    seconds: float
    read_rows: float
    read_bytes: float

    def lowered_to(self, server_limits: Mapping[str, str]) -> Limits:
        """Return the lower of these limits and those in the server's settings, where 0 means no limit."""
        return Limits(
            **{
                name: min(known, _number(server_limits.get(SETTING_OF[name])) or known)
                for name, known in self.items().items()
            }
        )

    def check(self, used: Limits) -> None:
        """Raise NearLimitError if a query used more than the safe share of a limit."""
        spent = used.items()
        for name, limit in self.items().items():
            if spent[name] > SAFE_SHARE * limit:
                raise NearLimitError(f"{name.replace('_', ' ')}: {spent[name]:,.0f} of the {limit:,.0f} allowed")

    def items(self) -> dict[str, float]:
        """Return the values by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def usage(summary: Mapping[str, str], rows: int, seconds: float) -> Limits:
    """Return what a query used, by the summary of the server, the rows that arrived and the seconds that it took.

    Raises NearLimitError if the summary does not have the rows read: then the answer may be cut off.
    """
    read = {name: _number(summary.get(name)) for name in ("read_rows", "read_bytes", "result_bytes")}
    if read["read_rows"] is None:
        raise NearLimitError("the server does not say how many rows it read")
    return Limits(rows, read["result_bytes"] or 0, seconds, read["read_rows"], read["read_bytes"] or 0)


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
