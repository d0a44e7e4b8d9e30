"""Alerts: one for each change, to a webhook whose address no message shows."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from tests.conftest import DAY, House, MakeHouse, RowSource
from tests.rows import row
from winnow_dagster.collect import Scope, collect
from winnow_dagster.definitions import build
from winnow_dagster.defs.alerts import AlertError, make_alert_sensors, post
from winnow_dagster.defs.resources import Installation
from winnow_dagster.files import operations
from winnow_dagster.files.operations import StorageError, Version
from winnow_dagster.instance.opening import open_instance
from winnow_dagster.instance.runs import SITE_TAG
from winnow_dagster.report.progress import ProgressReporter
from winnow_dagster.sources.parquet.kind import ParquetSettings
from winnow_dagster.store.sent_alerts import FILE_NAME, read_sent_alerts, write_sent_alerts

SECRET = "T0KEN"


@dataclass
class Webhook:
    """A web server that keeps what was posted to it, and answers as it is told."""

    url: str = ""
    status: int = 200
    loses_answers: int = 0
    posted: list[Any] = field(default_factory=list)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    found = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if found.status == 200:
                found.posted.append(content)
            if found.loses_answers:
                found.loses_answers -= 1
                self.close_connection = True
                return
            self.send_response(found.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}/{SECRET}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        server.shutdown()
        thread.join()


def alerting(house: House, webhook: Webhook) -> House:
    settings = replace(house.winnow.settings, alerts_webhook=webhook.url)
    return House(replace(house.winnow, settings=settings), house.opened)


def texts(webhook: Webhook) -> list[str]:
    assert all(list(post) == ["text"] for post in webhook.posted)
    return [post["text"] for post in webhook.posted]


def tick(house: House) -> str:
    """Evaluate the sensor once; return what it says of itself."""
    (sensor,) = make_alert_sensors(house.winnow)
    return sensor.evaluate_tick(dg.build_sensor_context(house.instance)).skip_message or ""


@pytest.fixture
def house(make_house: MakeHouse, source: RowSource, webhook: Webhook) -> House:
    """An installation that has alerted before: what fails from now on is news."""
    source.rows = [row(DAY, "a", downloads=5)]
    house = alerting(make_house({"a": (1,)}), webhook)
    house.winnow.ownership.claim()
    tick(house)
    return house


def fail(house: House) -> str:
    """Let a run that publishes fail; return its id."""
    away = house.output_dir.with_name("away")
    house.output_dir.rename(away)
    house.output_dir.write_text("a file where a directory should be")
    failed = house.run("badges")
    house.output_dir.unlink()
    away.rename(house.output_dir)
    assert not failed.success
    return failed.run_id


def test_a_check_that_turns_red_alerts_once_and_once_more_when_it_recovers(
    house: House, source: RowSource, webhook: Webhook
) -> None:
    source.failing = {"a"}
    house.count(DAY, DAY)
    assert "red checks: every_package_covered" in tick(house)
    told = texts(webhook)
    assert "```Winnow: check every_package_covered of raw_downloads failed. 'a: 1 days" in told[0]
    assert "on fire" in told[0]
    tick(house)
    house.count(DAY, DAY)
    tick(house)
    assert texts(webhook) == told
    source.failing = set()
    house.count(DAY, DAY)
    tick(house)
    tick(house)
    well = [text for text in texts(webhook)[len(told) :] if "every_package_covered" in text]
    assert well == ["```Winnow: check every_package_covered of raw_downloads has recovered```"]


def test_an_installer_name_cannot_make_mentions_or_links(house: House, source: RowSource, webhook: Webhook) -> None:
    evil = "<!channel> ```<https://evil.example|see> ![x](https://evil.example)"
    source.rows = [row(DAY, "a", installer=evil, system=None, downloads=500)]
    house.count(DAY, DAY)
    tick(house)
    (told,) = [text for text in texts(webhook) if "no_unlisted_installer_stands_out" in text]
    # In a code block Slack makes no links.
    assert told.startswith("```")
    assert told.endswith("```")
    assert "`" not in told[3:-3]
    assert "&lt;!channel&gt; '''&lt;https://evil.example|see&gt;" in told
    key = dg.AssetCheckKey(dg.AssetKey("honest_downloads"), "no_unlisted_installer_stands_out")
    evaluation: Any = house.instance.get_latest_asset_check_evaluation_record(key)
    description = evaluation.event.dagster_event.event_specific_data.description
    # Markdown has no images in a code span, which this is from end to end.
    assert description.startswith(f"`{DAY} <!channel> '''<https")
    assert description.endswith("`")
    assert "`" not in description[1:-1]


def test_an_older_evaluation_of_another_instance_does_not_alert(
    house: House, source: RowSource, webhook: Webhook
) -> None:
    with dg.DagsterInstance.ephemeral() as another:
        source.failing = {"a"}
        house.count(DAY, DAY)
        tick(house)
        source.failing = set()
        elsewhere = House(house.winnow, lambda: another)
        elsewhere.count(DAY, DAY)
        tick(elsewhere)
        told = [text for text in texts(webhook) if "every_package_covered" in text]
        assert len(told) == 2
        tick(house)
        assert [text for text in texts(webhook) if "every_package_covered" in text] == told


def test_an_alert_that_failed_is_sent_later_and_no_error_shows_the_address(house: House, webhook: Webhook) -> None:
    runs = [fail(house), fail(house)]
    webhook.status = 500
    for _ in range(3):
        with pytest.raises(AlertError, match="answered 500") as caught:
            tick(house)
        assert SECRET not in str(caught.value)
    webhook.status = 200
    tick(house)
    tick(house)
    told = [text for text in texts(webhook) if " failed. badges: " in text]
    assert [text.split()[2] for text in told] == [run[:8] for run in runs]
    assert "public" in told[0]


def test_an_alert_whose_answer_is_lost_is_sent_twice_and_the_others_once(house: House, webhook: Webhook) -> None:
    runs = [fail(house), fail(house)]
    webhook.loses_answers = 1
    with pytest.raises(AlertError):
        tick(house)
    tick(house)
    told = [text.split()[2] for text in texts(webhook) if " failed. badges: " in text]
    assert told == [runs[0][:8], runs[0][:8], runs[1][:8]]


@pytest.mark.parametrize("grows", [0, 1], ids=["full", "full but for the record as it is"])
def test_while_the_disk_has_no_space_for_the_record_no_alert_is_sent(
    house: House, webhook: Webhook, monkeypatch: pytest.MonkeyPatch, grows: int
) -> None:
    runs = [fail(house), fail(house)]
    too_much = (house.data_dir / FILE_NAME).stat().st_size + grows

    def replace_file(place: Path, content: bytes, replaces: Version | None) -> Version:
        if len(content) >= too_much:
            raise StorageError(f"{place}: no space is left")
        return operations.replace_file(place, content, replaces)

    with monkeypatch.context() as patch:
        patch.setattr("winnow_dagster.store.sent_alerts.replace_file", replace_file)
        for _ in range(2):
            with pytest.raises(StorageError, match="no space"):
                tick(house)
    assert texts(webhook) == []
    tick(house)
    told = [text.split()[2] for text in texts(webhook) if " failed. badges: " in text]
    assert told == [run[:8] for run in runs]


@pytest.mark.parametrize("ahead", [timedelta(minutes=30), timedelta(days=20)])
def test_alerts_that_were_sent_while_the_clock_was_ahead_do_not_silence_later_ones(
    house: House, source: RowSource, webhook: Webhook, ahead: timedelta
) -> None:
    later = (datetime.now(UTC) + ahead).timestamp()
    source.failing = {"a"}
    house.count(DAY, DAY)
    tick(house)
    sent = read_sent_alerts(house.data_dir)
    write_sent_alerts(
        house.data_dir, replace(sent, since=later, judged_at=dict.fromkeys(sent.judged_at, later), runs={"one": later})
    )
    tick(house)
    told = texts(webhook)
    source.failing = set()
    house.count(DAY, DAY)
    run = fail(house)
    tick(house)
    tick(house)
    news = texts(webhook)[len(told) :]
    assert sum(run[:8] in text for text in news) == 1
    assert sum("every_package_covered of raw_downloads has recovered" in text for text in news) == 1


def test_a_run_that_failed_while_the_clock_was_ahead_does_not_silence_later_ones(
    house: House, webhook: Webhook
) -> None:
    tick(house)
    like = house.instance.get_run_by_id(fail(house))
    assert like is not None
    house.instance.add_run(like._replace(run_id="it", status=dg.DagsterRunStatus.STARTED))
    ahead = dg.DagsterEvent(dg.DagsterEventType.RUN_FAILURE.value, like.job_name)
    later = datetime.now(UTC) + timedelta(days=20)
    house.instance.report_dagster_event(ahead, "it", timestamp=later.timestamp())
    tick(house)
    run = fail(house)
    tick(house)
    tick(house)
    assert [sum(name in text for text in texts(webhook)) for name in ("run it failed", run[:8])] == [1, 1]


def test_two_processes_that_alert_at_once_send_each_alert_once(house: House, webhook: Webhook) -> None:
    run = fail(house)
    start = threading.Barrier(2)

    def act(_: int) -> None:
        start.wait()
        tick(house)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(act, range(2)))
    assert sum(run[:8] in text for text in texts(webhook)) == 1


@pytest.mark.parametrize("host", ["a..b", f"{'a' * 64}.example", "[x"])
def test_the_error_of_an_invalid_host_does_not_show_the_address(host: str) -> None:
    with pytest.raises(AlertError) as caught:
        post(f"https://{host}/T00/5ec2e7", "text")
    assert "5ec2e7" not in str(caught.value)


def test_the_error_of_an_unreachable_webhook_does_not_show_the_address(house: House, webhook: Webhook) -> None:
    fail(house)
    webhook.url = f"http://127.0.0.1:1/{SECRET}"
    with pytest.raises(AlertError, match="cannot be reached") as caught:
        tick(alerting(house, webhook))
    assert SECRET not in "".join(map(str, (caught.value, caught.value.__cause__)))
    assert caught.value.__suppress_context__


ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(GrpcServerCodeLocationOrigin("localhost", 1, location_name="winnow"), "__repository__"), "it"
)


@pytest.mark.parametrize(
    ("changes", "is_told"),
    [
        ({}, True),
        ({"tags": {"dagster/will_retry": "true"}, "remote_job_origin": ORIGIN}, False),
        # Dagster says so of it, and cannot: it did not launch it.
        ({"tags": {"dagster/will_retry": "true"}}, True),
        ({"asset_selection": frozenset({dg.AssetKey("theirs")})}, False),
        ({"tags": {SITE_TAG: "of another"}}, False),
    ],
    ids=["ours", "tried again", "tried again by nobody", "another team's", "another site's"],
)
def test_only_own_failed_runs_that_dagster_does_not_retry_alert(
    house: House, webhook: Webhook, changes: dict[str, Any], *, is_told: bool
) -> None:
    tick(house)
    run = house.instance.get_run_by_id(fail(house))
    assert run is not None
    tags = {SITE_TAG: house.winnow.ownership.site} | changes.get("tags", {})
    started = run._replace(run_id="it", status=dg.DagsterRunStatus.STARTED, **changes | {"tags": tags})
    house.instance.add_run(started)
    house.instance.report_run_failed(started, "it died")
    tick(house)
    told = [text for text in texts(webhook) if "run it failed" in text]
    assert len(told) == is_told
    assert all("it died" in text for text in told)


def test_failures_before_the_first_alert_are_not_sent(make_house: MakeHouse, webhook: Webhook) -> None:
    house = make_house({"a": (1,)})
    house.winnow.ownership.claim()
    fail(house)
    later = replace(house.winnow, started=datetime.now(UTC))
    tick(alerting(House(later, house.opened), webhook))
    assert not any("failed. badges" in text for text in texts(webhook))


def test_a_collect_and_the_sensor_send_each_alert_once(
    make_house: MakeHouse, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    settings = alerting(make_house({"a": (1,)}), webhook).winnow.settings
    source = ParquetSettings(settle_days=0, paths=(str(settings.folder / "*.parquet"),))
    settings = replace(settings, source=source, start_date=datetime.now(UTC).date() - timedelta(days=2))
    with ProgressReporter(settings) as progress:
        webhook.status = 500
        collect(settings, Scope(), progress=progress)
        assert "an alert is not delivered yet: alerts.webhook answered 500" in caplog.text
        assert SECRET not in caplog.text
        webhook.status = 200
        collect(settings, Scope(), progress=progress)
        told = texts(webhook)
        assert sum("every_package_covered of raw_downloads failed" in text for text in told) == 1
        # Of both runs, since neither was told.
        assert sum("failed. raw_downloads: " in text for text in told) == 2
        collect(settings, Scope(), progress=progress)
        with open_instance(settings) as instance:
            tick(House(Installation(settings), lambda: instance))
    assert len(texts(webhook)) == len(told) + 1


def test_without_a_webhook_there_is_no_sensor_and_no_alert(make_house: MakeHouse) -> None:
    house = make_house({"a": (1,)})
    names = {sensor.name for sensor in build(house.winnow).sensors or ()}
    assert names == {"winnow_fill_gaps", "winnow_publish", "winnow_delete_old_runs"}


def test_the_address_may_stand_in_an_environment_variable(
    house: House, source: RowSource, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(house.winnow.settings, alerts_webhook="", alerts_webhook_env="WINNOW_TEST_HOOK")
    house = House(replace(house.winnow, settings=settings), house.opened)
    source.failing = {"a"}
    house.count(DAY, DAY)
    monkeypatch.delenv("WINNOW_TEST_HOOK", raising=False)
    with pytest.raises(AlertError, match=r"alerts.webhook_env: \$WINNOW_TEST_HOOK is not set"):
        tick(house)
    monkeypatch.setenv("WINNOW_TEST_HOOK", webhook.url)
    assert "red checks: every_package_covered" in tick(house)
    assert "every_package_covered" in str(texts(webhook))
