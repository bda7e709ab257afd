# SPDX-License-Identifier: Apache-2.0
"""The decision engine: catalogue, heartbeat, dispatcher, reviewer, doorbell server, metrics."""

import datetime
import threading
from collections.abc import Callable
from typing import Any

import oslo_messaging
from oslo_config import cfg
from oslo_log import log
from oslo_utils import timeutils

from watcher import rpc
from watcher.cloud import Cloud
from watcher.common.errors import NotFound, WatcherError
from watcher.common.periodic import Ticker
from watcher.common.states import PlanState
from watcher.db import action_plans, audits, counters, retention, runs, services
from watcher.db.leases import Holder
from watcher.db.session import Database
from watcher.decision_engine import inputs, strategy_state
from watcher.decision_engine.feedback.reviewer import Reviewer
from watcher.decision_engine.inputs import Sources
from watcher.decision_engine.run_dispatcher import RunDispatcher
from watcher.decision_engine.runner import Runner
from watcher.metrics import MetricsServer
from watcher.notifications import Notifications, ServiceMonitor
from watcher.rpc.doorbell import Doorbell
from watcher.rpc.listener import NotificationListener
from watcher.rpc.message_server import RpcServer
from watcher.rpc.pieces import Pieces

LOG = log.getLogger(__name__)

NAME = "watcher-decision-engine"

_ROLL_PAUSE = 300.0
"""Seconds between two times at which the counts of older rows are stored."""

_LOOK_PAUSE = 300.0
"""Seconds between two looks for hours whose usual loads are not known."""


