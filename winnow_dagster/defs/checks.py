"""Asset checks: they tell a maintainer whether to trust the numbers.

Checks have no partitions. Each judges all days that the windows need, and names the bad ones.
"""

# Without `from __future__ import annotations`: Dagster reads the annotations themselves.

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg

from winnow_dagster.core import remarks, verdicts
from winnow_dagster.core.escaping import for_markdown
from winnow_dagster.core.names import Selector
from winnow_dagster.core.verdicts import Verdict
from winnow_dagster.defs.resources import Installation, installation_of
from winnow_dagster.files.operations import Failures, StorageError, read_if_there
from winnow_dagster.files.session import publishing
from winnow_dagster.instance.naming import ASSETS, Names
from winnow_dagster.publishing import audit
from winnow_dagster.publishing.directory import WebDir
from winnow_dagster.publishing.prune import find_orphans
from winnow_dagster.site.record import RECORD_NAME

MAX_NAMED = 100
"""The maximum number of culprits that a check names. It only counts the others."""

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


@dataclass(frozen=True)
class Check:
    """One entry of the table: an asset, a rule about it, the severity, and the function that judges it."""

    name: str
    asset: str
    severity: dg.AssetCheckSeverity
    description: str
    judge: Callable[[Installation], Verdict]
    judge_by_history: Callable[[Installation, dg.DagsterInstance], Mapping[str, str]] = lambda *_: {}
    """Returns what only the history of runs shows to be bad."""

    def key(self, names: Names) -> dg.AssetCheckKey:
        """Return the check's key in Dagster."""
        return dg.AssetCheckKey(names.asset(self.asset), self.name)


def _coverage(winnow: Installation) -> Verdict:
    return Verdict(winnow.missing(winnow.due_day), len(winnow.settings.packages))


def _damaged(winnow: Installation) -> Verdict:
    stored = len(winnow.raw.stored_days()) + len(winnow.honest.stored_days())
    return Verdict({**winnow.raw.damaged(), **winnow.honest.damaged()}, stored)


def _newest_day(winnow: Installation) -> Verdict:
    days = winnow.settings.days_of_longest_window(winnow.due_day)
    return verdicts.judge_newest_day(winnow.honest.load(days), winnow.due_day, winnow.settings.start_date)


def _totals(winnow: Installation) -> Verdict:
    due = winnow.settings.days_of_longest_window(winnow.due_day)
    days = winnow.raw.load(winnow.settings.days_of_longest_window(winnow.due_day, weeks_before=verdicts.WEEKS_COMPARED))
    unusual = verdicts.judge_totals(days, winnow.settings.windows, due)
    return replace(unusual, bad={**unusual.bad, **verdicts.judge_quiet_days(winnow.judge.quiet_days(due).low)})


def _whole(winnow: Installation) -> Verdict:
    judged = winnow.judge.by_rows(winnow.settings.days_of_longest_window(winnow.due_day))
    return verdicts.judge_completeness(judged, winnow.judge.short_days())


def _sums(winnow: Installation) -> Verdict:
    days = winnow.settings.days_of_longest_window(winnow.clock.through)
    since = winnow.clock.now() - verdicts.MAX_TIME_TO_COUNT
    return verdicts.judge_sums(winnow.raw.load(days), winnow.honest.load(days), since)


def _breakdowns(winnow: Installation) -> Verdict:
    days = winnow.settings.days_of_longest_window(winnow.clock.through)
    return verdicts.judge_breakdowns(winnow.honest.load(days), winnow.breakdowns(days))


def _unlisted(winnow: Installation) -> Verdict:
    return verdicts.judge_unlisted(winnow.honest.load(winnow.settings.days_of_longest_window(winnow.clock.through)))


def _as_of(winnow: Installation) -> Verdict:
    states = [state for found in winnow.published().values() for state in found]
    summary = winnow.web.all_packages.summary()
    states += [summary.state()] if summary else []
    return verdicts.judge_as_of(states, winnow.clock.today, winnow.settings.stale_threshold_days)


def _downloads(winnow: Installation) -> Verdict:
    return remarks.judge_downloads(winnow.published(), winnow.settings.windows, winnow.missing())


