"""Sealed files: Parquet files with Winnow's metadata and a checksum of the whole file."""

from __future__ import annotations

import io
import json
import zlib
from typing import TYPE_CHECKING, Any

import polars as pl

from winnow_dagster.store import old_days

if TYPE_CHECKING:
    from collections.abc import Mapping

METADATA_KEY = "winnow"
CHECKSUM_KEY, NO_CHECKSUM = b'"crc32": "', "00000000"

CORRUPT_SUFFIX = ".corrupt"
"""The suffix of a damaged file that Winnow has set aside."""

UNREADABLE = (
    pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError, LookupError, TypeError, AttributeError,
)  # fmt: skip
"""The exceptions that reading a damaged or foreign file may raise."""


class DamagedError(ValueError):
    """A stored file cannot be trusted. The message says why."""


def encode(counts: pl.DataFrame, about: Mapping[str, Any]) -> bytes:
    """Return a Parquet file of counts, with metadata and a checksum."""
    buffer = io.BytesIO()
    counts.write_parquet(buffer, metadata={METADATA_KEY: json.dumps({**about, "crc32": NO_CHECKSUM})})
    return _with_checksum(buffer.getvalue(), zlib.crc32(buffer.getvalue()))


def read_metadata(content: bytes) -> dict[str, Any]:
    """Return the metadata of a file. Raises any of UNREADABLE."""
    found: dict[str, Any] = json.loads(pl.read_parquet_metadata(io.BytesIO(content))[METADATA_KEY])
    return found


def is_whole(content: bytes, checksum: str | int | None) -> bool:
    """Return whether a file matches its checksum."""
    if not isinstance(checksum, str):
        return old_days.is_whole(content, checksum)
    written = int(checksum, 16)
    return zlib.crc32(_with_checksum(content, 0)) == written and _with_checksum(content, written) == content


def _with_checksum(content: bytes, checksum: int) -> bytes:
    """Return a file with another checksum. The checksum key of the metadata is the last match in the file."""
    before, key, after = content.rpartition(CHECKSUM_KEY)
    return before + key + b"%08x" % checksum + after[len(NO_CHECKSUM) :]
