"""Examine everything that a collect needs. Each finding is one line, which ends with the fix if something is wrong."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import requests

from winnow_dagster.config.errors import ConfigError
from winnow_dagster.core.badge import is_stale
from winnow_dagster.core.billing import MB, format_bytes
from winnow_dagster.core.coverage import CLOCK_TOLERANCE, NOTHING, ONE_DAY
from winnow_dagster.credentials import ENCODED_VARIABLE, EXPOSED, others_can_read
from winnow_dagster.defs.resources import Installation
from winnow_dagster.files.errors import NotOursError, SampleOverRealError, StorageError
from winnow_dagster.files.paths import local_path
from winnow_dagster.instance.opening import describe_instance
from winnow_dagster.preflight import check_writable, find_credential_problems, key_file, nearest_existing, needs_google
from winnow_dagster.sources.interface import SourceError
from winnow_dagster.sources.kinds import KINDS, costs_of, open_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from winnow_dagster.config.settings import Settings
    from winnow_dagster.files.paths import StorePath

MIN_FREE_BYTES = 100 * MB
"""With less free space, a collect of a few packages may fail."""

TIMEOUT_SECONDS = (3, 10)
"""How long to wait for a connection, and for an answer."""


@dataclass(frozen=True)
class Finding:
    """A requirement: its name, its state, and whether it is met."""

    name: str
    text: str
    is_ok: bool = True


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield a finding per requirement of a valid config. Asks the source questions that cost nothing."""
    now = datetime.now(UTC)
    number = len(settings.packages)
    entries = f"{number} entr{'y' if number == 1 else 'ies'} of `packages:`"
    yield Finding("config", f"{settings.config_file or 'none, so sample data'}: {entries}")
    yield _directory("output_dir", settings.output_dir)
    yield _directory("data_dir", settings.data_dir)
    yield _site(settings)
    problems = list(find_credential_problems(settings))
    yield _key(settings, problems)
    # Without a key, each question to the source would end with the same error.
    yield from _source(settings, now, is_asked=not problems)
    yield _clock(settings, now)
    yield _instance(settings)


def _directory(name: str, place: StorePath) -> Finding:
    try:
        check_writable(place)
    except StorageError as error:
        return Finding(name, str(error), is_ok=False)
    folder = local_path(place)
    if folder is None:
        return Finding(name, f"{place}: can be written")
    free = shutil.disk_usage(nearest_existing(folder)).free
    if free < MIN_FREE_BYTES:
        return Finding(
            name, f"{place}: only {format_bytes(free)} are free. Make room, or choose another disk", is_ok=False
        )
    return Finding(name, f"{place}: can be written, {format_bytes(free)} free")


def _site(settings: Settings) -> Finding:
    """Return whether this config may publish to its web directory."""
    winnow = Installation(settings)
    try:
        winnow.ownership.check()
        winnow.refuse_sample_over_real()
    except (NotOursError, SampleOverRealError, StorageError) as error:
        return Finding("site", str(error), is_ok=False)
    return Finding("site", "this config may publish there")


def _key(settings: Settings, problems: Sequence[str]) -> Finding:
    """Return whether the Google key exists, can be parsed, and is private."""
    if not needs_google(settings):
        return Finding("key", "none needed")
    if problems:
        return Finding("key", problems[0], is_ok=False)
    path = key_file(settings)
    if path is None:
        is_encoded = os.environ.get(ENCODED_VARIABLE)
        text = f"${ENCODED_VARIABLE}: can be read" if is_encoded else "none, so Google's usual environment decides"
        return Finding("key", text)
    if others_can_read(path):
        return Finding("key", f"{path}: {EXPOSED}", is_ok=False)
    return Finding("key", f"{path}: can be read, and is private")


def _source(settings: Settings, now: datetime, *, is_asked: bool) -> Iterator[Finding]:
    """Yield the account, its permission and the newest day at the source. Stop at the first refusal."""
    source, context = settings.source, settings.source_context
    kind, costs = KINDS[source.kind], costs_of(source, context)
    problems = list(kind.problems(source, context))
    yield Finding("source", problems[0] if problems else str(source), is_ok=not problems)
    if problems or not is_asked:
        return
    step = "credentials"
    try:
        if kind.identify:
            yield Finding(step, kind.identify(source, context))
        step = "permission"
        if costs:
            yield Finding(step, f"may query. {costs.upper_bound(now.date() - ONE_DAY)}")
        step = "newest day"
        if unusable := kind.find_unusable(source, context):
            yield Finding(step, unusable[0], is_ok=False)
            return
        yield _newest_day(settings, now)
    except SourceError as error:
        yield Finding(step, str(error), is_ok=False)


def _newest_day(settings: Settings, now: datetime) -> Finding:
    newest = open_source(settings.source, settings.source_context).newest_day(now.date())
    if newest is None:
        return Finding("newest day", "the source cannot tell which days are whole")
    if is_stale(newest, now.date(), settings.stale_threshold_days):
        behind = (now.date() - newest).days
        text = f"{newest}: the source is {behind} days behind. Wait until it goes on, or use another source"
        return Finding("newest day", text, is_ok=False)
    return Finding("newest day", f"{newest} is whole at the source")


def _clock(settings: Settings, now: datetime) -> Finding:
    """Compare the clock with the source's, and with the newest reading in the store."""
    fix = "Set the clock of this machine, best by NTP"
    winnow = Installation(settings)
    try:
        newest = max(winnow.raw.stored_days(), default=None)
        read_at = ((winnow.raw.coverage(newest) if newest else None) or NOTHING).newest
    except StorageError:
        # The line of data_dir reports it.
        read_at = None
    if read_at and read_at > now + CLOCK_TOLERANCE:
        text = f"{now:%Y-%m-%d %H:%M} UTC, but the store was written at {read_at:%Y-%m-%d %H:%M}. {fix}"
        return Finding("clock", text, is_ok=False)
    here = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    address = KINDS[settings.source.kind].address
    if address is None:
        return Finding("clock", here)
    url = address(settings.source)
    try:
        answer = requests.head(url, timeout=TIMEOUT_SECONDS, allow_redirects=False)
        there = parsedate_to_datetime(answer.headers["Date"])
    except (requests.RequestException, KeyError, ValueError):
        return Finding("clock", f"{here}; {url} does not say what time it is")
    difference = datetime.now(UTC) - there
    if abs(difference) > CLOCK_TOLERANCE:
        seconds = abs(difference).total_seconds()
        side = "ahead of" if difference.total_seconds() > 0 else "behind"
        return Finding("clock", f"{here} is {seconds:.0f} s {side} the source's clock. {fix}", is_ok=False)
    return Finding("clock", f"{here}, as at the source")


def _instance(settings: Settings) -> Finding:
    try:
        return Finding("dagster", describe_instance(settings))
    except (ConfigError, StorageError) as error:
        return Finding("dagster", str(error), is_ok=False)
