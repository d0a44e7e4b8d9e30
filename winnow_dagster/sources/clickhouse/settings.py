"""The section `source:` with `kind: clickhouse`, its settings, and all that is known of ClickPy's public server.

Each fact names its origin. They come from public scripts and issues of autumn 2026. Winnow's authors could not reach
the server, so no fact is measured.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import AfterValidator, Field

from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.core.definition import LAST_MIXED_DAY
from winnow_dagster.core.dimensions import COUNTRY, FILE_TYPE, INSTALLER, LIBC, PYTHON, SYSTEM, VERSION
from winnow_dagster.core.masking import shown
from winnow_dagster.fields import Flag, PackageName, Text, Variable, Whole, invalid
from winnow_dagster.sources.clickhouse.limits import Limits
from winnow_dagster.sources.interface import SourceSection, SourceSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

HOST = "sql-clickhouse.clickhouse.com"
"""ClickPy's public server, by HTTPS on port 443. From ClickPy's README and its query links."""

USER = "demo"
"""The user of the public server, with an empty password. From ClickPy's README."""

DATABASE, TABLE = "pypi", "pypi"
"""The table: one row per download, ordered by project and date. From ClickPy's DDL scripts."""

COLUMNS: Mapping[str, str] = {
    INSTALLER.name: "installer",
    SYSTEM.name: "system",
    PYTHON.name: "python_minor",
    VERSION.name: "version",
    COUNTRY.name: "country_code",
    LIBC.name: "libc.lib",
    FILE_TYPE.name: "type",
}
"""The column of each dimension; the others are `date`, `project` and `ci`. From ClickPy's DDL scripts.

'' stands for what the client did not say. There is no column for the processor.
"""

CI, NOT_CI, LOST_CI = "true", "false", "unknown"
"""The values of the column `ci`, an Enum8. From ClickPy's DDL and repair scripts.

A NULL of the log becomes 'false', so 'false' means that the client did not say. A reload by the repair script sets
'unknown', and then `libc` and `filename` have their defaults too.
"""

FIRST_DAY = LAST_MIXED_DAY + ONE_DAY
"""The first whole day under PyPI's present definition of a download. ClickPy has had `ci` since 2026-01-17."""

LIMITS = Limits(result_rows=10_000, result_bytes=10_000_000, seconds=60, read_rows=1e9, read_bytes=50e9)
"""The limits of the user `demo`, at which the public server cuts answers off. From ClickHouse's SQL playground."""

NO_LIMITS = Limits(*[math.inf] * 5)
"""The limits of Winnow's own for other servers. Those in the server's settings hold there."""

CONTROL = "twine"
"""A small package with downloads on every day, which tells how far a replica is loaded. Our choice; not measured.

It must have some hundred downloads on every day. Each query reads the rows of this package too.
"""

REMARKS = (
    "The numbers come from ClickPy's copy of PyPI's log, which may lag behind the log by days.",
    "ClickPy may leave out downloads without a Python version or a system, such as those of mirrors and browsers.",
    "So the raw number may be too low, and the honest share too high.",
    f"ClickPy's copy is read from {FIRST_DAY} on only, and without days whose CI flags were lost in a reload.",
)
"""The limits of the numbers, for readers. The second one is from ClickPy's load scripts."""


NO_KERNELS = "ClickPy's table has no kernels, so there is no estimate of CI jobs that did not say so."
"""What readers have to know of every server with this table."""


@dataclass(frozen=True, kw_only=True)
class ClickHouseSettings(SourceSettings):
    """The settings of ClickHouse. The defaults are ClickPy's public server."""

    kind: ClassVar[str] = "clickhouse"
    host: str = HOST
    port: int = 443
    user: str = USER
    password_env: str = ""
    database: str = DATABASE
    table: str = TABLE
    secure: bool = True
    control: str = CONTROL
    limits: Limits = LIMITS

    @property
    def is_public(self) -> bool:
        """Whether this is ClickPy's public table."""
        return (self.host, self.database, self.table) == (HOST, DATABASE, TABLE)

    @property
    def remarks(self) -> Sequence[str]:
        """Sentences on the limits of the numbers. What is said of ClickPy's server does not hold for others."""
        return (*(REMARKS if self.is_public else ()), NO_KERNELS)

    @property
    def variant(self) -> str:
        """The server and table, unless they are ClickPy's public ones."""
        return "" if self.is_public else f"{self.host}:{self.port}/{self.database}.{self.table}"

    @property
    def counted_rows(self) -> str:
        """The rows that tell whether a day is short: those of the control package."""
        return f"rows of {self.control}"

    @property
    def password(self) -> str:
        """The password in the environment variable; empty without one."""
        return os.environ.get(self.password_env, "") if self.password_env else ""

    def __str__(self) -> str:
        """Return the kind, server and table."""
        return f"{self.kind} {self.database}.{self.table} at {self.host}"


def _check_host(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]", value):
        raise invalid(f"{shown(value)} is not a host. Write its name only, such as {HOST}; the port is `port`")
    return value


def _check_identifier(value: str) -> str:
    # The name goes into the query's text, where ClickHouse accepts no parameter.
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise invalid(f"{shown(value)} is not a name of a database or table. Use letters, digits and '_'")
    return value


Identifier = Annotated[Text, AfterValidator(_check_identifier)]


class ClickHouseSection(SourceSection):
    """`source:` with `kind: clickhouse`."""

    location_keys: ClassVar[frozenset[str]] = frozenset({"host", "port", "database", "table"})

    host: Annotated[Text, AfterValidator(_check_host)] = HOST
    """The server. The default is ClickPy's public server."""

    port: Annotated[Whole, Field(ge=1, le=65_535)] | None = None
    """The HTTP port. By default 443 for the public server, 8443 for others, and 8123 without TLS."""

    user: Text = ""
    """The user. By default `demo` at the public server, and `default` at others."""

    password_env: Variable = ""
    """The name of the environment variable with the password."""

    database: Identifier = DATABASE
    """The database of the table."""

    table: Identifier = TABLE
    """A table with the columns of ClickPy's `pypi.pypi`."""

    secure: Flag = True
    """Whether to use TLS."""

    control: PackageName = CONTROL
    """A package with some hundred downloads on every day, which tells how far the server is loaded."""

    def resolve(self, folder: Path) -> ClickHouseSettings:
        """Return the settings. Own servers have ClickHouse's usual ports and user."""
        del folder
        is_public = self.host == HOST
        usual_port = (443 if is_public else 8443) if self.secure else 8123
        return ClickHouseSettings(
            settle_days=self.settle_days,
            host=self.host,
            port=self.port or usual_port,
            user=self.user or (USER if is_public else "default"),
            password_env=self.password_env,
            database=self.database,
            table=self.table,
            secure=self.secure,
            control=self.control,
            limits=LIMITS if is_public else NO_LIMITS,
        )
