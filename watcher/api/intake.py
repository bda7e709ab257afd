# SPDX-License-Identifier: Apache-2.0
"""The intake of events: read, decide, append, for alarms and for replays.

The read is one statement without locks, and no other transaction locks the row that is appended,
so none can delay an alarm.  The decision engine does the rest.
"""

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from oslo_config import cfg
from oslo_db.exception import DBDeadlock, DBDuplicateEntry

from watcher.api.group_commit import MAX_WAIT, GroupCommit
from watcher.api.unrecorded import UnrecordedEvents
from watcher.common.alarms import AlarmMessage, PendingRun, WebhookFacts
from watcher.common.errors import NotFound
from watcher.common.states import Decision
from watcher.db import events, webhook_facts
from watcher.db.session import Database
from watcher.webhooks import admission
from watcher.webhooks.admission import Verdict
from watcher.webhooks.credentials import effective_auth

_ATTEMPTS: Final = 5
"""Attempts for one event: another request may append the same delivery between the read and the
INSERT."""


@dataclasses.dataclass(frozen=True)
class Delivery:
    """A message that has arrived for an audit."""

    audit_ident: str
    message: AlarmMessage
    received_at: datetime.datetime


@dataclasses.dataclass(frozen=True)
class Lookup:
    """What the database has about a delivery: its audit, and the row if it is a repetition."""

    facts: WebhookFacts
    first: Any = None


@dataclasses.dataclass(frozen=True)
class IntakeResult:
    """What was decided about one event, and its row."""

    facts: WebhookFacts
    decision: str
    reason: str | None = None
    sentence: str = ""
    event_uuid: str | None = None
    """None if the event has no row, because the rate limit was reached."""
    repeated: bool = False
    """Whether the sender had delivered it before."""

    @property
    def needs_doorbell(self) -> bool:
        """Whether to ring the doorbell.  It has been rung already if an event or a run is
        pending."""
        first = not (self.repeated or self.facts.pending_runs)
        return self.decision == Decision.ACCEPTED and first


class Intake:
    def __init__(
        self,
        conf: cfg.ConfigOpts,
        database: Database,
        unrecorded: UnrecordedEvents,
        max_wait: float = MAX_WAIT,
    ) -> None:
        self._conf, self._database, self._unrecorded = conf, database, unrecorded
        self._lookups = GroupCommit(self._look_up, max_wait)
        self._commits = GroupCommit(self._append, max_wait)

    def receive(self, delivery: Delivery, check: Callable[[WebhookFacts], None]) -> IntakeResult:
        """Decide about a delivery, and commit its event.

        *check* raises if the sender may not post here.  NotFound if there is no such audit.
        """
        checked = False
        for attempts_left in reversed(range(_ATTEMPTS)):
            lookup = self._lookups.submit(delivery)
            if lookup is None:
                raise NotFound(f"There is no audit {delivery.audit_ident}.")
            facts, message = lookup.facts, delivery.message
            if not checked:
                check(facts)
                checked = True
            if lookup.first is not None:
                return self._count_repetition(lookup)
            verdict = admission.decide(facts, message, delivery.received_at)
            outcome = self._without_row(facts, message, verdict)
            if outcome is not None:
                return outcome
            decided = (verdict.decision, verdict.reason, verdict.parameters)
            row = events.row(facts, message, delivery.received_at, *decided)
            try:
                self._commits.submit(row)
            except (DBDuplicateEntry, DBDeadlock):
                if not attempts_left:
                    raise
            else:
                return _outcome(facts, verdict, row["uuid"])
        raise AssertionError("unreachable")

    def _look_up(self, deliveries: Sequence[Delivery]) -> Sequence[Lookup | None]:
        """The lookup of each delivery; None where there is no such audit."""
        idents = sorted({delivery.audit_ident for delivery in deliveries})
        latest = max(delivery.received_at for delivery in deliveries)
        auth, limit = effective_auth(None, self._conf), self._conf.webhooks.max_recorded_per_minute
        with self._database.connection() as connection:
            found = webhook_facts.read_all(connection, idents, latest, auth, limit)
            by_ident = dict(zip(idents, found, strict=True))
            pairs = [(by_ident[delivery.audit_ident], delivery.message) for delivery in deliveries]
            keys = [
                None if facts is None else events.delivery_key(facts, message)
                for facts, message in pairs
            ]
            first = events.known(connection, set(filter(None, keys)))
        return [
            None if facts is None else Lookup(facts, key and first.get(key))
            for (facts, _), key in zip(pairs, keys, strict=True)
        ]

    def _append(self, rows: Sequence[Mapping[str, Any]]) -> Sequence[None]:
        with self._database.connection(writes=True) as connection:
            events.append(connection, rows)
        return [None] * len(rows)

    def _count_repetition(self, lookup: Lookup) -> IntakeResult:
        """Count a repetition in the row of the first delivery; it is no new event."""
        facts, first = lookup.facts, lookup.first
        with self._database.connection(writes=True) as connection:
            events.repeat(connection, first.uuid)
        return IntakeResult(
            facts, first.decision, first.decision_reason, "", first.uuid, repeated=True
        )

    def _without_row(
        self, facts: WebhookFacts, message: AlarmMessage, verdict: Verdict
    ) -> IntakeResult | None:
        """The outcome for an event that is counted without a row; None if it gets a row."""
        if facts.full_until is None:
            return None
        run = None
        if verdict.decision == Decision.ACCEPTED:
            run = _covering(facts, verdict.parameters)
            if run is None:
                return None
            verdict = dataclasses.replace(verdict, decision=Decision.COALESCED)
        outcome = _outcome(facts, verdict, None)
        self._unrecorded.count(
            facts.audit_uuid, message.source, outcome.decision, outcome.reason, run
        )
        return outcome


def _covering(facts: WebhookFacts, parameters: Mapping[str, Any]) -> PendingRun | None:
    """The pending run that an event with these parameters joins."""
    runs = (run for run in facts.pending_runs if events.same(run.parameters, parameters))
    return next(runs, None)


def _outcome(facts: WebhookFacts, verdict: Verdict, uuid: str | None) -> IntakeResult:
    return IntakeResult(facts, verdict.decision, verdict.reason, verdict.sentence, uuid)
