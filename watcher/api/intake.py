# SPDX-License-Identifier: Apache-2.0
"""The intake of events: read, decide, append, for alarms and for replays.

The reads take no locks, and no other transaction locks the row that is appended, so none can delay
an alarm.  Concurrent requests share one transaction for all three steps.  A decision that needs an
expression or keystone, and a wrong secret, are dealt with in the thread of the request, between two
transactions.  The decision engine does the rest.
"""

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from oslo_config import cfg
from oslo_db.exception import DBDeadlock, DBDuplicateEntry
from oslo_log import log
from sqlalchemy import Connection

from watcher.api.group_commit import MAX_WAIT, GroupCommit
from watcher.api.unrecorded import UnrecordedEvents
from watcher.common.alarms import AlarmMessage, PendingRun, WebhookFacts
from watcher.common.errors import NotFound
from watcher.common.states import Decision
from watcher.db import events, webhook_facts
from watcher.db.session import Database, begin_to_write
from watcher.webhooks import admission
from watcher.webhooks.credentials import effective_auth

LOG = log.getLogger(__name__)

_ATTEMPTS: Final = 5
"""Attempts for one event: another request may append the same delivery between the read and the
INSERT."""


@dataclasses.dataclass(frozen=True)
class Delivery:
    """A message that has arrived for an audit."""

    audit_ident: str
    message: AlarmMessage
    received_at: datetime.datetime
    permits_at_once: Callable[[WebhookFacts], bool]
    """True if the sender may post here; False if not, or if keystone has to be asked.  It neither
    waits nor raises."""


@dataclasses.dataclass(frozen=True)
class IntakeResult:
    """The decision about one event, and its row."""

    facts: WebhookFacts
    message: AlarmMessage
    decision: str
    reason: str | None = None
    sentence: str = ""
    event_uuid: str | None = None
    """None if the event has no row, because the rate limit was reached: see ``_decide``."""
    repeated: bool = False
    """Whether the sender had delivered it before."""
    row: Mapping[str, Any] | None = None
    """The row to append; None for a repetition, and for most beyond the rate limit."""
    run: PendingRun | None = None
    """The pending run that covers an event without a row."""

    @property
    def needs_doorbell(self) -> bool:
        """Whether to ring the doorbell.  It has been rung already if an event or a run is
        pending."""
        first = not (self.repeated or self.facts.pending_runs)
        return self.decision == Decision.ACCEPTED and first


@dataclasses.dataclass
class BatchAnswer:
    """What a batch has read about a delivery, and its decision."""

    facts: WebhookFacts | None
    """None if there is no such audit."""
    first_delivery: Any = None
    """The row of the event of which this is a repetition."""
    result: IntakeResult | None = None
    """None until the delivery is decided about."""


