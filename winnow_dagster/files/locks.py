"""Locks: two processes at work on one installation never send the same query, nor undo what the other wrote.

On a disk the operating system frees a lock when its process ends, however it ends; in a bucket it is a lease.
`files.session` has the lock for publishing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from winnow_dagster.files.opening import key_of, store_of

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from winnow_dagster.files.held import Lock
    from winnow_dagster.files.paths import StorePath


def fetching(folder: StorePath) -> AbstractContextManager[Lock]:
    """Hold the right to ask the source for days of the store in `folder`."""
    return store_of(folder).lock(key_of(folder), "fetching")


def counting(folder: StorePath) -> AbstractContextManager[Lock]:
    """Hold the right to write honest days into the store in `folder`."""
    return store_of(folder).lock(key_of(folder), "counting")


def alerting(folder: StorePath) -> AbstractContextManager[Lock]:
    """Hold the right to send alerts for the installation whose data is in `folder`."""
    return store_of(folder).lock(key_of(folder), "alerting")
