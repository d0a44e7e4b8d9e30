"""Bad input of every kind: configs, names, arguments, Parquet files, day files.

Hypothesis makes what almost fits, atheris (`pip install atheris`) what grows from the code's own branches.

Whatever comes in, there is a value or one clear error: no traceback, no wait, no path outside, no count that was not
written.
"""

from __future__ import annotations

import json
import multiprocessing as mp
import os
import random
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import polars as pl
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from tests.conftest import on_disk
from tests.downloads import download, write
from tests.rows import row, to_frame
from winnow_dagster import collect as collecting
from winnow_dagster.cli import main as cli
from winnow_dagster.config.loading import KEYS, ConfigError, load_settings
from winnow_dagster.core.categories import RAW_SCHEMA
from winnow_dagster.core.coverage import Coverage, Request
from winnow_dagster.core.names import Selector, is_name, normalise
from winnow_dagster.files.paths import ObjectPath
from winnow_dagster.sources.interface import SourceError
from winnow_dagster.sources.parquet.source import ParquetSource
from winnow_dagster.store.raw import RawStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from winnow_dagster.files.paths import StorePath
    from winnow_dagster.store.raw import RawStore

ROOT = Path(__file__).parents[2]
FORKING = mp.get_context("spawn")
DAY = date(2025, 6, 30)
AT = datetime(2025, 7, 4, tzinfo=UTC)

SECRET = "https://hooks.example.com/services/T0KEN"
"""What no message may show, wherever it stands in a config."""

NASTY = st.sampled_from([
    "../x", "..", ".", "con", "_static", "a" * 300, "a" * 200, "", "\0", "a\0b", "~root", "~nobody-here/x", "\u212a",
    "\u00df", "\u00e9", "a/b", "a\\b", "-a", "a-", "a--b", "A.B_c", "*", "a-*", "../*", "-*", "1e5", "0x1f", "NaN",
    "${HOME}", "{days}", "!!x", "&a", "*a", "<<", "=", "~", "2025-13-45", "2025-02-29", "9" * 400, "<script>", "\u202e",
    "\U0001f600", "%2e%2e", "a\nb", SECRET, SECRET.removeprefix("https://"),
])  # fmt: skip
VALID = {
    "service": {"output_dir": "public", "data_dir": "data", "base_url": "https://x.example", "stale_threshold_days": 3},
    "source": {"kind": "bigquery", "strategy": "auto", "figures": {"package_day_mb": 10}, "table": "a.b.c"},
    "packages": [{"name": "requests", "window_days": [7, "all"], "label": {"os-linux": "tux"}}, {"name": "a-*"}],
    "groups": [{"name": "mine", "packages": ["requests"], "colors": {0: "red"}}],
    "defaults": {"badges": ["downloads"], "label_color": "444"},
    "schedule": {"hour": 3, "minute": 30},
    "budget": {"tib_per_month": 1.0},
    "alerts": {"webhook": SECRET},
    "start_date": date(2025, 1, 1),
}

places = st.sampled_from([
    "public", "data", "./data", "x/../data", "data/sample", "data/bigquery", "data/dagster", "data/public", ".", "..",
    "link", "link/x", "gs://one", "gs://one/x", "gs://two/x", "data/key.json", "public/key.json",
])  # fmt: skip
"""Paths of which some are the same, or lie in one another; `link` leads to `data`."""

keys = st.sampled_from(sorted({key for section in KEYS.values() for key in section})) | NASTY
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.dates() | st.datetimes() | NASTY
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5), max_leaves=10
)


@st.composite
def almost_configs(draw: st.DrawFn) -> object:
    """Return a sound config in which some places hold something else."""
    content = json.loads(json.dumps(VALID, default=str))
    content["start_date"] = date(2025, 1, 1)
    for path in ("output_dir", "data_dir", "credential_file") if draw(st.booleans()) else ():
        content["service"].pop(path, None)
        if draw(st.booleans()):
            content["service"][path] = draw(places)
    for _ in range(draw(st.integers(0, 3))):
        place, key = content, None
        while isinstance(place, dict | list) and place:
            key = draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
            if not isinstance(place[key], dict | list) or draw(st.booleans()):
                break
            place = place[key]
        if key is not None and isinstance(place, dict | list) and place:
            place[key] = draw(anything)
        if isinstance(place, dict) and draw(st.booleans()):
            place[draw(keys)] = draw(anything)
    return content


def try_config(folder: Path, content: bytes) -> None:
    """Load a config file: settings whose names are safe, or a ConfigError of whole sentences, each naming the file."""
    path = folder / "winnow.yaml"
    path.write_bytes(content)
    if not (folder / "link").is_symlink():
        (folder / "link").symlink_to("data")
    try:
        found = load_settings(path)
    except ConfigError as error:
        lines = str(error).splitlines()
        assert lines
        assert all(line.startswith(f"{path}: ") for line in lines), lines
        assert "T0KEN" not in str(error), lines  # noqa: PT017 - settings are as good
        return
    for name in [*found.spellings.values(), *map(str, found.windows), *(g.group.name for g in found.groups)]:
        assert name == "*" or safe(name.removesuffix("*")), name
    private = [found.data_dir, found.store_folder, found.local_dir, found.default_home]
    for place in (*private, found.credential_file, path):
        assert not is_served(place, found.output_dir), (place, found.output_dir)


