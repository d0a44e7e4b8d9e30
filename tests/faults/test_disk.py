"""Disks that are full, read-only, forbidden or gone: one line says which and what to do; nothing is torn."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import DAY, House, MakeHouse, RowSource
from tests.rows import row
from winnow_dagster.files.errors import STAGED_PREFIX

PYTHON = shlex.quote(sys.executable)
COLLECT = f"{PYTHON} -m winnow_dagster.cli collect"
# A namespace of its own, so that what is mounted there is nowhere else and is gone with the process.
MOUNTING = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
# Root without the right to pass over permissions.
AS_ANYBODY = ["setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search"]
CAN_MOUNT = (
    bool(shutil.which("unshare"))
    and not subprocess.run(
        [*MOUNTING, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
    ).returncode
)
needs_mount = pytest.mark.skipif(not CAN_MOUNT, reason="nothing can be mounted here")
FORBIDDEN = [*AS_ANYBODY, "sh", "-c"] if os.geteuid() == 0 else ["sh", "-c"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the smallest config that publishes: each test starts a process or more."""
    (tmp_path / "winnow.yaml").write_text("packages: [{name: sample-oat, window_days: 1}]")
    return tmp_path


def run(folder: Path, script: str, prefix: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*prefix, script], cwd=folder, capture_output=True, text=True, check=False)


def mounted(folder: Path, options: str, name: str) -> subprocess.CompletedProcess[str]:
    """Collect with a file system of its own at a folder."""
    (folder / name).mkdir()
    script = f"mount -t tmpfs -o {options} none {name} && exec {COLLECT}"
    return run(folder, script, [*MOUNTING, "sh", "-c"])


