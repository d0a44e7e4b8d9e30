"""Holds what is published against what the oracle counts: records, badges, histories, shards."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.faults.oracle_rules import ALLOWED, CATEGORIES, Config, Ledger
from tests.faults.oracle_world import CHANGE, PACKAGES

DAY = timedelta(days=1)
SYSTEMS = {"linux": "Linux", "macos": "Darwin", "windows": "Windows"}


@dataclass(frozen=True)
class Folder:
    """What one folder publishes: of which packages, read by which selectors, over which windows."""

    name: str
    packages: tuple[str, ...]
    parts: tuple[str, ...]
    lengths: tuple[int, ...]


def check_site(  # noqa: PLR0917 - all that decides about it
    public: Path,
    ledger: Ledger,
    config: Config,
    published: dict[str, Any],
    now: datetime,
    start: date,
    *,
    is_damaged: bool,
) -> Iterator[str]:
    """Yield what is not as it has to be, and take note of what is published now."""
    through = now.date() - DAY
    before = {name: published.get(name, {}) for name in ("windows", "days", "shards")}
    # Where something newer is published, an old day is replayed, and what is published stays.
    newer = {
        name
        for name, windows in before["windows"].items()
        if any(numbers["days"][1] > str(through) for numbers in windows.values())
    }
    folders = [folder for folder in _folders(ledger, config, before, through) if folder.name not in newer]
    for folder in folders:
        place = public / folder.name
        if not (place / "counts.json").exists():
            yield f"{folder.name} has no record"
            continue
        yield from _check_record(place, folder, ledger, before, through, start, is_damaged=is_damaged)
        yield from _check_history(place, folder, ledger, config, before, through)
    named = {folder.name for folder in folders}
    found = _read(public)
    for name, windows in before["windows"].items():
        for days, numbers in windows.items() if name not in named else ():
            if found["windows"].get(name, {}).get(days) != numbers:
                yield f"{name} {days}d was {numbers}, and is {found['windows'].get(name, {}).get(days)}: it is to stay"
    for name, days in before["days"].items():
        if lost := sorted(set(days) - set(found["days"].get(name, {}))):
            yield f"{name}: the history has lost {lost}"
    shown = {name: windows for name, windows in found["windows"].items() if name not in newer}
    yield from _check_badges(public, shown, now.date())
    if "*" in config.entries:
        yield from _check_shards(found["shards"], ledger, config, before, through)
    published |= found


def _folders(ledger: Ledger, config: Config, before: Mapping[str, Any], through: date) -> Iterator[Folder]:
    for package in PACKAGES:
        entry = config.entry_of(package)
        if entry is None:
            continue
        is_seen = any(day <= through and any(s.downloads.get(package, {}).values()) for day, s in ledger.honest.items())
        if entry == package or (entry == "*" and package in before["windows"]) or (entry.endswith("-*") and is_seen):
            yield Folder(package, (package,), (entry,), tuple(config.entries[entry]))
    for name, (members, lengths) in config.groups.items():
        packages = [p for p in PACKAGES if any(p == m or (m.endswith("*") and p.startswith(m[:-1])) for m in members)]
        yield Folder(f"_group/{name}", tuple(packages), tuple(members), tuple(lengths))


def _read(public: Path) -> dict[str, Any]:
    """Return the numbers of each window of each record, the days of each history, and the shards."""
    windows: dict[str, dict[int, Any]] = {}
    days: dict[str, dict[date, Any]] = {}
    for path in public.glob("**/counts.json"):
        fields = json.loads(path.read_text())
        name = str(path.parent.relative_to(public))
        both = {**fields["windows"], **fields.get("former_windows", {})}
        windows[name] = {0 if key == "all" else int(key): _numbers(w) for key, w in both.items() if "as_of" in w}
    for path in public.glob("**/history.json"):
        fields = json.loads(path.read_text())
        name = str(path.parent.relative_to(public))
        if fields["format"] == 2:
            days[name] = {date.fromisoformat(day): {"honest": n[0], "raw": n[1]} for day, n in fields["days"].items()}
            # They are the days of its windows only.
            days[name] = {} if name not in windows else days[name]
        else:
            days[name] = {date.fromisoformat(day["date"]): _line(day, fields) for day in fields["days"]}
    shards = {path.stem: json.loads(path.read_text()) for path in public.glob("_packages/??.json")}
    return {"windows": windows, "days": days, "shards": shards}


def _numbers(window: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a record says of a window, without what is 0."""
    counts = {"raw": window["raw"], **window["categories"]}
    counts |= {f"by {name}": n for name, n in window["by_installer"].items()}
    counts |= {f"on {name}": n for name, n in window["by_system"].items()}
    return {
        "days": (window["first_day"], window["as_of"]),
        "counts": {key: n for key, n in counts.items() if n != 0},
        "unlisted": sum(window["unlisted_installers"].values()),
        "short_days": window.get("short_days", []),
    }


