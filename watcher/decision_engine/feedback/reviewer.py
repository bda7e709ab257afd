# SPDX-License-Identifier: Apache-2.0
"""Reviews the effect of a plan, one metric window after its end."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from oslo_db.exception import DBError
from oslo_log import log
from sqlalchemy.orm import Session

from watcher.cloud.compute import Host, Migration, Server
from watcher.cloud.metrics import Metrics
from watcher.common.errors import NotFound, WatcherError, sentence_of, traceback_of
from watcher.common.states import ActionState
from watcher.db import reviews
from watcher.db.models import ActionPlan, AuditRun, Review
from watcher.db.models.base import shortened
from watcher.db.session import Database
from watcher.decision_engine import inputs
from watcher.decision_engine.feedback import promises
from watcher.decision_engine.feedback.promises import Kept, Promise, PromisedLoads
from watcher.decision_engine.inputs import Earlier, Sources
from watcher.decision_engine.strategies.base import Inputs
from watcher.notifications import Notifications

if TYPE_CHECKING:
    from watcher.model.compute import ComputeModel

LOG = log.getLogger(__name__)

ATTEMPTS: Final = 5
"""How many attempts are made at a review that fails for a passing cause, or whose engine dies."""
PAUSE: Final = datetime.timedelta(seconds=60)
"""The wait after the first attempt; after each further one it is twice as long."""
LEASE: Final = datetime.timedelta(minutes=15)
"""The time after which a claimed review is due again, if the engine that claimed it has died."""
_CANDIDATES: Final = 16
"""How many due reviews are read for one claim, because other engines claim the same ones."""


@dataclasses.dataclass(frozen=True)
class ReviewResult:
    kept: float | None
    message: str
    realised: Mapping[str, float] = dataclasses.field(default_factory=dict)
    counts: bool = True
    """Whether it counts for or against the audit."""


@dataclasses.dataclass(frozen=True)
class _Changes:
    """The changes of the cloud since a plan was made."""

    moved: Collection[str]
    """Uuids of the servers that the plan migrated."""
    whole: bool
    """Whether every action of the plan SUCCEEDED."""
    others: Sequence[Migration]
    """Moves that others made, from or to any host."""
    hosts: Collection[str]
    """Hostnames in the migrations that the plan made."""

    @property
    def disturbed(self) -> bool:
        """Whether others moved servers from or to these hosts."""
        return any({each.source, each.destination} & set(self.hosts) for each in self.others)


class Reviewer:
    """Makes the reviews that are due, one at a time."""

    def __init__(self, sources: Sources, database: Database, notifications: Notifications) -> None:
        self._sources, self._database = sources, database
        self._notifications = notifications
        self._stopping = False

    def stop(self) -> None:
        """Begin no further review."""
        self._stopping = True

    def look(self, now: datetime.datetime) -> None:
        """Make all reviews that are due.  Database errors are raised."""
        while not self._stopping:
            review = self._claim(now)
            if review is None:
                return
            self._review(review, now)

    def _claim(self, now: datetime.datetime) -> Review | None:
        with self._database.reader() as session:
            due = reviews.due(session, now, _CANDIDATES)
        for plan_id in due:
            review = self._database.write(
                functools.partial(reviews.claim, plan_id=plan_id, lease=LEASE, now=now)
            )
            if review is not None:
                return review
        return None

    def _review(self, review: Review, now: datetime.datetime) -> None:
        plan = review.action_plan
        try:
            found = self._measured(review, now)
        except DBError:
            raise
        except Exception as error:
            passing = isinstance(error, WatcherError) and error.passing
            if passing and review.attempt < ATTEMPTS:
                LOG.warning("Action plan %s cannot be reviewed yet: %s", plan.uuid, error)
                later = now + PAUSE * 2 ** (review.attempt - 1)
                self._database.write(lambda session: reviews.postpone(session, review, later))
                return
            LOG.error("No review of action plan %s", plan.uuid, exc_info=traceback_of(error))
            why = f"What the plan did could not be measured: {sentence_of(error)}"
            found = ReviewResult(None, why)
        self._conclude(review, found, now)

    def _measured(self, review: Review, now: datetime.datetime) -> ReviewResult:
        if review.attempt > ATTEMPTS:
            raise NotFound(f"The engine that made the review died {ATTEMPTS} times in a row.")
        plan = review.action_plan
        with self._database.reader() as session:
            run = reviews.run_of(session, plan.id)
        if run is None:
            raise NotFound("The run that made the plan is not there any more.")
        promise = promises.from_json(review.promise)
        changes = self._cloud_changes(plan, promise, now)
        given, realised = self._read_again(plan, run, now)
        if promise.loads is None:
            return _by_figure(promise, realised, changes)
        strategy = self._sources.catalog.strategies[plan.strategy.name]
        source = self._sources.datasources.serving(strategy)
        kept = _by_loads(promise.loads, plan, source, given.compute_model(), changes, now)
        return _found(kept, realised)

    def _read_again(
        self, plan: ActionPlan, run: AuditRun, now: datetime.datetime
    ) -> tuple[Inputs, Mapping[str, float]]:
        """Run the strategy again, on the present inputs, and read its figures."""
        strategy = self._sources.catalog.strategy_for("", plan.strategy.name)
        given = inputs.make(strategy, run, now, self._sources, lambda: Earlier((), None))
        summary = strategy().execute(given).summary
        return given, {
            name: figure["before"] for name, figure in summary.items() if "before" in figure
        }

    def _cloud_changes(
        self, plan: ActionPlan, promise: Promise, now: datetime.datetime
    ) -> _Changes:
        with self._database.reader() as session:
            asked = reviews.migrations(session, plan.id)
            whole = reviews.is_whole(session, plan.id)
        own = {
            (parameters.get("resource_id"), parameters.get("source_node"))
            for _, parameters in asked
        }
        made = [each for state, each in asked if state == ActionState.SUCCEEDED]
        others = (
            [
                each
                for each in self._sources.cloud.compute.migrations(plan.created_at or now)
                if each.succeeded and (each.server, each.source) not in own
            ]
            if asked
            else []
        )
        return _Changes(
            moved={each.get("resource_id", "") for each in made},
            whole=whole,
            others=others,
            hosts={each.get(name, "") for each in made for name in _ENDS} - {""},
        )

    def _conclude(self, review: Review, found: ReviewResult, now: datetime.datetime) -> None:
        plan, number = review.action_plan, self._sources.conf.optimization.broken_promises
        values = {
            "kept": found.kept,
            "message": shortened(found.message),
            "realised": dict(found.realised),
            # Not True: a person may have set auto_trigger in between.
            **({} if found.counts else {"counts": False}),
        }

        def write(session: Session) -> tuple[bool, bool]:
            concluded = reviews.conclude(session, review, now, **values)
            return concluded, concluded and reviews.distrust(session, review, number)

        concluded, distrusted = self._database.write(write)
        if not concluded:
            LOG.warning("Another engine reviews action plan %s by now", plan.uuid)
            return
        LOG.info("Review of action plan %s: %s", plan.uuid, found.message)
        self._notifications.send("action_plan.review", plan.id)
        if distrusted:
            LOG.warning("Audit %s: %s", plan.audit.uuid, reviews.DISTRUSTED)
            self._notifications.send("audit.update", plan.audit_id)


_ENDS = ("source_node", "destination_node")


def _by_figure(promise: Promise, realised: Mapping[str, float], changes: _Changes) -> ReviewResult:
    if promise.figure not in realised:
        return _found(Kept(None, f"the strategy does not report '{promise.figure}'"), realised)
    found = _found(promises.kept_by_figure(promise, realised[promise.figure]), realised)
    if not changes.whole:
        return _uncounted(found, "not all of its actions were carried out")
    if changes.disturbed:
        return _uncounted(found, "other migrations touched the same hosts meanwhile")
    return found


def _by_loads(
    loads: PromisedLoads,
    plan: ActionPlan,
    source: Metrics,
    model: ComputeModel,
    changes: _Changes,
    now: datetime.datetime,
) -> Kept:
    """How far the loads of the hosts have changed as expected from all known moves."""
    hosts = {host.hostname: host for host in model.hosts if host.uuid in loads.hosts}
    since, window = plan.created_at or now, loads.of_hosts.window
    concerned = {move.server for move in loads.moves} | {each.server for each in changes.others}
    concerned.update(loads.use)
    servers = {
        server.uuid: server
        for server in model.servers
        if server.uuid in concerned or _is_new(server, since)
    }
    # The metrics are not corrected for recent moves: the window has passed, and later moves are
    # accounted for below.
    of_hosts = loads.of_hosts.ask(source.host_metric, list(hosts.values()))
    use = dict(loads.of_servers.ask(source.server_metric, list(servers.values())))
    gone = {move.server: 0.0 for move in loads.moves if move.server not in servers}
    expected: dict[str, float] = collections.defaultdict(float)
    expected.update(promises.expected(loads.moves, changes.moved, use | gone))
    for host, server, sign, moment in _moves_of_others(servers, hosts, changes.others, since):
        taken = promises.share_of(server, host, use.get(server.uuid, 0.0), loads.memory)
        expected[host.uuid] += sign * taken * _visible(moment, now, window)
    drift = promises.changes_without_moves(loads, servers, hosts, use)
    measured = promises.percents(list(hosts.values()), of_hosts, loads.memory)
    return promises.kept_by_hosts(
        expected,
        {host: load + drift.get(host, 0.0) for host, load in loads.hosts.items()},
        {
            host: load
            for host, load in measured.items()
            if min(load, loads.hosts[host]) < promises.FULL
        },
    )


def _moves_of_others(
    servers: Mapping[str, Server],
    hosts: Mapping[str, Host],
    others: Sequence[Migration],
    since: datetime.datetime,
) -> Iterator[tuple[Host, Server, int, datetime.datetime]]:
    """For moves other than the plan's: host, server, -1 if it left or 1 if it came, and the
    time."""
    for each in others:
        if each.server in servers and each.ended:
            for hostname, sign in ((each.source, -1), (each.destination, 1)):
                if hostname in hosts:
                    yield hosts[hostname], servers[each.server], sign, each.ended
    moved = {each.server for each in others}
    for server in servers.values():
        if _is_new(server, since) and server.host in hosts and server.uuid not in moved:
            yield hosts[server.host], server, 1, server.created or since


def _is_new(server: Server, since: datetime.datetime) -> bool:
    return server.created is not None and server.created > since


def _visible(moment: datetime.datetime, now: datetime.datetime, window: int) -> float:
    """The share of a change at a *moment* that a mean over the last *window* seconds shows."""
    passed = (now - moment).total_seconds()
    return min(1.0, max(0.0, passed / window)) if window else 1.0


def _found(kept: Kept, realised: Mapping[str, float]) -> ReviewResult:
    if kept.share is None:
        return ReviewResult(None, f"How much was kept is not known: {kept.reason}.", realised)
    return ReviewResult(
        kept.share, f"The plan kept {kept.share:.0%} of what it promised.", realised
    )


def _uncounted(found: ReviewResult, why: str) -> ReviewResult:
    """*found*, but it counts neither for nor against the audit."""
    message = f"{found.message.rstrip('.')}; this does not count, as {why}."
    return dataclasses.replace(found, message=message, counts=False)
