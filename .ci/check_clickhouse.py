"""Collect the rows in ../shared/data from the real ClickHouse engine and check every published number.

Run this with the interpreter that has Winnow and its extra test-clickhouse. The rows go into a table with the schema of
ClickPy's, behind the server of the tests. Of across_the_change, only windows that begin on 2026-08-25 or later have a
number, and no earlier day is published.
"""

from __future__ import annotations

import json
import sys
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import check_change
import check_data
import polars as pl

if TYPE_CHECKING:
    from tests.clickhouse_service import Engine

FIRST_DAY = "2026-08-25"
CONTROL, CONTROL_ROWS = "twine", 300
NAMED_COLUMNS = {
    "country_code": ("country_code",),
    "type": ("file", "type"),
    "installer": ("details", "installer", "name"),
    "python_minor": ("details", "python"),
    "system": ("details", "system", "name"),
    "version": ("file", "version"),
    "filename": ("file", "filename"),
    "libc": ("details", "distro", "libc", "lib"),
}

KNOWN = tuple(name for name in check_change.BREAKDOWNS if name != "cpu")
"""The breakdowns that this source has."""


def load(engine: Engine, folder: Path, work: Path) -> None:
    """Load the rows of a folder into the table, and the control package up to the day after their newest."""
    rows = pl.read_parquet(folder / "*.parquet")
    texts = []
    for name, (column, *fields) in NAMED_COLUMNS.items():
        value = pl.col(column)
        for each in fields:
            value = value.struct.field(each)
        texts.append(value.fill_null("").alias(name))
    # As ClickPy's load does: a NULL becomes 'false'.
    ci = pl.when(pl.col("details").struct.field("ci")).then(pl.lit("true")).otherwise(pl.lit("false"))
    columns = rows.select(pl.col("timestamp").dt.date().alias("date"), "project", *texts, ci.alias("ci"))
    columns.write_parquet(work / "rows.parquet")
    engine.create()
    names = ", ".join(name for name in columns.columns if name != "libc")
    engine.session.query(
        f"INSERT INTO pypi.pypi ({names}, libc) SELECT {names}, (libc, '') "  # noqa: S608 - our own names
        f"FROM file('{work / 'rows.parquet'}', Parquet)"
    )
    first, last = columns["date"].min(), columns["date"].max()
    if not isinstance(first, date) or not isinstance(last, date):
        raise TypeError("the rows have no day")
    days = [first + timedelta(days=n) for n in range((last - first).days + 2)]
    engine.insert(days, CONTROL, CONTROL_ROWS)


def check_this_year(root: Path, source: check_change.Source) -> int:
    """Collect the rows in one step and in three, and return how many numbers were compared."""
    through = check_data.EXPECTED["as_of"]
    whole = check_data.write_config(root / "whole", source)
    check_data.collect(whole, through)
    compared = check_data.compare(root / "whole" / "public") + check_data.compare_history(root / "whole" / "public")
    steps = check_data.write_config(root / "steps", source)
    for day in ("2026-11-10", "2026-11-15", through):
        check_data.collect(steps, day)
    return compared + check_data.compare(root / "steps" / "public")


def check_since_the_change(check: check_change.Check, root: Path, source: check_change.Source) -> None:
    """Collect each as-of day since the change of the log into one site."""
    folder = root / "change"
    for as_of in check_change.AS_OFS:
        if as_of >= FIRST_DAY:
            told = check_change.collect(folder, source, as_of, first=FIRST_DAY, breakdowns=KNOWN)
            before = len(check.wrong)
            check.site(folder / "public", as_of, "clickhouse", since=FIRST_DAY)
            if len(check.wrong) > before:
                check.wrong.append(f"  what was collected before: {told.strip()}")
            for name, package in check_change.EXPECTED.items():
                windows = json.loads((folder / "public" / name / "counts.json").read_text())["windows"]
                for window in package["windows"]:
                    day, length = window.split()
                    if day == as_of and check_change.first_day(day, length) < FIRST_DAY:
                        numbers = windows[length.removesuffix("d")]
                        check.holds("honest" not in numbers, f"clickhouse: {name} {length} as of {as_of} has a number")
                days = json.loads((folder / "public" / name / "history.json").read_text())["days"]
                check.same(days[0]["date"], FIRST_DAY, f"clickhouse: {name}: first day")


def main() -> None:
    """Load both sets of rows, one after the other, and check them."""
    sys.path.insert(0, str(check_change.CHECKOUT))
    from tests.clickhouse_service import engine, serve  # noqa: PLC0415 - only now it can be found

    check = check_change.Check(KNOWN)
    with TemporaryDirectory() as temporary, engine() as clickhouse, serve(clickhouse) as service:
        root = Path(temporary)
        source = {
            "kind": "clickhouse", "host": "127.0.0.1", "port": service.port, "secure": False, "user": "demo",
            "control": CONTROL,
        }  # fmt: skip
        load(clickhouse, check_data.DATA / "file_downloads", root)
        compared = check_this_year(root, source)
        load(clickhouse, check_change.DATA / "file_downloads", root)
        check_since_the_change(check, root, source)
    if check.wrong:
        sys.exit("\n".join([*check.wrong[:60], f"{len(check.wrong)} of {check.compared} differ"]))
    print(f"{compared + check.compared} numbers as expected, from ClickHouse's engine")


if __name__ == "__main__":
    main()