def _published(winnow: Installation) -> Verdict:
    verdict = _published_now(winnow, winnow.web)
    if not verdict.bad:
        return verdict
    # Another process may be publishing: some files are new already, and others are old.
    with suppress(StorageError), publishing(winnow.settings.data_dir, winnow.web.folder) as session:
        return _published_now(winnow, replace(winnow.web, folder=session.folder))
    return verdict


def _published_now(winnow: Installation, web: WebDir) -> Verdict:
    # The store has counts of the configured source only.
    published = {n: s for n, s in web.read_all().items() if s.source == winnow.settings.source.kind}
    web.read_ahead(published, "")
    in_full = audit.judge_published(
        web.site,
        published,
        winnow.recount(published.values()),
        lambda folder, name: read_if_there(web.folder / folder / name),
        winnow.clock.today,
    )
    wide = audit.judge_all_packages(web.all_packages, winnow.everything(), winnow.clock.today)
    return Verdict({**in_full.bad, **wide.bad}, in_full.looked_at + wide.looked_at, {**in_full.facts, **wide.facts})


def _vanished(winnow: Installation, instance: dg.DagsterInstance) -> dict[str, str]:
    """Return the configured packages and groups that were published before, and have no readable record now."""
    there = {state.package for states in winnow.published().values() for state in states}
    wanted = [str(w) for w in winnow.settings.published_windows if not (isinstance(w, Selector) and w.is_prefix)]
    gone = [name for name in wanted if name not in there]
    # Before their first publication, as after a change of the config, nothing is missing.
    before = instance.get_materialized_partitions(winnow.names.asset("badges")) if gone else ()
    return {f"{name}/{RECORD_NAME}": "is missing or damaged. Materialise badges" for name in gone if name in before}


def _orphans(winnow: Installation) -> Verdict:
    orphans = find_orphans(winnow.web, winnow.settings.published_windows)
    bad = {
        folder: f"{len(files)} files that no entry of the config asks for: {', '.join(files)}"
        for folder, files in orphans.items()
    }
    return Verdict(bad, len(winnow.web.read_all()))


def _listing(winnow: Installation) -> Verdict:
    names = [row.state.package for row in winnow.rows(winnow.published())]
    return audit.judge_listing(names, lambda name: read_if_there(winnow.web.folder / name))


CHECKS = (
    Check(
        "every_package_covered", "raw_downloads", ERROR,
        "Every entry of `packages` was read on every day that its longest window needs.", _coverage,
    ),
    Check(
        "no_damaged_days", "raw_downloads", WARN,
        "No stored day is damaged. Winnow sets a damaged file aside as `*.corrupt`, and re-reads its day.",
        _damaged,
    ),
    Check(
        "newest_day_is_recent", "raw_downloads", ERROR,
        "Winnow has read the last due day, or the day before it. A freshness policy cannot check this: a backfill "
        "of an old day is a fresh materialisation too.", _newest_day,
    ),
    Check(
        "day_totals_are_usual", "raw_downloads", WARN,
        "Each day's raw total is between a third and three times its weekday's usual total. A lower total may mean "
        "that PyPI lost rows, a higher one that a script downloads in a loop.", _totals,
    ),
    Check(
        "source_days_are_whole", "raw_downloads", WARN,
        "The source has lost no rows of a day that a window needs. The check compares the day's number of rows over "
        "all packages with the same weekday in the eight weeks before, and with the smallest day of those weeks. With "
        "fewer than four such days it says nothing.",
        _whole,
    ),
    Check(
        "categories_sum_to_raw", "honest_downloads", ERROR,
        "The seven categories of each package and day sum to its raw total: no download is lost or counted twice.",
        _sums,
    ),
    Check(
        "breakdowns_sum_to_categories", "honest_downloads", ERROR,
        "The values of each breakdown of a package and day sum to each of its categories.", _breakdowns,
    ),
    Check(
        "no_unlisted_installer_stands_out", "honest_downloads", WARN,
        "No unlisted installer has more than 1 % of a day. Winnow does not count its downloads as honest. If people "
        "use a new installer, Winnow has to list it.", _unlisted,
    ),
    Check(
        "as_of_is_recent", "badges", ERROR,
        "Every badge's number is as of a day within `stale_threshold_days`.", _as_of,
    ),
    Check(
        "every_package_has_downloads", "badges", WARN,
        "Each entry has a download in its longest whole window. An entry without one may be misspelled.",
        _downloads,
    ),
    Check(
        "published_equals_store", "badges", ERROR,
        "Every published file is, byte for byte, what the store says for the file's own as-of. With many packages, "
        "breakdowns are counted again once a week. Each package and group that was ever published has its files.",
        _published, _vanished,
    ),
    Check(
        "lists_every_package", "index", ERROR,
        "The files that list all packages exist, and `_packages.json` names every published package and group.",
        _listing,
    ),
    Check(
        "no_orphaned_files", "badges", WARN,
        "No published file belongs to a package or window that the config no longer has. `winnow prune` removes them.",
        _orphans,
    ),
)  # fmt: skip


