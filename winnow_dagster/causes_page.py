"""The page docs/errors.md: all causes, printed by `python -m winnow_dagster.causes_page`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from winnow_dagster.core.causes import BUCKETS, CREDENTIALS, FILES, INSTANCE
from winnow_dagster.sources.bigquery.causes import BIGQUERY
from winnow_dagster.sources.clickhouse.causes import CLICKHOUSE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from winnow_dagster.core.causes import Cause

SECTIONS = {
    "BigQuery": BIGQUERY,
    "ClickHouse": CLICKHOUSE,
    "Google credentials": CREDENTIALS,
    "Buckets": BUCKETS,
    "Files": FILES,
    "Dagster's instance": INSTANCE,
}
"""The tables of causes, by their headings."""

INTRODUCTION = """\
# Errors

`python -m winnow_dagster.causes_page` prints this page from the code, and a test compares the two: do not edit it.
A message quotes the service's own words first, and then says what to do."""
HEAD = "| what happens | concerns | Winnow tries again | what to do |\n|---|---|---|---|"


def as_markdown() -> str:
    """Return the page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield INTRODUCTION
    for title, causes in SECTIONS.items():
        yield f"\n## {title}\n\n{HEAD}"
        # Two errors may have the same sign and fix.
        yield from dict.fromkeys(map(_row, causes.values()))


def _row(cause: Cause) -> str:
    concerned = "all packages" if cause.fails_every_query else "one query or file"
    return f"| {cause.sign} | {concerned} | {'yes' if cause.is_transient else 'no'} | {cause.fix.rstrip('.')}. |"


if __name__ == "__main__":
    print(as_markdown(), end="")  # noqa: T201 - what it is for