class Intake:
    def __init__(
        self,
        conf: cfg.ConfigOpts,
        database: Database,
        unrecorded: UnrecordedEvents,
        max_wait: float = MAX_WAIT,
    ) -> None:
        self._conf, self._database, self._unrecorded = conf, database, unrecorded
        self._receive_batches = GroupCommit(self._receive_batch, max_wait)
        self._append_batches = GroupCommit(self._append, max_wait)

    def receive(self, delivery: Delivery, check: Callable[[WebhookFacts], None]) -> IntakeResult:
        """Decide about a delivery, and commit its event.

        *check* raises if the sender may not post here.  It may ask keystone, so it is called
        between two transactions.  NotFound if there is no such audit.
        """
        checked = False
        for attempts_left in reversed(range(_ATTEMPTS)):
            try:
                answer = self._receive_batches.submit(delivery)
                if answer.facts is None:
                    raise NotFound(f"There is no audit {delivery.audit_ident}.")
                result = answer.result
                if result is None:
                    if not checked:
                        check(answer.facts)
                        checked = True
                    result = _decide(answer.facts, answer.first_delivery, delivery)
                    if result.row is not None:
                        self._append_batches.submit(result)
            except (DBDuplicateEntry, DBDeadlock):
                if not attempts_left:
                    raise
            else:
                self._count(result)
                return result
        raise AssertionError("unreachable")

    def _receive_batch(self, deliveries: Sequence[Delivery]) -> Sequence[BatchAnswer]:
        """Look deliveries up, and append the events of those that are decided about at once.

        Slow ones are only looked up.
        """
        decided = []
        with self._database.connection() as connection:
            answers = self._look_up(connection, deliveries)
            for answer, delivery in zip(answers, deliveries, strict=True):
                if answer.facts is not None and _is_quick(answer.facts, delivery):
                    answer.result = _decide(answer.facts, answer.first_delivery, delivery)
                    if answer.result.row is not None:
                        decided.append(answer.result)
            if decided:
                begin_to_write(connection)
                events.append(connection, _rows(decided))
        if decided:
            _log(decided)
        return answers

    def _look_up(
        self, connection: Connection, deliveries: Sequence[Delivery]
    ) -> Sequence[BatchAnswer]:
        idents = sorted({delivery.audit_ident for delivery in deliveries})
        latest = max(delivery.received_at for delivery in deliveries)
        auth, limit = effective_auth(None, self._conf), self._conf.webhooks.max_recorded_per_minute
        found = webhook_facts.read_all(connection, idents, latest, auth, limit)
        by_ident = dict(zip(idents, found, strict=True))
        pairs = [(by_ident[delivery.audit_ident], delivery.message) for delivery in deliveries]
        keys = [
            None if facts is None else events.delivery_key(facts, message)
            for facts, message in pairs
        ]
        first = events.known(connection, set(filter(None, keys)))
        return [
            BatchAnswer(facts, key and first.get(key))
            for (facts, _), key in zip(pairs, keys, strict=True)
        ]

    def _append(self, results: Sequence[IntakeResult]) -> Sequence[None]:
        with self._database.connection(writes=True) as connection:
            events.append(connection, _rows(results))
        _log(results)
        return [None] * len(results)

    def _count(self, result: IntakeResult) -> None:
        """Count what has no row of its own: a repetition in the row of the first delivery."""
        if result.repeated:
            self._unrecorded.repeat(result.event_uuid or "")
            LOG.info("%s", _line(result))
        elif result.row is None:
            # Unrecorded events are logged by their number, once a second (UnrecordedEvents).
            self._unrecorded.count(
                result.facts.audit_uuid,
                result.message.source,
                result.decision,
                result.reason,
                result.run,
            )


def _rows(results: Sequence[IntakeResult]) -> list[Mapping[str, Any]]:
    return [each.row for each in results if each.row is not None]


def _log(results: Sequence[IntakeResult]) -> None:
    """One line for the events of a transaction: to write a line takes longer than to decide.

    The line has no context, because a context belongs to one request.
    """
    LOG.info("%s", "; ".join(map(_line, results)), context={})


def _line(result: IntakeResult) -> str:
    reason = f" ({result.reason})" if result.reason else ""
    again = ", delivered again" if result.repeated else ""
    return (
        f"Event {result.event_uuid}: {result.decision}{reason}{again}, "
        f"audit {result.facts.audit_uuid}, source {result.message.source}, "
        f"request {result.message.request_id!r}"
    )


def _is_quick(facts: WebhookFacts, delivery: Delivery) -> bool:
    """Whether a decision takes no time: no expression, and no other service to ask."""
    return not (facts.filter or facts.mapping) and delivery.permits_at_once(facts)


def _decide(facts: WebhookFacts, repeats: Any, delivery: Delivery) -> IntakeResult:
    """The decision about a delivery; *repeats* is the event that it repeats, if any.

    When the rate limit is reached, only an ACCEPTED event that no pending run covers gets a row.
    """
    message = delivery.message
    if repeats is not None:
        decision, reason = repeats.decision, repeats.decision_reason
        return IntakeResult(facts, message, decision, reason, "", repeats.uuid, repeated=True)
    verdict = admission.decide(facts, message, delivery.received_at)
    decision, reason, parameters = verdict.decision, verdict.reason, verdict.parameters
    if facts.limited_until is not None:
        if decision != Decision.ACCEPTED:
            return IntakeResult(facts, message, decision, reason, verdict.sentence)
        run = _covering(facts, parameters)
        if run is not None:
            return IntakeResult(facts, message, Decision.COALESCED, run=run)
    row = events.row(facts, message, delivery.received_at, decision, reason, parameters)
    return IntakeResult(facts, message, decision, reason, verdict.sentence, row["uuid"], row=row)


def _covering(facts: WebhookFacts, parameters: Mapping[str, Any]) -> PendingRun | None:
    """The pending run that an event with these parameters joins."""
    runs = (run for run in facts.pending_runs if events.same(run.parameters, parameters))
    return next(runs, None)
