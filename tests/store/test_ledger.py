"""The ledger outlives crashes and two writers, and counts what it does not know."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from winnow_dagster.core.billing import Entry
from winnow_dagster.store.ledger import Ledger

ENTRY = Entry(
    "1", datetime(2025, 7, 1, 4, tzinfo=UTC), date(2025, 6, 1), date(2025, 6, 30), ["a", "b-*"], "batched", 5.0
)
ROOT = Path(__file__).parents[2]


def test_no_ledger_has_no_entries(tmp_path: Path) -> None:
    assert Ledger(tmp_path / "ledger.jsonl").entries() == []


def test_what_is_entered_later_takes_the_place_of_what_was_entered_before_and_nothing_is_rewritten(
    tmp_path: Path,
) -> None:
    ledger = Ledger(tmp_path / "data" / "ledger.jsonl")
    ledger.enter(ENTRY)
    before = ledger.path.read_bytes()
    ended = replace(ENTRY, billed=7, processed=6, rows=5, cache_hit=True)
    ledger.enter(replace(ENTRY, job_id="2"))
    ledger.enter(ended)
    assert ledger.entries() == [ended, replace(ENTRY, job_id="2")]
    assert ledger.path.read_bytes().startswith(before)


def test_a_line_that_a_crash_tore_off_is_passed_over_and_spoils_no_other(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.enter(ENTRY)
    whole = ledger.path.read_bytes()
    for cut in range(1, len(whole)):
        ledger.path.write_bytes(whole + whole[:cut].replace(b'"1"', b'"9"'))
        ledger.enter(replace(ENTRY, job_id="2"))
        assert [entry.job_id for entry in ledger.entries() if entry.job_id != "9"] == ["1", "2"]


def test_two_processes_that_write_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from dataclasses import replace; from tests.store.test_ledger import ENTRY, Ledger\n"
        "ledger = Ledger(pathlib.Path(sys.argv[1]))\n"
        "for n in range(100): ledger.enter(replace(ENTRY, job_id=f'{sys.argv[2]}-{n}', selectors=['x' * 40] * 200))"
    )
    path = tmp_path / "ledger.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", program, str(path), name], cwd=ROOT) for name in ("a", "b")]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert {entry.job_id for entry in Ledger(path).entries()} == {f"{name}-{n}" for name in "ab" for n in range(100)}


OLD_LINE = (
    '{"job_id": "1", "at": "2025-07-01 04:00:00+00:00", "first": "2025-06-01", "last": "2025-06-30", '
    '"selectors": ["a", "b-*"], "strategy": "batched", "estimate": 5.0, "billed": null, "processed": null, '
    '"rows": null, "cache_hit": false}'
)


def test_a_line_of_the_release_before_has_no_columns(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text(OLD_LINE)
    assert Ledger(path).entries() == [ENTRY]
    assert ENTRY.columns is None


def test_a_line_has_all_keys_of_the_release_before_which_passes_over_the_others(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.enter(replace(ENTRY, columns=("timestamp",), project="p"))
    (line,) = ledger.path.read_text().split("\n")[1:-1]
    assert json.loads(line).items() >= json.loads(OLD_LINE).items()


def test_a_line_of_a_later_release_is_read_with_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text(json.dumps({**json.loads(OLD_LINE), "columns": ["timestamp"], "slots": 3}))
    assert Ledger(path).entries() == [replace(ENTRY, columns=("timestamp",))]
