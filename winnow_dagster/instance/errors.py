"""Errors of a Dagster instance, in one line each: file, key and fix. A value may be secret, so no line has it."""

from __future__ import annotations

import contextlib
import re
import sys
from typing import TYPE_CHECKING, Any

import yaml
from dagster import DagsterError, DagsterInvalidConfigError
from sqlalchemy.exc import SQLAlchemyError

from winnow_dagster.config.errors import ConfigError
from winnow_dagster.core.causes import INSTANCE
from winnow_dagster.files.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

UNSET = re.compile(r'environment variable "([^"]+)" which is not set')
UNKNOWN = re.compile(r'unexpected config entr(?:y|ies) "?\[?(.+?)\]?"? at ')
PLACE = re.compile(r"at path root((?::[^:. ]+)+)")
MISSING = re.compile(r'[Mm]issing required config entr(?:y|ies) "?\[?(.+?)\]?"? at ')

MIGRATION = "dagster instance migrate"
"""Dagster names this command if the tables of an instance are older than its code."""


class HistoryError(StorageError):
    """Dagster's history of runs cannot be read or written. No published number depends on it."""


@contextlib.contextmanager
def translating_file_errors(file: Path) -> Iterator[None]:
    """Turn Dagster's errors about a file into a ConfigError that names the key and the fix."""
    try:
        yield
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or "a character that YAML does not have"
        raise ConfigError(file, [f"{where}{problem}. {INSTANCE['malformed'].fix}"]) from None
    except DagsterInvalidConfigError as error:
        messages = [each.message for each in error.errors] or [str(error)]
        raise ConfigError(file, [_sentence(message, file) for message in messages]) from None
    except UnicodeDecodeError:
        raise ConfigError(file, ["is not UTF-8 text. Save it as UTF-8"]) from None
    except OSError as error:
        if error.filename != str(file):
            raise
        raise ConfigError(file, [f"cannot be read: {error.strerror}. Check the path and its permissions"]) from None
    except _errors_of_files() as error:
        message = str(error).removeprefix("Failure condition: ")
        if "parse to dictionary" in message:
            problem = f"is not keys and values. {INSTANCE['malformed'].fix}"
        elif isinstance(error, DagsterError):
            problem = f"{_first_line(message)}. {INSTANCE['invalid'].fix}"
        else:
            problem = f"{_first_line(message)}. {INSTANCE['package'].fix}"
        raise ConfigError(file, [problem]) from None


def _errors_of_files() -> tuple[type[Exception], ...]:
    """Return what Dagster raises for a dagster.yaml that is no mapping, or that names a missing module or class.

    Private: CheckError has no public name. Without it, such a file ends the command with Dagster's own traceback.
    """
    try:
        from dagster_shared.check import CheckError  # noqa: PLC0415 - a missing name must not end the command
    except ImportError:
        return ImportError, DagsterError
    return CheckError, ImportError, DagsterError


class StepHistoryError(HistoryError):
    """Dagster's history could not be read or written during a step, and Dagster reports the step as failed."""


@contextlib.contextmanager
def translating_history_errors(where: str) -> Iterator[None]:
    """Turn a database's errors, and those of an outdated schema, into a HistoryError that names the instance."""
    try:
        yield
    except StepHistoryError as error:
        raise _history_error(error, where) from None
    except _database_errors() as error:
        raise _history_error(error if isinstance(error, SQLAlchemyError) else error.__cause__ or error, where) from None
    except _errors_of_files() as error:
        if MIGRATION not in str(error):
            raise
        raise _history_error(error, where) from None


def _database_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that databases raise. dagster-postgres, if it is in use, has its own."""
    postgres = sys.modules.get("dagster_postgres.utils")
    return (SQLAlchemyError, *([postgres.DagsterPostgresException] if postgres else []))


def _history_error(error: BaseException, where: str) -> HistoryError:
    reason = _first_line(str(getattr(error, "orig", None) or error))
    is_away = "connect" in reason or "FATAL" in reason or "translate host name" in reason
    first = "database" if is_away else "migration" if MIGRATION in reason else ""
    fix = f"{INSTANCE[first].fix}. {INSTANCE['history'].fix}" if first else INSTANCE["history"].fix
    reason = "an older Dagster made it" if first == "migration" else reason
    return HistoryError(
        f"{where}: the history of runs (`storage` in dagster.yaml) cannot be read or written ({reason}). {fix}"
    )


def _sentence(message: str, file: Path) -> str:
    """Return one key's problem, from Dagster's message about it."""
    found = PLACE.search(message)
    keys = found[1].strip(":").split(":") if found else []
    if unset := UNSET.search(message):
        place = _place(file, keys)
        return f"{place}: takes its value from ${unset[1]}, which is not set. {INSTANCE['variable'].fix}"
    if unknown := UNKNOWN.search(message):
        return f"{_place(file, [*keys, unknown[1]])}: unknown key. {INSTANCE['invalid'].fix}"
    if missing := MISSING.search(message):
        return f"{_place(file, keys) or 'the file'}: {missing[1]} is missing. Add it"
    if keys:
        return f"{_place(file, keys)}: a value of a wrong type. {INSTANCE['invalid'].fix}"
    return f"{_first_line(message)}. {INSTANCE['invalid'].fix}"


def _place(file: Path, keys: Sequence[str]) -> str:
    """Return the whole path of a key. Of a part that Dagster loads separately, Dagster names only the keys below it."""
    with contextlib.suppress(OSError, ValueError, yaml.YAMLError):
        for path in _paths(yaml.safe_load(file.read_text(encoding="utf-8")), ()):
            if list(path[-len(keys) :]) == list(keys):
                return ".".join(path)
    return ".".join(keys)


def _paths(content: Any, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:  # noqa: ANN401 - as YAML has it
    if isinstance(content, dict):
        for key, value in content.items():
            yield (*above, str(key))
            yield from _paths(value, (*above, str(key)))


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[0].split(" Expected: ")[0].rstrip(". ")[:300]
