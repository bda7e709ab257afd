# SPDX-License-Identifier: Apache-2.0
"""The metrics, with their names and labels.

All are read from the database in one transaction, so every node gives the same answer.  Labels
are fixed words or names of plug-ins, services and nodes, and never input of a request.
"""

import datetime
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from oslo_config import cfg
from oslo_utils import timeutils
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.orm import Session

from watcher.db import counters, gauges
from watcher.db.counters import Counts
from watcher.db.services import is_active, live, model_ages
from watcher.db.session import Database

_COUNTERS = (
    (
        counters.EVENTS,
        "watcher_events",
        "Events that reached the webhooks, recorded or not, and what was decided about them.",
        ("source", "decision", "reason"),
    ),
    (
        counters.COALESCED,
        "watcher_events_coalesced",
        "Events that joined a run that waited already, recorded or not.",
        (),
    ),
    (counters.RUNS, "watcher_runs", "Runs of audits that ended.", ("result", "strategy")),
    (counters.ACTIONS, "watcher_actions", "Actions that ended.", ("type", "result")),
    (
        counters.TAKE_OVERS,
        "watcher_take_overs",
        "Runs and action plans whose holder died and that another took over.",
        ("of",),
    ),
)

_HISTOGRAMS = (
    (
        counters.RUN_TIME,
        "watcher_run_duration_seconds",
        "Time from the start of a run, at its last attempt, to its end.",
        ("result", "strategy"),
    ),
    (
        counters.PLAN_TIME,
        "watcher_alarm_to_plan_seconds",
        "Time from the first alarm of a run to its action plan.",
        (),
    ),
    (
        counters.PROMISE_ERROR,
        "watcher_plan_promise_error",
        "How far plans were from their promise, in shares of it, when they were looked at.",
        ("strategy",),
    ),
)

_ALWAYS: tuple[tuple[str, ...], ...] = (
    (counters.COALESCED,),
    (counters.TAKE_OVERS, counters.RUN),
    (counters.TAKE_OVERS, counters.ACTION_PLAN),
    *(
        (counters.PLAN_TIME, str(key))
        for key in (*counters.PLAN_BUCKETS, counters.ALL, counters.SUM)
    ),
)
"""Series that begin at 0, because rates need a first value."""


class DatabaseCollector(Collector):
    """Reads everything at each scrape.  ``collect`` raises database errors."""

    def __init__(self, conf: cfg.ConfigOpts, database: Database) -> None:
        self._database = database
        self._down_time = datetime.timedelta(seconds=conf.service_down_time)

    def describe(self) -> Iterable[Metric]:
        """Empty, so that registering it does not read the database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        now = timeutils.utcnow()
        with self._database.reader() as session:
            counts = counters.totals(session)
            present = [*_of_work(session, now), *_of_services(session, self._down_time, now)]
        yield from _count_metrics(counts)
        yield from present


def _of_work(session: Session, now: datetime.datetime) -> Iterator[Metric]:
    """The runs, events and plans of this moment."""
    queue, inbox = gauges.queue(session, now), gauges.inbox(session, now)
    ongoing, plans = gauges.ongoing_runs(session, now), gauges.plans(session)
    yield _gauge(
        "watcher_queue_depth",
        "Runs that wait, by what they wait for.",
        ("reason",),
        {(reason,): waiting.number for reason, waiting in queue.items()},
    )
    yield _gauge(
        "watcher_queue_oldest_seconds",
        "How long the first of the runs that wait could have begun already.",
        ("reason",),
        {(reason,): waiting.oldest for reason, waiting in queue.items()},
    )
    yield _gauge("watcher_inbox_events", "Events that no run acts on yet.", (), {(): inbox.number})
    oldest = "How long the first of these events waits."
    yield _gauge("watcher_inbox_oldest_seconds", oldest, (), {(): inbox.oldest})
    yield _gauge("watcher_runs_ongoing", "Runs under way.", (), {(): ongoing.number})
    oldest = "How long the first of the runs under way has been so, at its last attempt."
    yield _gauge("watcher_runs_oldest_seconds", oldest, (), {(): ongoing.oldest})
    yield _gauge(
        "watcher_action_plans",
        "Action plans that are not deleted.",
        ("state",),
        {(state,): number for state, number in plans.items()},
    )


def _of_services(
    session: Session, down_time: datetime.timedelta, now: datetime.datetime
) -> Iterator[Metric]:
    """The state of the services, and the ages of the models of those that are up."""
    up = {row: is_active(row, down_time, now) for row in live(session)}
    yield _gauge(
        "watcher_service_up",
        "Whether a service was heard of within service_down_time.",
        ("service", "host"),
        {(row.name, row.host): is_up for row, is_up in up.items()},
    )
    yield _gauge(
        "watcher_model_age_seconds",
        "How long ago a decision engine that is up last read a model of the cloud.",
        ("model", "host"),
        {
            (model, row.host): age
            for row, is_up in up.items()
            if is_up
            for model, age in model_ages(row, now).items()
        },
    )


def _count_metrics(counts: Counts) -> Iterator[Metric]:
    counts.update(dict.fromkeys(_ALWAYS, 0))
    for kind, name, text, labels in _COUNTERS:
        counter = CounterMetricFamily(name, text, labels=labels)
        for key in sorted(key for key in counts if key[0] == kind):
            counter.add_metric(key[1:], counts[key])
        yield counter
    for kind, name, text, labels in _HISTOGRAMS:
        histogram = HistogramMetricFamily(name, text, labels=labels)
        width = 1 + len(labels)
        for key in sorted({key[:width] for key in counts if key[0] == kind}):
            _add_histogram(histogram, key, counts)
        yield histogram


def _add_histogram(histogram: HistogramMetricFamily, key: tuple[str, ...], counts: Counts) -> None:
    bounds = counters.BUCKETS[key[0]]
    buckets = [(str(float(bound)), float(counts[(*key, str(bound))])) for bound in bounds]
    buckets.append(("+Inf", float(counts[(*key, counters.ALL)])))
    histogram.add_metric(key[1:], buckets, counts[(*key, counters.SUM)] / 1000)


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Mapping[Any, float]) -> Metric:
    gauge = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        gauge.add_metric(key, value)
    return gauge
