"""Refuse runs that could not store their partitions. In Dagster, a successful run has stored all of them."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from winnow_dagster.core.coverage import end_of
from winnow_dagster.core.names import Selector

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import date, datetime


class RefusedError(Exception):
    """A run asks for something that Winnow cannot store. The message names the culprit and the fix."""


def refuse_future_days(days: Collection[date], now: datetime) -> None:
    """Raise RefusedError if a day is not over yet."""
    future = sorted(day for day in days if end_of(day) > now)
    if future:
        raise RefusedError(
            f"{_span(future)} is not over yet (UTC), and only whole days are read. Choose days before {now:%Y-%m-%d}"
        )


def choose_selectors(texts: Collection[str], configured: Collection[Selector]) -> list[Selector]:
    """Return the config's entries with these texts, or all entries if there are no texts.

    Raises RefusedError if the config has no such entry.
    """
    by_text = {str(selector): selector for selector in configured}
    chosen = {text: by_text.get(_normalised(text)) for text in texts}
    unknown = [text for text, selector in chosen.items() if selector is None]
    if unknown:
        near = difflib.get_close_matches(unknown[0], by_text, n=1)
        hint = f"Did you mean {near[0]}?" if near else "Add it there first, or leave it out"
        raise RefusedError(f"{', '.join(map(repr, unknown))}: no such entry under packages: in the config. {hint}")
    wanted = set(chosen.values())
    return [selector for selector in configured if not texts or selector in wanted]


def refuse_without_raw(days: Collection[date], stored: Collection[date]) -> None:
    """Raise RefusedError if a day has no raw counts."""
    lacking = sorted(set(days) - set(stored))
    if lacking:
        raise RefusedError(
            f"{_span(lacking)}: no raw counts are stored, so there is nothing to count. "
            "Materialise raw_downloads of the same days first"
        )


def refuse_other_values(given: Mapping[str, object], ours: Mapping[str, object], resource: str) -> None:
    """Raise RefusedError if the resource of a run has other values than the config file says."""
    for key, value in ours.items():
        if given.get(key) != value:
            raise RefusedError(
                f"resources.{resource}.config.{key}: {given.get(key)!r} is not what the config says ({value!r}). Take "
                f"`{resource}` out of the run config. To change the value, edit {ours['config_file']}"
            )


def _normalised(text: str) -> str:
    try:
        return str(Selector.parse(text))
    except ValueError:
        return text


def _span(days: list[date]) -> str:
    if len(days) == 1:
        return str(days[0])
    return f"{len(days)} days, {days[0]} to {days[-1]}"