def make_checks(names: Names) -> list[dg.AssetChecksDefinition]:
    """Return the checks, one step for each asset."""
    assets = dict.fromkeys(check.asset for check in CHECKS)
    return [_checks_of(names, asset, [check for check in CHECKS if check.asset == asset]) for asset in assets]


def _checks_of(names: Names, asset: str, checks: list[Check]) -> dg.AssetChecksDefinition:
    @dg.multi_asset_check(
        name=names.op(f"{asset}_checks"),
        specs=[dg.AssetCheckSpec(c.name, asset=names.asset(asset), description=c.description) for c in checks],
        can_subset=True,
        required_resource_keys={names.resource},
    )
    def judge(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        winnow = installation_of(context.resources, names)
        chosen = {key.name for key in context.selected_asset_check_keys}
        failures = Failures()
        for check in checks:
            found = None
            if check.name in chosen:
                # A storage error of one check must not fail the others.
                with failures.collect():
                    found = dg.AssetCheckResult(**_judge(check, winnow, context.instance))
            if found:
                yield found
        failures.raise_any()

    return judge


def check_after_failure(names: Names) -> dg.HookDefinition:
    """Return the hook that evaluates the checks of a failed step's asset and of later assets, whose steps are skipped.

    Otherwise Dagster reports each of these checks as failed.
    """

    @dg.failure_hook(name=names.named("checks_after_failure"), required_resource_keys={names.resource})
    def judge(context: dg.HookContext) -> None:
        _judge_after_failure(context, installation_of(context.resources, names))

    return judge


def _judge_after_failure(context: dg.HookContext, winnow: Installation) -> None:
    names, instance, run = winnow.names, context.instance, context.instance.get_run_by_id(context.run_id)
    steps = [names.op(asset) for asset in ASSETS]
    after = ASSETS[steps.index(context.op.name) :]
    wanted = {dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED}
    events = [log.dagster_event for log in instance.all_logs(context.run_id, of_type=wanted) if log.dagster_event]
    planned = {event.asset_check_planned_data.asset_check_key for event in events}
    for check in CHECKS:
        if run is not None and check.key(names) in planned and check.asset in after:
            with suppress(StorageError):
                evaluation = dg.AssetCheckEvaluation(**_judge(check, winnow, instance))
                # The same event that the check's own step would log.
                event = dg.DagsterEvent(
                    dg.DagsterEventType.ASSET_CHECK_EVALUATION.value, run.job_name, event_specific_data=evaluation
                )
                instance.report_dagster_event(event, run.run_id)


def _judge(check: Check, winnow: Installation, instance: dg.DagsterInstance) -> dict[str, Any]:
    """Return the result of a check, as the arguments of a result or an evaluation."""
    verdict = check.judge(winnow)
    bad = {**check.judge_by_history(winnow, instance), **verdict.bad}
    named = list(bad.items())[:MAX_NAMED]
    records = [dg.TableRecord({"what": what, "why": why}) for what, why in named]
    return {
        "check_name": check.name,
        "asset_key": winnow.names.asset(check.asset),
        "passed": not bad,
        "severity": check.severity,
        # Dagster's UI reads it as Markdown.
        "description": "; ".join(for_markdown(f"{what}: {why}") for what, why in named[:3]) or None,
        "metadata": {
            "bad": len(bad),
            "looked_at": verdict.looked_at,
            **verdict.facts,
            **({"culprits": dg.MetadataValue.table(records)} if records else {}),
        },
    }
