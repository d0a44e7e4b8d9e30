"""`winnow init` writes a commented config that works, and never overwrites a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import winnow
from tests.cli.terminal import on_terminal
from winnow_dagster.config.loading import load_settings
from winnow_dagster.github_pages import WORKFLOW_PATH, read_workflow
from winnow_dagster.sources.kinds import KIND_OF_NEW_CONFIGS, KINDS

OPTIONS = {"parquet": ["--path", "rows/*.parquet"], "bigquery": ["--credential-file", "key.json"]}


@pytest.mark.parametrize("kind", KINDS)
def test_the_config_of_each_kind_of_source_is_valid_and_commented(kind: str) -> None:
    done = winnow("init", "httpx", "Flask", "--source", kind, "--days", "7", *OPTIONS.get(kind, []))
    assert done.exit_code == 0
    settings = load_settings()
    assert settings.source.kind == kind
    assert {str(selector): days for selector, days in settings.windows.items()} == {"httpx": (7,), "flask": (7,)}
    assert settings.styles["httpx"].labels == {"downloads": "installs ({days}d)"}
    assert settings.breakdowns == {"httpx": ("python", "version"), "flask": ("python", "version")}
    assert "start_date" in Path("winnow.yaml").read_text()
    assert KINDS[kind].summary in Path("winnow.yaml").read_text()


def test_the_source_is_the_one_for_new_configs_unless_told_otherwise() -> None:
    winnow("init", "httpx")
    assert load_settings().source.kind == KIND_OF_NEW_CONFIGS


def test_check_accepts_the_config() -> None:
    winnow("init", "httpx", "--source", "sample")
    assert winnow("check", "--quiet").output == ""


def test_names_that_yaml_reads_otherwise_are_quoted() -> None:
    assert winnow("init", "yes", "123", "1e5", "null", "*", "a-*", "--source", "sample").exit_code == 0
    assert list(map(str, load_settings().windows)) == ["yes", "123", "1e5", "null", "*", "a-*"]


def test_a_name_that_stands_twice_is_one_entry() -> None:
    winnow("init", "A.b", "a-b")
    assert list(map(str, load_settings().windows)) == ["a-b"]


def test_an_existing_config_stays() -> None:
    Path("winnow.yaml").write_text("mine")
    done = winnow("init", "httpx")
    assert done.exit_code == 2
    stays = "winnow: winnow.yaml: is there already, and stays as it is. "
    assert done.stderr == f"{stays}Edit it, or name another file with --config\n"
    assert Path("winnow.yaml").read_text() == "mine"


def test_a_dangling_link_stays() -> None:
    Path("winnow.yaml").symlink_to("elsewhere")
    assert winnow("init", "httpx").exit_code == 2
    assert not Path("elsewhere").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "no package is named. Write `winnow init PACKAGE ...`"),
        (["a/b"], "'a/b' is not a PyPI name. Use letters"),
        (["a*"], "'a*' is not a selector. A prefix ends in '-*': write 'a-*'"),
        (["a", "--base-url", "here"], "service.base_url: 'here' is not a web address. Start it with https://"),
        (["a", "--source", "parquet"], "--path: missing. Say where the Parquet files are"),
        (["a", "--source", "sample", "--path", "x"], "--path: has no use with --source sample. Leave it out"),
        (["a", "--source", "nowhere"], "'nowhere' is not one of"),
        (["a", "--config", "file/winnow.yaml"], "file/winnow.yaml: cannot be written: "),
    ],
)
def test_bad_answers_exit_with_2_and_write_nothing(arguments: list[str], complaint: str) -> None:
    Path("file").touch()
    done = winnow("init", *arguments)
    assert done.exit_code == 2
    assert complaint in done.stderr
    assert [path.name for path in Path().iterdir()] == ["file"]


def test_it_says_what_to_do_next() -> None:
    shown = winnow("init", "a", "--config", "other.yaml").stdout
    for command in ("doctor", "collect", "serve"):
        assert f"winnow {command} --config other.yaml" in shown


def test_the_next_commands_can_be_pasted_although_the_path_has_a_space() -> None:
    shown = winnow("init", "a", "--config", "my badges/winnow.yaml").stdout
    for command in ("doctor", "collect", "serve"):
        assert f"winnow {command} --config 'my badges/winnow.yaml'" in shown


def test_it_asks_on_a_terminal_and_asks_again_after_a_wrong_answer() -> None:
    code, shown = on_terminal("init", typed="a/b\nhttpx, flask\nsample\nhttps://badges.example.com\n")
    assert code == 0, shown
    assert "Error: 'a/b' is not a PyPI name" in shown
    settings = load_settings()
    assert (list(map(str, settings.windows)), settings.source.kind) == (["httpx", "flask"], "sample")
    assert settings.base_url == "https://badges.example.com"


def test_github_pages_writes_the_workflow_too() -> None:
    done = winnow("init", "httpx", "--github-pages")
    assert done.exit_code == 0
    assert Path(WORKFLOW_PATH).read_text() == read_workflow()
    for step in ("Settings, Pages, Source: GitHub Actions", "gh workflow run winnow.yml"):
        assert step in done.stdout
    assert load_settings().source.kind == KIND_OF_NEW_CONFIGS


@pytest.mark.parametrize("path", ["badges.yaml", "sub/winnow.yaml"])
@pytest.mark.parametrize("packages", [[], ["httpx"]])
def test_github_pages_refuses_a_config_that_its_workflow_does_not_read(path: str, packages: list[str]) -> None:
    if not packages:
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_text("packages: [{name: a}]")
    before = sorted(Path().rglob("*"))
    done = winnow("init", *packages, "--github-pages", "--config", path)
    assert done.exit_code == 2
    assert done.stderr == (
        "winnow: --config: the workflow of --github-pages reads ./winnow.yaml only. "
        "Change to the folder of your repository, and leave out --config\n"
    )
    assert sorted(Path().rglob("*")) == before


def test_github_pages_takes_the_path_of_the_config_that_its_workflow_reads() -> None:
    assert winnow("init", "httpx", "--github-pages", "--config", str(Path.cwd() / "winnow.yaml")).exit_code == 0
    assert Path(WORKFLOW_PATH).exists()


def test_github_pages_adds_the_workflow_to_an_existing_config() -> None:
    Path("winnow.yaml").write_text("mine")
    assert winnow("init", "--github-pages").exit_code == 0
    assert (Path("winnow.yaml").read_text(), Path(WORKFLOW_PATH).read_text()) == ("mine", read_workflow())


def test_github_pages_with_names_beside_a_config_says_how_to_add_the_workflow() -> None:
    Path("winnow.yaml").write_text("mine")
    done = winnow("init", "httpx", "--github-pages")
    assert done.exit_code == 2
    assert done.stderr.endswith("Name no package to write the workflow for it: `winnow init --github-pages`\n")
    assert not Path(WORKFLOW_PATH).exists()


def test_an_existing_workflow_stays_and_no_config_is_written() -> None:
    Path(WORKFLOW_PATH).parent.mkdir(parents=True)
    Path(WORKFLOW_PATH).write_text("mine")
    done = winnow("init", "httpx", "--github-pages")
    assert done.exit_code == 2
    assert f"{WORKFLOW_PATH}: is there already, and stays as it is. To write it again, remove it first" in done.stderr
    assert Path(WORKFLOW_PATH).read_text() == "mine"
    assert not Path("winnow.yaml").exists()