class DecisionEngine:
    """Everything that one decision engine process does, between ``start`` and ``stop``."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        database: Database,
        cloud: Cloud,
        applier: Doorbell,
        notifications: Notifications,
        transport: oslo_messaging.Transport | None = None,
        restart: Callable[[], None] = lambda: None,
    ) -> None:
        """*restart* is called when too many runs do not end, because their threads cannot be
        killed."""
        self._conf, self._database, self._notifications = conf, database, notifications
        self._stopping = threading.Event()
        self._holder = Holder.this_process(conf)
        self._monitor = ServiceMonitor(conf, database, NAME, notifications)
        self.metrics = MetricsServer(conf, database)
        self._sources = Sources.of(conf, cloud)
        runner = Runner(self._sources, database, applier, notifications)
        run, time_out = runner.run, runner.time_out
        self.dispatcher = RunDispatcher(conf, database, self._holder, run, time_out, restart)
        self._reviewer = Reviewer(self._sources, database, notifications)
        options = conf.watcher_decision_engine
        self._tickers = (
            Ticker("heartbeat", self._beat, lambda: conf.lease_duration / 3),
            Ticker("reviews", self._review, lambda: options.poll_interval),
            Ticker("expiry", self._expire, lambda: options.check_periodic_interval),
            Ticker("usual loads", self._look_ahead, lambda: _LOOK_PAUSE),
            Ticker("counts", self._roll, lambda: _ROLL_PAUSE),
        )
        self._server = transport and RpcServer(
            transport,
            options.conductor_topic,
            conf.host,
            _Endpoint(database, self.dispatcher, self._sources, Pieces(conf.host)),
        )
        self._listener: NotificationListener | None = None
        if cloud.notifies:
            bus, notify = rpc.notification_transport(conf), self._sources.collectors.notify
            self._listener = NotificationListener(conf, bus, notify)

    def start(self) -> None:
        now = timeutils.utcnow()
        self._database.write(lambda session: self._sources.catalog.sync(session, now))
        adopted = self._database.write(lambda session: runs.adopt(session, now))
        if adopted:
            LOG.info("Queued runs of %d audits that had none", adopted)
        for ticker in self._tickers:
            ticker.start()
        self._sources.collectors.start()
        if self._listener:
            self._listener.start()
        self.dispatcher.start()
        if self._server:
            self._server.start()
        self.metrics.start()
        LOG.info("Decision engine %s is ready", self._holder.engine)

    def stop(self) -> None:
        self._stopping.set()
        self._reviewer.stop()
        if self._server:
            self._server.stop()
        self._sources.datasources.stop()
        if self._listener:
            self._listener.stop()
        self.dispatcher.stop()
        self._sources.collectors.stop()
        for ticker in self._tickers:
            ticker.stop()
        self.metrics.stop()
        LOG.info("Decision engine %s has stopped", self._holder.engine)

    def _beat(self) -> None:
        now = timeutils.utcnow()
        self.dispatcher.beat(now)  # before anything that may take long or fail
        read_at = self._sources.collectors.read_at()
        self._database.write(
            lambda session: services.beat(session, NAME, self._conf.host, now, read_at)
        )
        self._monitor.look(now)

    def _review(self) -> None:
        self._reviewer.look(timeutils.utcnow())

    def _look_ahead(self) -> None:
        """Read the usual loads for which the runs of automatic audits ask."""
        now, sources = timeutils.utcnow(), self._sources
        with self._database.reader() as session:
            found = audits.automatic(session)
        for audit in found:
            try:
                sources.look_ahead(audit, now)
            except WatcherError as error:
                LOG.warning("Audit %s has no expected loads: %s", audit.uuid, error)

    def _expire(self) -> None:
        self._expire_plans()
        self._remove_old_rows()

    def _remove_old_rows(self) -> None:
        """Remove old rows, in short transactions one after the other."""
        now, write = timeutils.utcnow(), self._database.write

        def ago(days: int) -> datetime.datetime:
            return now - datetime.timedelta(days=days)

        if days := self._conf.webhooks.keep_events_days:
            before = ago(days)
            self._repeat("events", lambda: write(lambda s: retention.remove_events(s, before)))
        if days := self._conf.watcher_decision_engine.keep_runs_days:
            before, replaced = ago(days), ago(min(days, retention.REPLACED_DAYS))
            self._repeat("plans", lambda: retention.remove_plans(self._database, before, replaced))
            self._repeat("runs", lambda: write(lambda s: retention.remove_runs(s, before)))

    def _roll(self) -> None:
        """Store the counts of older rows, so that metrics count the younger rows only."""
        now = timeutils.utcnow()
        while not self._stopping.is_set():
            if not self._database.write(lambda session: counters.roll(session, now)):
                return

    def _repeat(self, what: str, remove: Callable[[], int]) -> None:
        number = 0
        while not self._stopping.is_set() and (found := remove()):
            number += found
        if number:
            LOG.info("Removed %d rows of old %s", number, what)

    def _expire_plans(self) -> None:
        hours = self._conf.watcher_decision_engine.action_plan_expiry
        if hours:
            now = timeutils.utcnow()
            before = now - datetime.timedelta(hours=hours)
            expired = self._database.write(
                lambda session: action_plans.expire(session, before, now)
            )
            self._notifications.send(
                "action_plan.update", *expired, old_state=PlanState.RECOMMENDED
            )


class _Endpoint:
    """The calls that a decision engine answers on the message bus."""

    def __init__(
        self, database: Database, dispatcher: RunDispatcher, sources: Sources, pieces: Pieces
    ) -> None:
        self._database, self._dispatcher = database, dispatcher
        self._sources, self._pieces = sources, pieces

    def trigger_audit(self, context: Any, audit_uuid: str) -> str:
        """A doorbell, by the name that the former service gave it."""
        self._dispatcher.wake()
        return audit_uuid

    def get_strategy_info(self, context: Any, strategy_name: str) -> list[dict[str, Any]]:
        """Which requirements of a strategy are available now."""
        strategy = self._sources.catalog.strategy_for("", strategy_name)
        return strategy_state.of_strategy(
            strategy, self._sources.datasources, self._sources.collectors
        )

    @oslo_messaging.expected_exceptions(WatcherError)  # type: ignore[untyped-decorator]
    def get_data_model_info(
        self, context: Any, data_model_type: str, audit: str | None = None
    ) -> dict[str, Any]:
        """The rows of the compute model, within the scope of an audit by uuid or name, if given."""
        if data_model_type != "compute":
            raise NotFound(f"data_model_type: there is no '{data_model_type}'.")
        from watcher.decision_engine import data_model  # imports NumPy

        model = self._sources.collectors.compute()
        if audit is not None:
            with self._database.reader() as session:
                model = inputs.in_scope(model, audits.get(session, audit))
        extended = self._sources.conf.compute_model.enable_extended_attributes
        return self._pieces.first(data_model.rows(model, extended))

    @oslo_messaging.expected_exceptions(WatcherError)  # type: ignore[untyped-decorator]
    def get_data_model_piece(
        self, context: Any, answer: str, begin: int
    ) -> dict[str, list[dict[str, Any]]]:
        """More rows of an *answer* of ``get_data_model_info`` that is too long for a message."""
        return self._pieces.piece(answer, begin)
