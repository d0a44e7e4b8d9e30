"""Alerts: told once per change, to a webhook whose address is told to nobody."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dagster as dg
import pytest

from tests.conftest import DAY, House, MakeHouse, RowSource
from winnow_dagster.definitions import build
from winnow_dagster.defs.alerts import AlertError, make_alerts

SECRET = "T0KEN"


@dataclass
class Webhook:
    """A web server that keeps what was posted to it, and answers as it is told."""

    url: str = ""
    status: int = 200
    posted: list[Any] = field(default_factory=list)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    found = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if found.status == 200:
                found.posted.append(content)
            self.send_response(found.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}/{SECRET}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


def alerting(house: House, webhook: Webhook) -> House:
    settings = replace(house.winnow.settings, alerts_webhook=webhook.url)
    return House(replace(house.winnow, settings=settings), house.instance)


def texts(webhook: Webhook) -> list[str]:
    assert all(list(post) == ["text"] for post in webhook.posted)
    return [post["text"] for post in webhook.posted]


def tick(house: House, cursor: str | None) -> str | None:
    """Evaluate the sensor of checks once; return its cursor, which Dagster keeps."""
    (sensor,) = [s for s in make_alerts(house.winnow.settings) if s.name == "alert_checks"]
    return sensor.evaluate_tick(dg.build_sensor_context(house.instance, cursor=cursor)).cursor


@pytest.fixture
def house(make_house: MakeHouse, source: RowSource, webhook: Webhook) -> House:
    source.rows = [(DAY, "a", "pip", None, None, 5)]
    return alerting(make_house({"a": (1,)}), webhook)


def test_a_check_that_turns_red_is_told_once_and_again_once_it_is_well(
    house: House, source: RowSource, webhook: Webhook
) -> None:
    cursor = tick(house, None)
    source.failing = {"a"}
    house.count(DAY, DAY)
    cursor = tick(house, cursor)
    told = texts(webhook)
    assert "```Winnow: check every_package_covered of raw_downloads failed. 'a: 1 days" in told[0]
    assert "on fire" in told[0]
    cursor = tick(house, cursor)
    house.count(DAY, DAY)
    cursor = tick(house, cursor)
    assert texts(webhook) == told
    source.failing = set()
    house.count(DAY, DAY)
    tick(house, tick(house, cursor))
    well = [text for text in texts(webhook)[len(told) :] if "every_package_covered" in text]
    assert well == ["```Winnow: check every_package_covered of raw_downloads is well again```"]


def test_an_installer_name_mentions_nobody_and_links_to_nothing(
    house: House, source: RowSource, webhook: Webhook
) -> None:
    source.rows = [(DAY, "a", "<!channel> ```<https://evil.example|see> ![x](https://evil.example)", None, None, 500)]
    house.count(DAY, DAY)
    tick(house, None)
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


def test_what_could_not_be_told_is_told_later_and_the_address_is_in_no_error(
    house: House, source: RowSource, webhook: Webhook
) -> None:
    source.failing = {"a"}
    house.count(DAY, DAY)
    webhook.status = 500
    with pytest.raises(AlertError, match="answered 500") as caught:
        tick(house, None)
    assert SECRET not in str(caught.value)
    webhook.status = 200
    tick(house, None)
    assert "every_package_covered" in texts(webhook)[0]


def test_a_webhook_that_cannot_be_reached_is_an_error_without_its_address(
    house: House, source: RowSource, webhook: Webhook
) -> None:
    source.failing = {"a"}
    house.count(DAY, DAY)
    webhook.url = f"http://127.0.0.1:1/{SECRET}"
    with pytest.raises(AlertError, match="cannot be reached") as caught:
        tick(alerting(house, webhook), None)
    assert SECRET not in "".join(map(str, (caught.value, caught.value.__cause__)))
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(("tags", "is_told"), [({}, True), ({"dagster/will_retry": "true"}, False)])
def test_a_failed_run_is_told_with_its_cause_unless_it_is_tried_again(
    house: House, source: RowSource, webhook: Webhook, tags: dict[str, str], *, is_told: bool
) -> None:
    house.output_dir.write_text("a file where a directory should be")
    failed = house.run("badges")
    assert not failed.success
    (sensor,) = [s for s in make_alerts(house.winnow.settings) if s.name == "alert_failed_runs"]
    event = next(e for e in failed.all_events if e.event_type is dg.DagsterEventType.RUN_FAILURE)
    run = failed.dagster_run.with_tags(tags)
    context = dg.build_run_status_sensor_context(
        sensor.name, event, house.instance, run, partition_key=None
    ).for_run_failure()
    sensor(context)
    told = texts(webhook)
    assert len(told) == is_told
    if is_told:
        assert f"run {run.run_id[:8]} failed. badges: " in told[0]
        assert "public" in told[0]


def test_without_a_webhook_nothing_alerts(make_house: MakeHouse) -> None:
    house = make_house({"a": (1,)})
    names = {sensor.name for sensor in build(house.winnow).sensors or ()}
    assert names == {"gaps", "publish", "tidy"}
