"""The store of waiting answers: one file for each answer of the source, until a merge puts it into the day files.

`answers/000001-3f9c2a.parquet` holds the counts of an answer, and its breakdowns if it has any: the rows with a
`dimension`. The file's metadata holds the requests, the read time and the facts about each reading. Files are
numbered in order of arrival, and never change. Winnow sets a damaged file aside and treats its days as not read.
"""

from __future__ import annotations

import logging
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from winnow_dagster.core.answers import WaitingAnswer
from winnow_dagster.core.categories import stored_schema
from winnow_dagster.core.coverage import BREAKDOWN_SCHEMA, ReadingFacts, Request
from winnow_dagster.core.definition import Definition
from winnow_dagster.core.merging import ANSWER_COLUMN
from winnow_dagster.core.names import Selector
from winnow_dagster.files.operations import (
    list_names,
    local_copies,
    make_folder,
    read_if_there,
    remove,
    remove_staged,
    rename,
    replace_file,
    version_of,
)
from winnow_dagster.files.paths import AT_ONCE
from winnow_dagster.store.days import format_facts
from winnow_dagster.store.sealed import CORRUPT_SUFFIX, UNREADABLE, DamagedError, encode, is_whole, read_metadata

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from winnow_dagster.files.paths import StorePath

logger = logging.getLogger(__name__)

RowsByDay = dict[date, pl.DataFrame]

FORMAT = 1
SUFFIX = ".parquet"
NUMBER_LENGTH = 6

BREAKDOWN_COLUMNS = {"dimension": pl.String(), "value": pl.String()}
"""The columns that only an answer with breakdowns has. In a row of its counts, they are NULL."""


@dataclass(frozen=True)
class _Stored:
    """The content of a file: an answer and its number of rows, or what is damaged."""

    answer: WaitingAnswer | None
    rows: int = 0
    damage: str | None = None


class AnswerStore:
    """The waiting answers in one folder."""

    def __init__(self, folder: StorePath, schema: pl.Schema) -> None:
        """Use `folder`, which need not exist yet."""
        self.folder = folder
        self._schema = schema
        self._files: dict[str, _Stored] = {}
        self._by_day: dict[date, list[str]] = {}
        self._by_selector: dict[Selector, list[str]] = {}
        self._wide: set[Selector] = set()
        self.changes = 0
        """How often the set of waiting answers has changed in this process. Caches use it as a version."""

    def refresh(self) -> None:
        """Add the answers that other processes have stored, and drop those that they have merged."""
        names = sorted(name for name in list_names(self.folder) if name.endswith(SUFFIX) and name[0].isdigit())
        if names != list(self._files):
            local_copies([self.folder / name for name in names if name not in self._files])
            read = {name: self._files.get(name) or self._read(name) for name in names}
            self._set({name: stored for name, stored in read.items() if stored})

    def names(self) -> list[str]:
        """Return the names of the answers, in order of arrival."""
        return [name for name, stored in self._files.items() if stored.answer]

    def days(self) -> Collection[date]:
        """Return the days for which there is a waiting answer."""
        return self._by_day.keys()

    def of_day(self, day: date) -> list[str]:
        """Return the names of the answers for a day, in order of arrival."""
        return self._by_day.get(day, [])

    def names_of(self, days: Iterable[date]) -> list[str]:
        """Return the names of the answers for any of these days, in order of arrival."""
        return sorted({name for day in days for name in self.of_day(day)})

    def related(self, selectors: Collection[Selector]) -> list[str]:
        """Return the names of the answers whose selectors overlap with these, in order of arrival."""
        wide = [selector for selector in selectors if selector.is_prefix]
        related = {*selectors, *(other for other in self._wide if any(map(other.covers, selectors)))}
        if wide:
            related.update(other for other in self._by_selector if any(selector.covers(other) for selector in wide))
        return sorted({name for selector in related for name in self._by_selector.get(selector, ())})

    def get(self, names: Iterable[str]) -> list[WaitingAnswer]:
        """Return the answers with these names."""
        return [answer for name in names if (answer := self._files[name].answer)]

    def add(self, answer: WaitingAnswer, counts: pl.DataFrame, breakdowns: pl.DataFrame | None = None) -> None:
        """Store an answer durably. Raises StorageError."""
        counts = counts.select(self._schema.names())
        if breakdowns is not None and not breakdowns.is_empty():
            counts = pl.concat([counts, breakdowns], how="diagonal")
        make_folder(self.folder)
        last = int(next(reversed(self._files), "0").partition("-")[0])
        name = f"{last + 1:0{NUMBER_LENGTH}}-{secrets.token_hex(4)}{SUFFIX}"
        replace_file(self.folder / name, encode(counts, _format(answer)))
        self._files[name] = _Stored(answer, counts.height)
        self._enter(name, answer)

    def remove(self, names: Collection[str]) -> None:
        """Remove merged answers. `names`: in order of arrival. Raises StorageError."""
        # If the clock went back, remove one by one, oldest first: left alone, the oldest would seem the newest.
        at_once = 1 if any(answer.superseded for answer in self.get(names)) else AT_ONCE
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(remove, [self.folder / name for name in names]))
        merged = set(names)
        self._set({name: stored for name, stored in self._files.items() if name not in merged})

    def rows(self, names: Sequence[str], first: date, last: date) -> tuple[RowsByDay, RowsByDay]:
        """Return the counts, and the breakdowns, of answers from `first` to `last` by day.

        ANSWER_COLUMN is the index in `names`. Raises FileNotFoundError if another process has merged one of them.
        """
        schema = {**self._schema, **BREAKDOWN_COLUMNS}
        found = [
            pl.scan_parquet(path, glob=False, schema=schema, missing_columns="insert")
            .filter(pl.col("date").is_between(first, last))
            .with_columns(pl.lit(position, pl.Int64).alias(ANSWER_COLUMN))
            for position, path in enumerate(local_copies([self.folder / name for name in names]))
            if self._files[names[position]].rows
        ]
        rows = pl.concat(pl.collect_all(found)) if found else pl.DataFrame(schema={**schema, ANSWER_COLUMN: pl.Int64})
        is_count = pl.col("dimension").is_null()
        counts, breakdowns = rows.filter(is_count).drop(*BREAKDOWN_COLUMNS), rows.filter(~is_count)
        return _by_day(counts), _by_day(breakdowns.select(*BREAKDOWN_SCHEMA, ANSWER_COLUMN))

    def height(self, names: Iterable[str]) -> int:
        """Return the number of rows in these answers."""
        return sum(self._files[name].rows for name in names)

    def damaged(self) -> dict[str, str]:
        """Return the damaged and set-aside files, each with a message."""
        aside = "was set aside, and what it answered is asked for again. Look at the disk, then delete the file"
        return {
            **{str(self.folder / name): stored.damage for name, stored in self._files.items() if stored.damage},
            **{
                str(self.folder / name): aside
                for name in sorted(list_names(self.folder))
                if name.endswith(CORRUPT_SUFFIX)
            },
        }

    def clean_up(self) -> None:
        """Set damaged files aside, and remove the half-written files of dead runs. Raises StorageError."""
        remove_staged(self.folder)
        self.refresh()
        damaged = [name for name, stored in self._files.items() if stored.damage]
        for name in damaged:
            rename(self.folder / name, name + CORRUPT_SUFFIX, version_of(self.folder / name))
        if damaged:
            self._set({name: stored for name, stored in self._files.items() if not stored.damage})

    def _set(self, files: dict[str, _Stored]) -> None:
        self._files, self._by_day, self._by_selector, self._wide = files, {}, {}, set()
        self.changes += 1
        for name, stored in files.items():
            if stored.answer:
                self._enter(name, stored.answer)

    def _enter(self, name: str, answer: WaitingAnswer) -> None:
        self.changes += 1
        for day in answer.days():
            self._by_day.setdefault(day, []).append(name)
        for selector in {request.selector for request in answer.requests}:
            self._by_selector.setdefault(selector, []).append(name)
            if selector.is_prefix:
                self._wide.add(selector)

    def _read(self, name: str) -> _Stored | None:
        content = read_if_there(*local_copies([self.folder / name]))
        if content is None:
            return None
        try:
            return _parse(content, self._schema)
        except DamagedError as error:
            logger.warning("%s %s; its days count as not read", self.folder / name, error)
            return _Stored(None, damage=str(error))


