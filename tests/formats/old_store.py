"""A store and a site as the releases before the change of definition wrote them, made from those of today."""

from __future__ import annotations

import io
import json
import zlib
from pathlib import Path

import polars as pl

NEW_KEYS = ("definition", "legacy", "facts")
"""What those releases did not note in a day file."""


def as_before_the_change(store: Path, public: Path) -> None:
    """Take from all files what the releases before the change did not write."""
    for path in store.glob("*_downloads/*.parquet"):
        try:
            about = json.loads(pl.read_parquet_metadata(path)["winnow"])
        except (pl.exceptions.PolarsError, ValueError, KeyError):
            # A damaged file is so in any release.
            continue
        # A day of which another release read a part is as mixed as it was.
        about["read"] = {**about.pop("legacy", {}), **about["read"]}
        kept = {key: value for key, value in about.items() if key not in NEW_KEYS}
        _write(path, pl.read_parquet(path), kept | {"format": 2})
    (store / "source_rows.json").unlink(missing_ok=True)
    for path in public.glob("**/history.json"):
        content = json.loads(path.read_text())
        if content["format"] == 1:
            content.pop("short_days", None)
            for day in content["days"]:
                day.pop("definition", None)
            path.write_text(json.dumps(content))


def _write(path: Path, counts: pl.DataFrame, about: dict[str, object]) -> None:
    """Write a day file with the seal that format 2 has: a checksum of the file in which the checksum is 0."""
    about.pop("crc32")
    buffer = io.BytesIO()
    counts.write_parquet(buffer, metadata={"winnow": json.dumps({**about, "crc32": "00000000"})})
    content = buffer.getvalue()
    before, key, after = content.rpartition(b'"crc32": "')
    path.write_bytes(before + key + b"%08x" % zlib.crc32(content) + after[8:])
