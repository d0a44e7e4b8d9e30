"""Collect the rows in ../shared/data and hold every published number against expected.json.

Run with the interpreter that has Winnow installed. Three collects: the files as they are; split anew; in three steps.
All three must publish the same numbers, and the first two the same bytes, `_health.json` aside.
"""

from __future__ import annotations

import json
import sys
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import polars as pl
from click.testing import CliRunner

from winnow_dagster.cli import main as winnow

if TYPE_CHECKING:
    from collections.abc import Mapping

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
EXPECTED = json.loads((DATA / "expected.json").read_text())
WINDOWS = [30, 1, 7]
MORE_DAYS = (
    "history.json", "history.csv", "index.html", "/chart.svg", "/python.csv", "/version.csv", "/breakdowns.json",
)  # fmt: skip
SYSTEM_FILES = {"Linux": "linux", "Darwin": "macos", "Windows": "windows"}


def write_config(folder: Path, source: Mapping[str, object]) -> Path:
    """Write a config for all seven packages of the data into a new folder, and return the folder."""
    config = {
        "service": {"output_dir": "public", "data_dir": "data"},
        "source": source,
        "packages": [
            {"name": package["configured_as"], "window_days": WINDOWS} for package in EXPECTED["packages"].values()
        ],
    }
    folder.mkdir()
    (folder / "winnow.yaml").write_text(json.dumps(config))
    return folder


def collect(folder: Path, through: str) -> None:
    """Run `winnow collect` in a folder, and exit if it fails."""
    code, told = run_collect(folder, through)
    if code != 0:
        sys.exit(f"{folder.name}: winnow collect exited with {code}\n{told}")


def run_collect(folder: Path, through: str) -> tuple[int, str]:
    """Run `winnow collect` in a folder, in this process; return its exit code and what it prints."""
    with chdir(folder):
        done = CliRunner().invoke(winnow, ["collect", "--through", through], catch_exceptions=False)
    return done.exit_code, done.output


def parquet(rows: Path) -> Mapping[str, object]:
    """Return files as a source."""
    return {"kind": "parquet", "path": str(rows / "*.parquet")}