def is_served(place: StorePath | None, served: StorePath) -> bool:
    """Tell whether the world can read a place: it lies in the served folder, through links too, or in its bucket."""
    if isinstance(place, Path) and isinstance(served, Path):
        # Not as Winnow finds it out.
        return os.path.commonpath([os.path.realpath(served)]) == os.path.commonpath(
            [os.path.realpath(served), os.path.realpath(place)]
        )
    return isinstance(place, ObjectPath) and isinstance(served, ObjectPath) and place.bucket == served.bucket


def try_content(folder: Path, content: object) -> None:
    """Load a config file that holds this."""
    try_config(folder, yaml.safe_dump(content, allow_unicode=True).encode())


def safe(name: str) -> bool:
    """Tell whether a folder of that name is right where it is made."""
    return os.path.normpath(f"/out/{name}") == f"/out/{name}" and "/" not in name and len(name.encode()) <= 255


def try_name(text: str) -> None:
    """Read a name and a selector: a safe, normalised one, which the store's own rule knows too, or a ValueError."""
    with suppress(ValueError):
        name = normalise(text)
        assert safe(name), text
        assert normalise(name) == name
        assert pl.DataFrame({"package": [name]}).select(is_name("package")).item(), name
    with suppress(ValueError):
        selector = Selector.parse(text)
        assert selector.is_all or safe(selector.stem), text
        assert Selector.parse(str(selector)) == selector


def try_arguments(arguments: list[str]) -> None:
    """Run the command: it ends with 0, 1 or 2, and with a sentence where not with 0. Nothing is fetched."""

    def nothing(*_: object, **__: object) -> collecting.Result:
        return collecting.Result([], [])

    with mock.patch.object(collecting, "collect", nothing):
        result = CliRunner().invoke(cli, arguments)
    assert result.exit_code in {0, 1, 2}, (arguments, result.exit_code)
    assert isinstance(result.exception, SystemExit | None), (arguments, result.exception)
    assert (result.exit_code == 0) == (result.stderr == ""), (arguments, result.stderr)
    assert "Traceback" not in result.output


words = st.sampled_from([
    "collect", "check", "estimate", "prune", "--through", "--package", "--config", "winnow.yaml", "2025-06-30", "--yes",
    "-v", "2999-01-01", "0001-01-01", "requests", "Requests", "a", "-h", "--version", "--", "-", "nowhere.yaml", ".",
    "/dev/null",
])  # fmt: skip
# No command line holds a null.
argument_lists = st.lists((words | NASTY | st.text(max_size=6)).filter(lambda word: "\0" not in word), max_size=6)


def spoil(content: bytes, chance: random.Random) -> bytes:
    """Return a file cut off, changed, or with pieces that are twice, nowhere or of something else."""
    spoiled = bytearray(content)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(spoiled) or 1)
        length = chance.choice((1, 1, 2, 8, 64))
        what = chance.randrange(5)
        if what == 0:
            del spoiled[at:]
        elif what == 1:
            spoiled[at : at + length] = chance.randbytes(length)
        elif what == 2 and spoiled:
            spoiled[at] ^= 1 << chance.randrange(8)
        elif what == 3:
            spoiled[at:at] = spoiled[at : at + length]
        else:
            del spoiled[at : at + length]
    return bytes(spoiled)


def an_export(folder: Path) -> bytes:
    path = folder / "export.parquet"
    write(path, [download(DAY, name, installer) for name in ("a", "b") for installer in ("pip", None, "uv")])
    return path.read_bytes()


def try_export(folder: Path, content: bytes) -> None:
    """Read an export: whole counts of what was asked for, or a SourceError that names the file."""
    path = folder / "export.parquet"
    path.write_bytes(content)
    try:
        for answer in ParquetSource(str(path), folder / "marker").read([Request(Selector("a"), DAY, DAY)]):
            counts = getattr(answer, "counts", None)
            assert counts is None or (counts.schema == RAW_SCHEMA and set(counts["package"]) <= {"a"})
    except SourceError as error:
        assert str(path) in str(error), error  # noqa: PT017 - an answer is as good


def try_exports(folder: Path, export: bytes, seed: int, numbers: range) -> None:
    """Read exports damaged in as many ways, noting how far it came."""
    for n in numbers:
        (folder / "number").write_text(str(n))
        try_export(folder, spoil(export, random.Random(f"{seed} {n}")))


def try_again(folder: Path) -> None:
    """Read the export that a process has died of: the marker that it left leads to the file."""
    try:
        list(ParquetSource(str(folder / "export.parquet"), folder / "marker").read([Request(Selector("a"), DAY, DAY)]))
    except SourceError as error:
        assert "reading it crashes the process" in str(error), error  # noqa: PT017 - an answer would be wrong
    else:
        raise AssertionError("nobody says that a process has died of it")


