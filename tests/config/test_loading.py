"""A config is sound as a whole, or every problem of it is named at once with its place and its fix."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.config.writing import problems, write
from winnow_dagster.config.loading import (
    CONFIG_NAME,
    CONFIG_VARIABLE,
    KEYS,
    SAMPLE_PACKAGES,
    ConfigError,
    find_config,
    load_settings,
)
from winnow_dagster.core.badge import PYTHONS, SLUGS, BadgeStyle
from winnow_dagster.core.billing import TIB
from winnow_dagster.sources.parquet.files import find_files
from winnow_dagster.sources.parquet.kind import ParquetSettings


def test_the_config_is_that_of_the_first_folder_that_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = (Path("one"), Path("two"), Path())
    assert find_config(folders) is None
    write("packages: []")
    assert find_config(folders) == Path(CONFIG_NAME)
    in_two = write("packages: []", f"two/{CONFIG_NAME}")
    assert find_config(folders) == in_two
    monkeypatch.setenv(CONFIG_VARIABLE, "other.yaml")
    # It exists nowhere. The error names it.
    assert find_config(folders) == Path("other.yaml")
    in_one = write("packages: []", "one/other.yaml")
    assert find_config(folders) == in_one
    monkeypatch.setenv(CONFIG_VARIABLE, str(in_two.absolute()))
    assert find_config(folders) == in_two.absolute()


def test_no_config_at_all_means_four_sample_packages(tmp_path: Path) -> None:
    found = load_settings()
    assert found.source.kind == "sample"
    assert [package.spelling for package in found.packages] == list(SAMPLE_PACKAGES)
    assert (found.output_dir, found.data_dir) == (tmp_path / "public", tmp_path / "data")


def test_the_config_is_the_one_named_else_the_variables_else_the_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    write("packages: [{name: here}]")
    assert [p.spelling for p in load_settings().packages] == ["here"]
    monkeypatch.setenv(CONFIG_VARIABLE, str(write("packages: [{name: there}]", "etc/there.yaml")))
    assert [p.spelling for p in load_settings().packages] == ["there"]
    assert [p.spelling for p in load_settings(write("packages: [{name: named}]", "n.yaml")).packages] == ["named"]


def test_everything_but_the_packages_has_a_default(tmp_path: Path) -> None:
    found = load_settings(write("packages: [{name: A.b}, {name: c-*, window_days: [7, 30]}]"))
    assert {str(selector): days for selector, days in found.windows.items()} == {"a-b": (30,), "c-*": (7, 30)}
    assert {str(selector): days for selector, days in found.longest_windows.items()} == {"a-b": 30, "c-*": 30}
    assert found.spellings == {"a-b": "A.b"}
    assert found.start_date == date(2024, 2, 23)
    assert found.stale_threshold_days == 3
    assert found.folder == tmp_path


def test_winnow_may_start_to_count_today_but_not_in_the_future() -> None:
    today = datetime.now(UTC).date()
    # Where it is tomorrow already, the user's own date may be a day ahead of UTC.
    for start in (today, today + timedelta(days=1)):
        assert load_settings(write(f"packages: [{{name: a}}]\nstart_date: {start}")).start_date == start
    (problem,) = problems("packages: [{name: a}]\nstart_date: 2999-01-01")
    assert problem.startswith("start_date: 2999-01-01 is in the future. Use today, ")
    assert problem.endswith(" (UTC), or an earlier day")


def test_relative_paths_are_relative_to_the_config_file(tmp_path: Path) -> None:
    text = """
        service: {output_dir: ../www, data_dir: state, base_url: "https://badges.example.com/"}
        source: {kind: parquet, path: exports/*.parquet}
        packages: [{name: a}]
        start_date: 2025-01-01
        """
    found = load_settings(write(text, "etc/winnow.yaml"))
    assert found.output_dir == tmp_path / "www"
    assert found.data_dir == tmp_path / "etc" / "state"
    assert isinstance(found.source, ParquetSettings)
    assert found.source.paths == (str(tmp_path / "etc" / "exports" / "*.parquet"),)
    assert found.base_url == "https://badges.example.com"
    assert found.start_date == date(2025, 1, 1)


def test_entries_can_be_merged_as_yaml_does(tmp_path: Path) -> None:
    text = "packages:\n- &usual {name: a, window_days: 7}\n- {<<: *usual, name: b}\n"
    assert [p.window_days for p in load_settings(write(text)).packages] == [(7,), (7,)]


def test_a_folder_with_magic_in_its_name_is_meant_as_it_is() -> None:
    text = "packages: [{name: a}]\nsource: {kind: parquet, path: rows/*.parquet}"
    found = load_settings(write(text, "in[1]/winnow.yaml"))
    Path("in[1]/rows").mkdir()
    Path("in[1]/rows/x.parquet").touch()
    assert isinstance(found.source, ParquetSettings)
    assert [Path(path).name for path in find_files(found.source.paths)] == ["x.parquet"]


def test_parquet_files_may_be_at_several_paths(tmp_path: Path) -> None:
    found = load_settings(write("packages: [{name: a}]\nsource: {kind: parquet, path: [old, /new/*.parquet]}"))
    assert isinstance(found.source, ParquetSettings)
    assert found.source.paths == (str(tmp_path / "old"), "/new/*.parquet")


def test_the_order_of_paths_makes_no_other_source_and_one_path_is_as_it_was() -> None:
    folders = [
        load_settings(write("packages: [{name: a}]\nsource: {kind: parquet, path: " + path)).store_folder.name
        for path in ("x}", "[x]}", "[x, y]}", "[y, x]}")
    ]
    assert folders[0] == folders[1] == "parquet-2d711642"
    assert folders[2] == folders[3] != folders[0]


def test_another_path_or_table_has_days_of_its_own() -> None:
    folders = {
        load_settings(write("packages: [{name: a}]\nsource: " + source)).store_folder.name
        for source in (
            "{kind: parquet, path: x}",
            "{kind: parquet, path: y}",
            "{kind: bigquery}",
            "{kind: bigquery, table: p.d.t}",
        )
    }
    assert len(folders) == 4
    assert "bigquery" in folders


def test_a_config_of_the_predecessor_is_accepted_unchanged() -> None:
    found = load_settings(
        write(
            """
            # Written for pypi-winnow-downloads 0.3.0.
            service:
              output_dir: /var/lib/badges/output
              credential_file: /etc/badges/gcp.json
              stale_threshold_days: 5
            packages:
              - name: mcp-clipboard
                window_days: 30
              - name: Mcp_Synology
                window_days: "7"
            """
        )
    )
    assert found.source.kind == "bigquery"
    assert found.credential_file == Path("/etc/badges/gcp.json")
    assert found.output_dir == Path("/var/lib/badges/output")
    assert found.data_dir == Path("/var/lib/badges/data")
    assert found.stale_threshold_days == 5
    assert {p.spelling: p.window_days for p in found.packages} == {"mcp-clipboard": (30,), "Mcp_Synology": (7,)}


def test_all_problems_are_told_at_once_each_with_its_place_and_fix() -> None:
    found = problems(
        """
        service:
          outputdir: x
          stale_threshold_days: 0
          base_url: badges.example.com
          data_dir: public/in
        source: {kind: parqet}
        sorce: {}
        output_dir: x
        start_date: 2020-01-01
        packages:
          - name: foo/bar
            window_days: [0, 7, 7, x]
          - nam: x
          - name: A.b
          - name: a-b
            window_days: yes
          - rich
          - name: 7
          - name: tidy*
        """
    )
    assert sorted(line.split(" ")[0] + " " + line.split(" ", 1)[1] for line in found) == sorted(
        [
            "service.outputdir: unknown key. Did you mean output_dir?",
            "service.stale_threshold_days: 0 is too small. Use 1 or more",
            "service.base_url: 'badges.example.com' is not a web address. Start it with https://",
            (
                f"service.output_dir: {Path.cwd() / 'public'} is served to the world and holds data_dir "
                f"({Path.cwd() / 'public' / 'in'}). Use a directory of its own, such as `public`"
            ),
            "source.kind: 'parqet' is not one of bigquery, clickhouse, parquet, sample. Did you mean parquet?",
            "sorce: unknown key. Did you mean source?",
            "output_dir: unknown key. It belongs under service:",
            "start_date: 2020-01-01 is too early: PyPI tells CI apart since 2024-02-23. Use that day or later",
            (
                "packages[0].name: 'foo/bar' is not a PyPI name. Use letters, digits, '-', '_' or '.', "
                "with a letter or digit first and last"
            ),
            "packages[0].window_days[0]: 0 is too small. Use 1 or more",
            "packages[0].window_days[3]: 'x' is not a whole number",
            "packages[0].window_days: 7 stands twice. Keep one",
            "packages[1].name: missing. Add it",
            "packages[1].nam: unknown key. Did you mean name?",
            (
                "packages[3].name: 'a-b' is the same package as packages[2] ('A.b'). Keep one; "
                "for several windows write `window_days: [7, 30]`"
            ),
            "packages[3].window_days: True is not a whole number",
            "packages[4]: 'rich' is not a section. Write `name: rich`",
            "packages[5].name: 7 is not text. Write text, in quotes where YAML takes it for something else",
            "packages[6].name: 'tidy*' is not a selector. A prefix ends in '-*': write 'tidy-*'",
        ]
    )


def test_defaults_hold_for_each_package_and_group_that_does_not_say_otherwise() -> None:
    found = load_settings(
        write(
            """
            defaults:
              window_days: [30, all]
              label: installs ({days}d)
              colors: {0: red, 1000: 4c1d95}
              label_color: 444444
              part_colors: {5: green}
              logo_svg: "<svg/>"
              cache_seconds: 3600
              badges: [honest-share, os-linux]
            packages:
              - name: a
              - {name: b-*, window_days: 7, label: {os-linux: tux}, style: flat-square, badges: downloads}
              - {name: c, logo_svg: "<svg xmlns='http://www.w3.org/2000/svg'/>"}
            groups:
              - {name: My.Org, packages: [a, b-x, b-y-*], window_days: 90}
            """
        )
    )
    usual, own, drawn, group = *(package.style for package in found.packages), found.groups[0].style
    assert [package.window_days for package in found.packages] == [(30, 0), (7,), (30, 0)]
    assert usual.slugs == group.slugs == ("downloads", "os-linux", "honest-share")
    assert own.slugs == ("downloads",)
    assert (usual.labels, own.labels) == ({"downloads": "installs ({days}d)"}, {"os-linux": "tux"})
    assert usual.colors == ((0, "red"), (1000, "4c1d95"))
    assert usual.part_colors == ((0, "lightgrey"), (5, "green"))
    assert usual.extras == {"labelColor": "444444", "logoSvg": "<svg/>", "cacheSeconds": 3600}
    assert own.extras["style"] == "flat-square"
    assert drawn.extras["logoSvg"] != usual.extras["logoSvg"]
    assert [str(which) for which in found.published_windows] == ["a", "b-*", "c", "_group/my-org"]
    assert {str(s): days for s, days in found.longest_windows.items()} == {"a": 90, "b-*": 90, "c": 30}


def test_everything_is_one_entry_with_its_headline_beside_those_that_say_otherwise() -> None:
    text = (
        "packages: [{name: '*', min_downloads: 5}, {name: a-*, window_days: 7}, {name: a-b}, {name: A_c, style: flat}]"
    )
    found = load_settings(write(text + "\ndefaults: {badges: [downloads, os-linux]}"))
    assert found.everything == found.packages[0]
    assert [str(p.selector) for p in found.packages] == ["*", "a-*", "a-b", "a-c"]
    assert [p.style.slugs for p in found.packages] == [("downloads",), *[("downloads", "os-linux")] * 3]
    assert (found.packages[0].min_downloads, found.packages[0].settle, found.packages[1].settle) == (5, False, True)
    more = load_settings(write("packages: [{name: '*', badges: [installer-uv], settle: true}]"))
    assert (more.packages[0].style.slugs, more.packages[0].settle) == (("downloads", "installer-uv"), True)


def test_a_window_of_all_days_reads_as_many_as_a_month_has() -> None:
    found = load_settings(write("packages: [{name: a, window_days: all}, {name: b, window_days: [60, all]}]"))
    assert list(found.longest_windows.values()) == [30, 60]


def test_without_a_word_on_badges_they_look_as_the_predecessors_do() -> None:
    assert load_settings(write("packages: [{name: a, breakdowns: []}]")).packages[0].style == BadgeStyle()
    assert load_settings(write("packages: [{name: a}]")).packages[0].style.slugs == (*SLUGS, PYTHONS)


def test_numbers_mean_what_people_read() -> None:
    path = write("""
        service: {stale_threshold_days: 010}
        schedule: {hour: 08, minute: 030}
        budget: {tib_per_month: 02}
        packages:
          - {name: a, window_days: 030, label_color: 000777, colors: {0: 000, 010: 001122}}
          - {name: 007, window_days: [07, 1_000]}
    """)
    found = load_settings(path)
    assert (found.stale_threshold_days, found.schedule_hour, found.schedule_minute) == (10, 8, 30)
    assert found.budget_bytes == 2 * TIB
    one, other = found.packages
    assert one.window_days == (30,)
    assert one.style.extras["labelColor"] == "000777"
    assert one.style.colors == ((0, "000"), (10, "001122"))
    assert (other.spelling, other.window_days) == ("007", (7, 1000))


@pytest.mark.parametrize("number", ["0x1F", "0b11", "0o17", "1:30"])
def test_a_number_that_people_read_otherwise_than_yaml_is_refused(number: str) -> None:
    (problem,) = problems(f"packages: [{{name: a, window_days: {number}}}]")
    assert problem == f"packages[0].window_days: {number!r} is not a whole number"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty. List your packages: `packages: [{name: your-package}]`"),
        ("service: {}", "packages: missing. List your packages: `packages: [{name: your-package}]`"),
        ("packages: []", "packages: is empty. Give at least one, or leave the key out where it has a default"),
        ("packages: {name: a}", "packages: a section is not a list. Begin each entry with '- '"),
        ("- a", "is list, not keys and values. Start with `packages:`"),
        ("packages: [{name: a}]\npackages: []", "line 2, column 1: the key 'packages' stands twice. Keep one"),
        ("a: [", "line 1, column 5: expected the node content, but found '<stream end>'"),
        ("packages: [{name: a}]\nsource: {kind: parquet}", "source.path: missing. Say where the Parquet files are"),
        ("packages: [{name: a}]\nsource: {kind: sample, path: x}", "source.path: has no use with kind sample"),
        ("packages: [{name: a}]\nservice: {output_dir: .}", "is served to the world and holds this config file"),
        (
            "packages: [{name: a}]\nservice: {output_dir: 'ftp://x'}",
            "service.output_dir: 'ftp://x' is not a place that Winnow can use",
        ),
        (
            "packages: [{name: a}]\nservice: {output_dir: gs://public}",
            "service.data_dir: missing. Say where: beside output_dir, in a bucket, it would be served to the world",
        ),
        (
            "packages: [{name: a}]\nservice: {output_dir: 'gs://Public/../x', data_dir: gs://data}",
            "service.output_dir: 'gs://Public/../x' is not a directory of a bucket. Write it as gs://bucket/prefix",
        ),
        (
            "packages: [{name: a}]\nservice: {output_dir: gs://public, data_dir: gs://public/data}",
            "service.data_dir: gs://public/data is in the bucket of output_dir, gs://public. Public access is granted",
        ),
        ("packages: [{name: a}]\nservice: {output_dir: 3}", "service.output_dir: 3 is not text"),
        ("packages: [{name: a}]\nservice: 3", "service: 3 is not a section. Indent its keys below it"),
        ("packages: [{name: a, window_days: 99999}]", "packages[0].window_days: 99999 is too large. Use 3660 or less"),
        ("packages: [{name: a}]\n1: x", "1 is not a key. Keys are words, such as `packages:`"),
        ('packages: [{name: a, window_days: [7, "7"]}]', "packages[0].window_days: 7 stands twice. Keep one"),
        (
            "packages: [{name: a}]\nservice: {output_dir: ~nosuch/x}",
            "is in the home of a user that this machine does not know",
        ),
        (
            "packages: [{name: a}]\nsource: {kind: bigquery, figures: {package_day: 1}}",
            "source.figures.package_day: unknown key. Did you mean package_day_mb?",
        ),
        ("packages: [{name: a}]\nstart_date: soon", "start_date: 'soon' is not a day. Write it as 2026-01-31"),
        ("packages: [{name: a}]\nstart_date: 2026-13-45", "is not YAML: month must be in 1..12"),
        (
            "packages: [{name: a}]\nservice: {output_dir: www, credential_file: www/key.json}",
            "is served to the world and holds credential_file",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_what_to_do(text: str, problem: str) -> None:
    found = problems(text)
    assert len(found) == 1
    assert problem in found[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("packages: [{name: a}]\nsource: {kind: []}", "source.kind: a list is not one of"),
        ('packages: [{name: a}]\n"x\\ny": 1', "x\\ny: unknown key"),
        ('packages: ["x\\ry"]', "Write `name: x\\ry`"),
        ('service: {output_dir: "\\ud83d"}', "'\\ud83d' holds half of a character. Write the character itself"),
    ],
)
def test_odd_types_and_characters_are_refused_in_one_line(text: str, problem: str) -> None:
    (found,) = problems(text)
    assert problem in found


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^nowhere\.yaml: cannot be read: No such file or directory"):
        load_settings(Path("nowhere.yaml"))


keys = st.sampled_from([*(key for section in KEYS.values() for key in section), "kind", "bigquery"])
yaml_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(st.dictionaries(keys, yaml_values, max_size=5) | yaml_values)
def test_whatever_the_file_holds_it_is_settings_or_a_config_error(content: object) -> None:
    path = Path("any.yaml")
    path.write_text(yaml.safe_dump(content))
    with contextlib.suppress(ConfigError):
        assert load_settings(path).packages


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(st.binary(max_size=40))
def test_whatever_bytes_the_file_holds_it_is_settings_or_a_config_error(content: bytes) -> None:
    path = Path("any.yaml")
    path.write_bytes(content)
    with contextlib.suppress(ConfigError):
        assert load_settings(path).packages


def test_an_alert_webhook_is_taken_and_never_shown() -> None:
    found = load_settings(write("{packages: [{name: a}], alerts: {webhook: https://hooks.example.com/T0KEN}}"))
    assert found.alerts_webhook == "https://hooks.example.com/T0KEN"
    assert "T0KEN" not in repr(found)
    found = load_settings(write("{packages: [{name: a}], alerts: {webhook_env: HOOK}}"))
    assert (found.alerts_webhook, found.alerts_webhook_env, found.has_alerts) == ("", "HOOK", True)
    wrong = problems("{packages: [{name: a}], alerts: {webhook: hooks.example.com/T0KEN}}")
    assert wrong == ["alerts.webhook: is not a web address. Start it with https://"]
    both = problems("{packages: [{name: a}], alerts: {webhook: 'https://hooks.example.com/T', webhook_env: HOOK}}")
    assert both == ["alerts.webhook_env: webhook is set too. Keep one"]
    neither = "alerts.webhook: missing. Add it, or the name of its environment variable as webhook_env"
    assert problems("{packages: [{name: a}], alerts: {}}") == [neither]
    secret = problems("{packages: [{name: a}], alerts: {webhook_env: 'https://hooks.example.com/T0KEN'}}")
    assert "T0KEN" not in str(secret)


SECRETS = (
    "https://a:T0KEN@b.example",
    "https://hooks.example.com/services/T0KEN",
    "hooks.example.com/T0KEN",
    "HTTP://a:T0KEN@b/T0KEN",
)
KEY = {"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----T0KEN", "client_id": "1"}


def wrong_configs() -> Iterator[str]:
    """Yield configs with a secret in the wrong place, or of the wrong shape."""
    shapes = [lambda secret: secret, lambda secret: [secret, secret], lambda secret: {"url": secret, secret: 1}]
    places = [
        ("alerts",), ("alerts", "webhook"), ("webhook",), ("service",), ("service", "webhook"), ("service", "base_url"),
        ("service", "output_dir"), ("service", "credential_file"), ("source",), ("source", "kind"), ("source", "table"),
        ("source", "project"), ("schedule",), ("schedule", "enabled"), ("start_date",), ("defaults", "label"),
        ("defaults", "colors"), ("defaults", "logo_svg"), ("defaults", "window_days"), ("groups",), ("packages",),
    ]  # fmt: skip
    for place, shape, secret in product(places, shapes, (*SECRETS, json.dumps(KEY), KEY)):
        if isinstance(secret, str) or shape is not shapes[2]:
            value: Any = shape(secret)
            for key in reversed(place):
                value = {key: value}
            # `s` is wrong: a secret that is right where it stands has an error beside it.
            yield yaml.safe_dump({"packages": [{"name": "a"}], "s": 1, **value}, width=1000)
    for secret in SECRETS:
        yield f"packages: [{{name: a}}]\nalerts: {{'{secret}': }}"
        yield f"packages: ['{secret}', {{name: '{secret}'}}, {{'{secret}': a}}]\ngroups: [{{name: '{secret}*'}}]"
        yield f"'{secret}': 1\n'{secret}': 2"
        yield f"alerts: *{secret}"
        yield f"alerts: !{secret} x"
        yield f'alerts: "{secret}\\ud83d"'
        yield f"alerts: webhook: {secret}"
        yield f"alerts: {{webhook: {secret}"


def test_no_error_shows_a_secret_wherever_it_stands() -> None:
    for text in wrong_configs():
        assert "T0KEN" not in "\n".join(problems(text)), text


def test_runs_are_kept_for_ninety_days_unless_told_otherwise() -> None:
    assert load_settings(write("packages: [{name: a}]")).keep_runs_days == 90
    assert load_settings(write("{packages: [{name: a}], schedule: {keep_runs_days: 400}}")).keep_runs_days == 400
    assert problems("{packages: [{name: a}], schedule: {keep_runs_days: 5}}") == [
        "schedule.keep_runs_days: 5 is too small. Use 30 or more"
    ]


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("https://u:T0KEN@x.example", "has a user name in it, which would be published. Write the address without it"),
        ("https://T0KEN@x.example/b", "has a user name in it, which would be published. Write the address without it"),
        ("https://x.example/b?x=T0KEN", "has a '?' or a '#' in it, but paths of files are added to it. Write the "),
        ("https://x.example/#T0KEN", "has a '?' or a '#' in it, but paths of files are added to it. Write the "),
    ],
)
def test_the_sites_address_has_no_password_and_takes_paths(address: str, problem: str) -> None:
    (found,) = problems(f"packages: [{{name: a}}]\nservice: {{base_url: '{address}'}}")
    assert found.startswith(f"service.base_url: {problem}")
    assert "T0KEN" not in found
    assert load_settings(write("{packages: [{name: a}], service: {base_url: 'https://x.example/@b/'}}")).base_url


def test_a_package_or_group_may_link_to_its_repository() -> None:
    settings = load_settings(
        write(
            """
            packages: [{name: a, links: {repository: "https://a.test/a"}}, {name: b}]
            groups: [{name: c, packages: [a, b], links: {repository: "https://a.test/c"}}]
            """
        )
    )
    assert settings.repositories == {"a": "https://a.test/a", "_group/c": "https://a.test/c"}