def split_anew(target: Path) -> None:
    """Write the same rows as three files that are cut anywhere but between days."""
    target.mkdir()
    rows = pl.read_parquet(DATA / "file_downloads" / "*.parquet").sample(fraction=1, shuffle=True, seed=7)
    for number, part in enumerate(rows.iter_slices(rows.height // 3 + 1)):
        part.write_parquet(target / f"part-{number}.parquet")


def read_published(public: Path) -> dict[str, bytes]:
    """Return every published file, without the times of a run and the random id of a config."""
    files = {str(p.relative_to(public)): p.read_bytes() for p in public.rglob("*") if p.is_file()}
    for name in ("_health.json", "_site.json"):
        del files[name]
    timed = {name: json.loads(content) for name, content in files.items() if name.endswith("/breakdowns.json")}
    return files | {name: json.dumps(content | {"read_until": None}).encode() for name, content in timed.items()}


def format_like_a_badge(count: int) -> str:
    """Format the counts of the data, none of which reaches a million."""
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}".removesuffix(".0") + "k"


def format_share_like_a_badge(part: int, whole: int) -> str:
    """Format a share of the data, of which none is all or nothing but for rounding."""
    if whole == 0:
        return "no downloads"
    return f"{max(0.1, min(99.9, round(100 * part / whole, 1))) if 0 < part < whole else 100 * part / whole:g}%"


def compare_history(public: Path) -> int:
    """Hold the days of each history against the windows that end with the newest; return how many were compared."""
    compared = 0
    for name, package in EXPECTED["packages"].items():
        days = json.loads((public / name / "history.json").read_text())["days"]
        rows = (public / name / "history.csv").read_text().splitlines()
        if len(rows) != len(days) + 1:
            sys.exit(f"{name}: {len(rows) - 1} days in the CSV, {len(days)} in the JSON")
        for window, expected in package["windows"].items():
            newest = [day for day in days if expected["first_day"] <= day["date"] <= EXPECTED["as_of"]]
            for category, count in expected["categories"].items():
                found = sum(day["categories"][category] for day in newest)
                if len(newest) != int(window) or found != count:
                    sys.exit(f"{name} {window}d: {found} {category} in {len(newest)} days of the history, not {count}")
                compared += 1
    return compared


def compare(public: Path) -> int:
    """Hold every badge and every count against expected.json; return how many numbers were compared."""
    compared = 0

    def same(found: object, wanted: object, where: str) -> None:
        nonlocal compared
        compared += 1
        if found != wanted:
            sys.exit(f"{where}: {found!r}, not {wanted!r}")

    health = json.loads((public / "_health.json").read_text())
    for name, package in EXPECTED["packages"].items():
        for folder in {name, package["configured_as"]}:
            record = json.loads((public / folder / "counts.json").read_text())
            for days, expected in package["windows"].items():
                found = record["windows"][days]
                where = f"{folder} {days}d"
                same(found["as_of"], EXPECTED["as_of"], where)
                same(found["first_day"], expected["first_day"], where)
                same(found["raw"], expected["total"], where)
                for key in ("categories", "by_installer", "by_system"):
                    for each, count in expected[key].items():
                        same(found[key][each], count, f"{where} {each}")
                installers = expected["by_installer"]
                badges = {"downloads": expected["categories"]["honest"]}
                badges |= {f"installer-{installer}": count for installer, count in installers.items()}
                badges["installer-pip-family"] = installers["pip"] + installers["pipenv"] + installers["pipx"]
                badges |= {f"os-{SYSTEM_FILES[system]}": count for system, count in expected["by_system"].items()}
                whole, honest = expected["total"], expected["categories"]["honest"]
                share = json.loads((public / folder / f"honest-share-{days}d-non-ci.json").read_text())["message"]
                same(share, format_share_like_a_badge(honest, whole), f"{where} share")
                for slug, count in badges.items():
                    badge = json.loads((public / folder / f"{slug}-{days}d-non-ci.json").read_text())
                    same(badge["message"], format_like_a_badge(count), f"{where} {slug}")
                    same(badge["color"], "blue" if count >= 10 else "lightgrey", f"{where} {slug}")
        headline = package["windows"]["30"]["categories"]["honest"]
        same(health["packages"][package["configured_as"]]["count"], headline, f"_health.json {name}")
    return compared


def main() -> None:
    """Run the three collects and compare."""
    through = EXPECTED["as_of"]
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        whole = write_config(root / "whole", parquet(DATA / "file_downloads"))
        collect(whole, through)
        numbers = compare(root / "whole" / "public") + compare_history(root / "whole" / "public")
        files = read_published(root / "whole" / "public")

        split_anew(root / "rows")
        split = write_config(root / "split", parquet(root / "rows"))
        collect(split, through)

        steps = write_config(root / "steps", parquet(DATA / "file_downloads"))
        # Through the 10th, the rows of the 30th day back are there: the data begins on 2026-10-12.
        for day in ("2026-11-10", "2026-11-15", through):
            collect(steps, day)

        if read_published(root / "split" / "public") != files:
            sys.exit("split: other bytes published than by one collect of the files as they are")
        # In steps older days were read too, which histories and pages show.
        stepwise = read_published(root / "steps" / "public")
        odd = [name for name in files if stepwise[name] != files[name] and not name.endswith(MORE_DAYS)]
        if odd:
            sys.exit(f"steps: other bytes published than by one collect of the files as they are: {', '.join(odd)}")
        numbers += compare_history(root / "steps" / "public")
    print(f"{numbers} numbers in {len(files)} files as expected; the same bytes from split files and in three steps")


if __name__ == "__main__":
    main()