def said(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that a collect ended with."""
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    return line


@needs_mount
@pytest.mark.parametrize("name", ["data", "public"])
@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("size=2m", "only 2.1 MB are free. Free some space: 10 MB are needed"),
        ("size=20m,ro", "Read-only file system. Make it writable, or choose another directory"),
    ],
)
def test_a_disk_that_cannot_be_used_is_named_before_anything_is_read(
    tmp_path: Path, name: str, options: str, problem: str
) -> None:
    assert said(mounted(tmp_path, options, name)) == f"winnow: {tmp_path / name}: {problem}"


@pytest.mark.parametrize("name", ["data", "public"])
def test_a_directory_without_permission_is_named_before_anything_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir(mode=0o555)
    fix = "Permission denied. Give this user the right to read and write there, or choose another directory"
    assert said(run(tmp_path, f"exec {COLLECT}", FORBIDDEN)) == f"winnow: {tmp_path / name}: {fix}"


@pytest.mark.parametrize("name", ["data", "public"])
def test_a_file_in_place_of_a_directory_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    fix = "File exists. A file is where a directory should be: move it away"
    assert said(run(tmp_path, f"exec {COLLECT}", ["sh", "-c"])) == f"winnow: {tmp_path / name}: {fix}"


@needs_mount
def test_the_data_may_lie_on_another_device(folder: Path) -> None:
    done = mounted(folder, "size=60m", "data")
    assert done.returncode == 0, done.stderr
    assert (folder / "public/sample-oat/downloads-1d-non-ci.json").exists()


FILL = """
import sys
from pathlib import Path
from tests.conftest import make_settings
from tests.conftest import FixedClock
from winnow_dagster.core.days import Package
from winnow_dagster.core.history import History
from winnow_dagster.core.window import PackageState, WindowState
from winnow_dagster.defs.resources import Installation
from winnow_dagster.files.operations import Failures

web = Installation(make_settings(Path.cwd(), {"a": (7,)}), FixedClock()).web
states = [PackageState(f"package-{n}", "parquet", (WindowState(7, None, n % 7),)) for n in range(60)]
failures = Failures()
written = web.publish({"a": [Package(state, History.empty()) for state in states]}, 0, FixedClock().through, failures)
print(written["a"])
failures.raise_any()
"""


@needs_mount
def test_on_a_disk_that_fills_up_each_file_is_whole_and_what_is_missing_is_said(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    (tmp_path / "kept").mkdir()
    (tmp_path / "fill.py").write_text(FILL)
    root = shlex.quote(str(Path(__file__).parents[2]))
    script = f"mount -t tmpfs -o size=1m none public && PYTHONPATH={root} {PYTHON} fill.py; cp -a public/. kept/"
    done = run(tmp_path, script, [*MOUNTING, "sh", "-c"])
    assert "public/package-" in done.stderr
    assert "No space left on device. Free some space, and run again" in done.stderr
    assert "more such failures)" in done.stderr
    assert int(done.stdout) > 100
    files = [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]
    # Of the package that the disk ended in, some files are there and are not counted.
    assert len(files) >= int(done.stdout)
    assert not [path for path in files if path.name.startswith(STAGED_PREFIX)]
    for path in files:
        content = path.read_bytes()
        assert content
        if path.suffix == ".json":
            json.loads(content)
        if path.suffix in {".svg", ".html"}:
            assert content.rstrip().endswith((b"</svg>", b"</html>"))


@pytest.fixture
def source() -> RowSource:
    return RowSource(rows=[row(DAY, name, downloads=500) for name in ("a", "b")])


@pytest.fixture
def house(make_house: MakeHouse) -> House:
    house = make_house({"a": (1,), "b": (1,)})
    house.count(DAY, DAY)
    return house


def badge(house: House, name: str) -> Path:
    return house.output_dir / name / "downloads-1d-non-ci.json"


def test_one_package_that_cannot_be_published_does_not_hold_up_the_others(house: House) -> None:
    house.output_dir.mkdir(exist_ok=True)
    (house.output_dir / "a").write_text("in the way")
    result = house.run("badges")
    assert not result.success
    assert str(house.output_dir / "a") in str(result.all_events)
    assert badge(house, "b").exists()
    assert (house.output_dir / "a").read_text() == "in the way"


def test_a_web_directory_that_was_removed_is_published_again(house: House) -> None:
    house.publish()
    before = badge(house, "a").read_bytes()
    shutil.rmtree(house.output_dir)
    house.publish()
    assert badge(house, "a").read_bytes() == before


def test_a_store_that_was_removed_takes_no_number_back(house: House) -> None:
    house.publish()
    before = badge(house, "a").read_bytes()
    shutil.rmtree(house.data_dir)
    house.winnow.ownership.claim(adopt=True)
    house.publish()
    assert badge(house, "a").read_bytes() == before


def test_a_history_of_runs_that_is_damaged_is_named_and_all_is_published_without_it(folder: Path) -> None:
    assert run(folder, f"exec {COLLECT}", ["sh", "-c"]).returncode == 0
    public = [path for path in (folder / "public").rglob("*") if path.is_file() and path.name != "_health.json"]
    badges = {path: path.read_bytes() for path in public}
    (folder / "data/dagster/history/runs.db").write_bytes(b"not a database" * 1000)
    shutil.rmtree(folder / "public/sample-oat")
    done = run(folder, f"exec {COLLECT}", ["sh", "-c"])
    assert_published_without_history(done, f"{folder}/data/dagster: the history of runs", "(file is not a database)")
    assert {path: path.read_bytes() for path in badges} == badges


def assert_published_without_history(done: subprocess.CompletedProcess[str], *says: str) -> None:
    assert done.returncode == 1
    assert done.stderr == ""
    assert "Traceback" not in done.stdout
    # The last line sums the collect up.
    line = done.stdout.splitlines()[-2]
    assert [text for text in (*says, "No number depends on it") if text not in line] == []
    assert "sample-oat" in done.stdout


@needs_mount
def test_a_full_disk_that_holds_only_the_history_keeps_no_badge_from_being_published(folder: Path) -> None:
    (folder / "history").mkdir()
    fill = "mount -t tmpfs -o size=64k none history && head -c 60k /dev/zero > history/filler"
    script = f"{fill} && DAGSTER_HOME=$PWD/history exec {COLLECT}"
    done = run(folder, script, [*MOUNTING, "sh", "-c"])
    assert_published_without_history(done, f"{folder}/history")
    assert (folder / "public/sample-oat/downloads-1d-non-ci.json").exists()


@needs_mount
def test_a_disk_of_the_history_that_fills_up_in_the_midst_of_a_collect(tmp_path: Path) -> None:
    (tmp_path / "history").mkdir()
    script = f"mount -t tmpfs -o size=400k none history && DAGSTER_HOME=$PWD/history exec {COLLECT}"
    done = run(tmp_path, script, [*MOUNTING, "sh", "-c"])
    assert_published_without_history(done, f"{tmp_path}/history", "disk is full")
    assert (tmp_path / "public/sample-oat/downloads-30d-non-ci.json").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file of another user")
def test_an_instance_lock_of_another_user_keeps_no_badge_from_being_published(folder: Path) -> None:
    (folder / "data").mkdir(mode=0o777)
    (folder / "data").chmod(0o777)
    lock = folder / "data/.instance.lock"
    lock.touch(0o600)
    os.chown(lock, 12345, 12345)
    done = run(folder, f"exec {COLLECT}", FORBIDDEN)
    assert_published_without_history(done, f"{lock}: belongs to user 12345, and this process runs as user root")


def test_a_working_directory_that_was_deleted_is_one_line_and_all_is_published(folder: Path) -> None:
    (folder / "gone").mkdir()
    done = run(folder, f"cd gone && rmdir ../gone && exec {COLLECT}", ["sh", "-c"])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "winnow: the working directory was deleted. Change to another one, and run again\n"
    (folder / "gone").mkdir()
    command = f"cd gone && rmdir ../gone && exec {COLLECT} --config {folder}/winnow.yaml"
    done = run(folder, command, ["sh", "-c"])
    assert done.returncode == 0
    assert done.stderr == "winnow: the working directory was deleted: relative paths in variables do not work\n"
    assert (folder / "public/sample-oat/downloads-1d-non-ci.json").exists()