def survive(folder: Path, times: int, seed: int) -> int:
    """Try damaged exports in processes that may die of them; return how many did. The next reading has to say so."""
    export, first, deaths = an_export(folder), 0, 0
    while first < times:
        process = FORKING.Process(target=try_exports, args=(folder, export, seed, range(first, times)))
        process.start()
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode is not None
        assert process.exitcode < 0, f"export {(folder / 'number').read_text()} of seed {seed} got through"
        again = FORKING.Process(target=try_again, args=(folder,))
        again.start()
        again.join()
        assert again.exitcode == 0, f"export {(folder / 'number').read_text()} of seed {seed} is not named"
        (folder / "marker").unlink()
        first, deaths = int((folder / "number").read_text()) + 1, deaths + 1
    return deaths


def a_day(folder: Path) -> tuple[RawStore, bytes, pl.DataFrame]:
    store = RawStore(folder)
    rows = [row(DAY, f"p{n}", downloads=n + 1) for n in range(40)]
    store.write(DAY, to_frame(rows), Coverage(read={Selector("a"): AT}))
    return store, on_disk(store.path(DAY)).read_bytes(), store.load([DAY]).counts.collect()


def try_day(store: RawStore, content: bytes, counts: pl.DataFrame) -> None:
    """Read a day file: exactly what was written, or nothing at all and a reason."""
    on_disk(store.path(DAY)).write_bytes(content)
    found = RawStore(store.files.folder.parent)
    if found.coverage(DAY) is None:
        assert found.damaged(), "not covered, and nobody says why"
    else:
        assert found.load([DAY]).counts.collect().equals(counts)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what libraries in other languages print of their panics off the terminal."""
    with Path(os.devnull).open("wb") as nowhere:
        kept = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def by_hypothesis(strategy: st.SearchStrategy[object], attempt: Callable[..., None], times: int, seed: int) -> None:
    quick = settings(
        max_examples=times, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate, Phase.target, Phase.shrink],
    )  # fmt: skip

    def attempted(given_input: object) -> None:
        attempt(given_input)

    seeded(seed)(quick(given(strategy)(attempted)))()


ATHERIS = """
import sys, atheris
from pathlib import Path
with atheris.instrument_imports(include=["winnow_dagster", "yaml"]):
    from tests.faults import fuzz
folder = Path(sys.argv.pop(1))
atheris.Setup(sys.argv, lambda data: fuzz.try_config(folder, data))
atheris.Fuzz()
"""


def by_atheris(folder: Path, times: int, seed: int) -> str:
    """Let atheris grow config files from a sound one; return what it says of its coverage."""
    corpus = folder / "corpus"
    corpus.mkdir()
    (corpus / "valid").write_text(yaml.safe_dump(VALID))
    for n, (key, value) in enumerate(VALID.items()):
        (corpus / str(n)).write_text(yaml.safe_dump({"packages": [{"name": "a"}], key: value}))
    command = [sys.executable, "-c", ATHERIS, str(folder), f"-atheris_runs={times}", f"-runs={times}", f"-seed={seed}"]
    command += ["-max_len=2000", "-verbosity=1", str(corpus)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return next((line for line in reversed(done.stderr.splitlines()) if "cov:" in line), "no coverage told")


def run(times: int, seed: int) -> Iterator[str]:
    """Try `times` inputs, shared among the kinds; yield how many of each. Raises at the first that gets through."""
    chance = random.Random(seed)
    tenth = times // 10
    with tempfile.TemporaryDirectory(prefix="winnow-fuzz-") as name, quiet():
        folder = Path(name)
        os.chdir(folder)
        (folder / "winnow.yaml").write_text("packages: [{name: requests}]")
        shares: dict[str, tuple[int, Callable[[int], object]]] = {
            "command lines": (tenth, lambda n: by_hypothesis(argument_lists, try_arguments, n, seed)),
            "names": (3 * tenth, lambda n: by_hypothesis(NASTY | st.text(max_size=12), try_name, n, seed)),
            "configs that almost fit": (
                tenth, lambda n: by_hypothesis(almost_configs(), partial(try_content, folder), n, seed)
            ),
            "configs of anything": (
                tenth, lambda n: by_hypothesis(anything, partial(try_content, folder), n, seed)
            ),
        }  # fmt: skip
        for what, (number, attempt) in shares.items():
            attempt(number)
            yield f"{number:,} {what}"
        deaths = survive(folder, tenth, seed)
        yield f"{tenth:,} damaged exports, {deaths} of which no process survives; each is named by the next reading"
        store, day, counts = a_day(folder)
        for _ in range(2 * tenth):
            try_day(store, spoil(day, chance), counts)
        yield f"{2 * tenth:,} damaged days"
        told = by_atheris(folder, tenth, seed)
        yield f"{tenth:,} config files by atheris ({told.strip()})"