def _line(day: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a day of a history, without what is 0."""
    counts = {"raw": day["raw"], **day["categories"]}
    counts |= {f"by {name}": n for name, n in day["by_installer"].items()}
    counts |= {f"on {name}": n for name, n in day["by_system"].items()}
    kept = {key: n for key, n in counts.items() if n != 0}
    is_short = day["date"] in fields.get("short_days", ())
    return {"counts": kept, "reading": day["reading"], "definition": day.get("definition"), "short": is_short}


def _shown(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the oracle's counts as a record has them: three systems only."""
    keys = {"raw", *CATEGORIES, *(f"by {i}" for i in ALLOWED), *(f"on {s}" for s in SYSTEMS.values())}
    return {key: n for key, n in counts.items() if key in keys}


def _check_record(  # noqa: PLR0917 - all that decides about it
    place: Path,
    folder: Folder,
    ledger: Ledger,
    before: Mapping[str, Any],
    through: date,
    start: date,
    *,
    is_damaged: bool,
) -> Iterator[str]:
    fields = json.loads((place / "counts.json").read_text())
    was = before["windows"].get(folder.name, {})
    if set(fields["windows"]) != {"all" if n == 0 else str(n) for n in folder.lengths}:
        yield f"{folder.name} has the windows {list(fields['windows'])}, not {folder.lengths}"
        return
    for length in folder.lengths:
        window = fields["windows"]["all" if length == 0 else str(length)]
        found = _numbers(window) if "as_of" in window else None
        where = f"{folder.name} {length}d"
        if length == 0:
            yield from _check_all(where, found, was.get(0), folder, ledger, is_damaged=is_damaged)
            continue
        expected = was.get(length)
        days = ledger.newest_window(folder.parts, length, through)
        if days and (expected is None or expected["days"][1] <= str(max(days))):
            expected = _tell(folder, ledger, days)
        if found != expected:
            yield f"{where} is {found}, not {expected}"
        covered = sum(ledger.covered(through - n * DAY, folder.parts) for n in range(length))
        if window["collected_days"] != covered:
            yield f"{where} has collected {window['collected_days']} days, not {covered}"
    for length, numbers in was.items():
        key = "all" if length == 0 else str(length)
        if length not in folder.lengths and _numbers(fields["former_windows"][key]) != numbers:
            yield f"{folder.name} {length}d, no longer configured, is {fields['former_windows'][key]}, not {numbers}"


def _check_all(where: str, found: Any, was: Any, folder: Folder, ledger: Ledger, *, is_damaged: bool) -> Iterator[str]:
    if found is None:
        if was is not None:
            yield f"{where} was {was}, and is gone"
        return
    first, as_of = map(date.fromisoformat, found["days"])
    days = [first + n * DAY for n in range((as_of - first).days + 1)]
    if all(ledger.covered(day, folder.parts) for day in days):
        if (told := _tell(folder, ledger, days)) != found:
            yield f"{where} is {found}, not {told}"
    elif found != was:
        yield f"{where} is {found}; not all of it is covered, and it was {was}"
    if was is not None and (
        was["days"][1] > found["days"][1] or (was["days"][0] < found["days"][0] and not is_damaged)
    ):
        yield f"{where} was of {was['days']}, and is of {found['days']}"


def _tell(folder: Folder, ledger: Ledger, days: Sequence[date]) -> dict[str, Any]:
    counts = ledger.recount(folder.packages, days)
    return {
        "days": (str(min(days)), str(max(days))),
        "counts": _shown(counts),
        "unlisted": counts.get("other", 0),
        "short_days": sorted(str(day) for day in days if ledger.is_marked(day, folder.parts)),
    }


def _check_history(  # noqa: PLR0917 - all that decides about it
    place: Path, folder: Folder, ledger: Ledger, config: Config, before: Mapping[str, Any], through: date
) -> Iterator[str]:
    fields = json.loads((place / "history.json").read_text())
    found = {date.fromisoformat(day["date"]): _line(day, fields) for day in fields["days"]}
    was = before["days"].get(folder.name, {})
    for day, line in found.items():
        where = f"{folder.name} on {day}"
        stored = ledger.honest.get(day)
        counts = ledger.recount(folder.packages, [day]) if stored else {}
        told = {**_shown(counts)}
        rest = counts.get("honest", 0) - sum(counts.get(f"on {system}", 0) for system in SYSTEMS.values())
        told = {
            key.replace("on Linux", "on linux").replace("on Darwin", "on macos").replace("on Windows", "on windows"): n
            for key, n in told.items()
        }
        told |= {"on other_system": rest} if rest else {}
        if day <= through and ledger.covered(day, folder.parts):
            provisional = ledger.is_provisional(day, folder.parts, config)
            expected = {
                "counts": told,
                "reading": "provisional" if provisional else "settled",
                "definition": "files",
                "short": ledger.is_marked(day, folder.parts),
            }
            if line != expected:
                yield f"the history of {where} is {line}, not {expected}"
        elif stored and day <= CHANGE and all(map(stored.is_legacy, folder.parts)):
            if (line["counts"], line["definition"]) != (told, "requests"):
                yield f"the history of {where} is {line}, not {told} by requests"
        elif day not in was:
            yield f"the history of {where} is {line}, and nothing is stored of it"
        elif line["counts"] != was[day].get("counts", line["counts"]):
            yield f"the history of {where} is {line}, and was {was[day]}"
    days = {day for day in ledger.honest if day <= through and ledger.covered(day, folder.parts)}
    if lacking := sorted(days - found.keys()):
        yield f"the history of {folder.name} lacks {lacking}"
    lines = (place / "history.csv").read_text().splitlines()
    if [(line.split(",")[0], line.split(",")[-2]) for line in lines[1:]] != [
        (day["date"], day["definition"]) for day in fields["days"]
    ]:
        yield f"the CSV of {folder.name} has other days than its JSON"


def _check_badges(public: Path, windows: Mapping[str, Any], today: date) -> Iterator[str]:
    for name, found in windows.items():
        for length, numbers in found.items():
            path = public / name / f"downloads-{'all' if length == 0 else f'{length}d'}-non-ci.json"
            message = json.loads(path.read_text())["message"]
            honest, as_of = numbers["counts"].get("honest", 0), date.fromisoformat(numbers["days"][1])
            expected = str(honest) if honest < 1000 else f"{honest / 1000:.1f}k".replace(".0k", "k")
            expected += f" to {as_of}" if (today - as_of).days > 3 else ""
            if message != expected:
                yield f"{name}/{path.name} says {message}, not {expected}"


def _check_shards(
    shards: Mapping[str, Any], ledger: Ledger, config: Config, before: Mapping[str, Any], through: date
) -> Iterator[str]:
    chosen = [p for p in PACKAGES if config.entry_of(p) == "*" and p not in before["windows"]]
    windows = {n: ledger.newest_window(["*"], n, through) for n in config.entries["*"]}
    for key in sorted({package[:2] for package in chosen}):
        shard, was = shards.get(key), before["shards"].get(key)
        told = {
            (p, n): ledger.recount([p], days) if days else {}
            for p in chosen
            if p[:2] == key
            for n, days in windows.items()
        }
        if shard is None:
            if any(counts.get("raw") for counts in told.values()):
                yield f"_packages/{key}.json is missing"
            continue
        for at, window in enumerate(shard["windows"]):
            days = windows.get(window["days"])
            newer = {w["days"]: w["as_of"] for w in was["windows"]}.get(window["days"]) if was else None
            if days is None or (newer is not None and newer > str(max(days))):
                continue
            if not any(counts.get("raw") for counts in told.values()):
                continue
            where = f"_packages/{key}.json {window['days']}d"
            if (window["first_day"], window["as_of"]) != (str(min(days)), str(max(days))):
                yield f"{where} is of {window['first_day']} to {window['as_of']}, not {min(days)} to {max(days)}"
                continue
            for package in (p for p in chosen if p[:2] == key):
                numbers = shard["packages"].get(package, [0] * 2 * len(shard["windows"]))[2 * at : 2 * at + 2]
                counts = told[package, window["days"]]
                if numbers != [counts.get("honest", 0), counts.get("raw", 0)]:
                    yield f"{where}: {package} is {numbers}, not {counts}"
