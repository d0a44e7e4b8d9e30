"""Listings: what a bucket itself says is in a directory, for a manifest that does not say it.

The parts of a manifest share nothing: what has a record, and what is no package's, is in the one called NAMED.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import chain, groupby
from typing import TYPE_CHECKING

from winnow_dagster.core.shard import SHARD_LENGTH
from winnow_dagster.files.opening import bucket_of
from winnow_dagster.files.paths import AT_ONCE, NAMED, shard_in
from winnow_dagster.site.record import FILE_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from winnow_dagster.files.paths import ObjectPath, ObjectVersion, StorePath


def list_part(folder: ObjectPath, manifest: StorePath) -> dict[str, ObjectVersion]:
    """Return the objects below a folder that this part of its manifest lists, by their keys. Raises StorageError."""
    return dict(_list_part(folder, manifest.name))


def list_again(folder: ObjectPath, manifest: StorePath, known: Mapping[str, ObjectVersion]) -> dict[str, ObjectVersion]:
    """Return the current objects among those that a part of a manifest lists. Raises StorageError.

    In the named part only known folders are listed: beside them `*` may have a million.
    """
    if manifest.name != NAMED:
        return list_part(folder, manifest)
    bucket, root = bucket_of(folder), f"{folder.key}/" if folder.key else ""
    tops = {key.removeprefix(root).partition("/")[:2] for key in known}
    prefixes = sorted(root + top + slash for top, slash in tops if slash)
    files = [folder / top for top, slash in sorted(tops) if not slash]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        listed = pool.map(lambda prefix: list(bucket.list_all(folder, prefix)), prefixes)
        found = dict(chain.from_iterable(listed))
        looked = zip(files, pool.map(bucket.look_closely, files), strict=True)
        found.update((file.key, now) for file, now in looked if now is not None)
    return found


def _list_part(folder: ObjectPath, part: str) -> Iterator[tuple[str, ObjectVersion]]:
    root = f"{folder.key}/" if folder.key else ""
    is_named = part == NAMED
    found = bucket_of(folder).list_all(folder, root + ("" if is_named else _beginning(shard_in(part))))
    # Folder by folder, as they come: of `*` there are millions of objects, and few of them are in any one part.
    for top, group in groupby(found, lambda item: item[0].removeprefix(root).partition("/")[:2]):
        objects = list(group)
        is_record = f"{root}{top[0]}/{FILE_NAME}" in dict(objects)
        if is_named == (is_record or not top[1] or top[0].startswith("_")):
            yield from objects


def _beginning(shard: str) -> str:
    """Return what the folders of a shard begin with. A shard of one letter is one package."""
    return shard if len(shard) == SHARD_LENGTH else f"{shard}/"