def _format(answer: WaitingAnswer) -> dict[str, object]:
    """Return an answer as JSON values."""
    return {
        "format": FORMAT,
        "definition": Definition.FILES,
        "requests": [[str(r.selector), str(r.first), str(r.last)] for r in answer.requests],
        "at": answer.at.isoformat(),
        "job_id": answer.job_id,
        "failure": answer.failure,
        "facts": {
            str(day): {str(selector): format_facts(each) for selector, each in facts.items()}
            for day, facts in answer.facts.items()
        },
        "superseded": {
            str(day): {str(selector): at.isoformat() for selector, at in stamps.items()}
            for day, stamps in answer.superseded.items()
        },
    }


def _parse(content: bytes, schema: pl.Schema) -> _Stored:
    """Return the content of a file. Raises DamagedError."""
    try:
        about, counts = read_metadata(content), pl.read_parquet(content)
        problem = _problem(content, about, counts.schema, schema)
        answer = None if problem else _answer(about)
    except UNREADABLE:
        raise DamagedError("is damaged, or was not written by Winnow") from None
    if problem:
        raise DamagedError(problem)
    return _Stored(answer, counts.height)


def _problem(content: bytes, about: Mapping[str, Any], columns: pl.Schema, schema: pl.Schema) -> str | None:
    """Return what is wrong with a file that some version of Winnow wrote; None if it is sound."""
    if about["format"] != FORMAT:
        return f"is of format {about['format']}, and this version of Winnow reads {FORMAT}"
    if about["definition"] != Definition.FILES:
        return f"counts {about['definition']}, and this version of Winnow counts {Definition.FILES}"
    counted = pl.Schema({name: dtype for name, dtype in columns.items() if name not in BREAKDOWN_COLUMNS})
    if counted != stored_schema(counted, schema):
        return f"has the columns {', '.join(columns)}, not {', '.join(schema)}"
    return None if is_whole(content, str(about["crc32"])) else "is damaged: it is not what was written"


def _answer(about: Mapping[str, Any]) -> WaitingAnswer:
    selectors: dict[str, Selector] = _Selectors()
    day_of = date.fromisoformat
    return WaitingAnswer(
        tuple(Request(selectors[text], day_of(first), day_of(last)) for text, first, last in about["requests"]),
        datetime.fromisoformat(about["at"]),
        {
            day_of(day): {selectors[text]: ReadingFacts(**each) for text, each in facts.items()}
            for day, facts in about["facts"].items()
        },
        {
            day_of(day): {selectors[text]: datetime.fromisoformat(at) for text, at in stamps.items()}
            for day, stamps in about["superseded"].items()
        },
        about["failure"],
        about["job_id"],
    )


def _by_day(rows: pl.DataFrame) -> RowsByDay:
    return {day: found for (day,), found in rows.partition_by("date", as_dict=True).items()}


class _Selectors(dict[str, Selector]):
    """A cache of selectors by their texts."""

    def __missing__(self, text: str) -> Selector:
        return self.setdefault(text, Selector.parse(text))
