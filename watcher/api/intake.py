# SPDX-License-Identifier: Apache-2.0
"""The intake of events: look, decide, append.  One route for each of them.

A look is one statement that locks nothing, and an event is one row that nobody else knows, so
no other transaction can make an alarm wait.  What becomes of it is for the decision engine.
"""

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from oslo_config import cfg
from oslo_db.exception import DBDeadlock, DBDuplicateEntry

from watcher.api.group_commit import GroupCommit
from watcher.api.unrecorded import UnrecordedEvents
from watcher.common.errors import NotFound
from watcher.common.event import Event
from watcher.common.states import Decision
from watcher.common.webhook import Facts
from watcher.db import events, webhooks
from watcher.db.session import Database
from watcher.webhooks import admission
from watcher.webhooks.admission import Verdict
from watcher.webhooks.credentials import effective_auth

_ATTEMPTS: Final = 5
"""Looks for one event: another one with the same delivery may be appended in between."""


@dataclasses.dataclass(frozen=True)
class Message:
    """An event on its way to an audit."""

    ident: str
    event: Event
    now: datetime.datetime


@dataclasses.dataclass(frozen=True)
class Look:
    """What the database knows of a message's audit, and of its first delivery if there was one."""

    facts: Facts
    first: Any = None


@dataclasses.dataclass(frozen=True)
class Received:
    """What was decided about one event, and where that stands."""

    facts: Facts
    decision: str
    reason: str | None = None
    sentence: str = ""
    event_uuid: str | None = None
    """None if there is no row: the event was one too many in its minute."""
    repeated: bool = False
    """The sender had delivered it before."""

    @property
    def news(self) -> bool:
        """Whether an engine has something to do that it was not told of."""
        first = not (self.repeated or self.facts.hints)
        return self.decision == Decision.ACCEPTED and first


class Intake:
    def __init__(
        self, conf: cfg.ConfigOpts, database: Database, unrecorded: UnrecordedEvents
    ) -> None:
        self._conf, self._database, self._unrecorded = conf, database, unrecorded
        self._looks = GroupCommit(self._look)
        self._commits = GroupCommit(self._append)

    def receive(self, message: Message, check: Callable[[Facts], None]) -> Received:
        """Let *check* refuse the sender, decide, and commit what is to be written.  NotFound."""
        checked = False
        for attempts_left in reversed(range(_ATTEMPTS)):
            look = self._looks.submit(message)
            if look is None:
                raise NotFound(f"There is no audit {message.ident}.")
            if not checked:
                check(look.facts)
                checked = True
            if look.first is not None:
                return self._repeat(look)
            verdict = admission.decide(look.facts, message.event, message.now)
            received = self._unwritten(look.facts, message.event, verdict)
            if received is not None:
                return received
            row = events.row(
                look.facts,
                message.event,
                message.now,
                verdict.decision,
                verdict.reason,
                verdict.parameters,
            )
            try:
                self._commits.submit(row)
            except (DBDuplicateEntry, DBDeadlock):
                if not attempts_left:
                    raise
            else:
                return _received(look.facts, verdict, row["uuid"])
        raise AssertionError("unreachable")

    def _look(self, messages: Sequence[Message]) -> Sequence[Look | None]:
        """What each is about; None where there is no such audit."""
        idents = sorted({message.ident for message in messages})
        latest = max(message.now for message in messages)
        auth, limit = effective_auth(None, self._conf), self._conf.webhooks.max_recorded_per_minute
        with self._database.connection() as connection:
            found = webhooks.facts_of_all(connection, idents, latest, auth, limit)
            by_ident = dict(zip(idents, found, strict=True))
            pairs = [(by_ident[message.ident], message.event) for message in messages]
            keys = [
                None if facts is None else events.delivery(facts, event) for facts, event in pairs
            ]
            first = events.known(connection, set(filter(None, keys)))
        return [
            None if facts is None else Look(facts, key and first.get(key))
            for (facts, _), key in zip(pairs, keys, strict=True)
        ]

    def _append(self, rows: Sequence[Mapping[str, Any]]) -> Sequence[None]:
        with self._database.connection(writes=True) as connection:
            events.append(connection, rows)
        return [None] * len(rows)

    def _repeat(self, look: Look) -> Received:
        """Count a delivery on its first event, apart from those that are new."""
        first = look.first
        with self._database.connection(writes=True) as connection:
            events.repeat(connection, first.uuid)
        return Received(
            look.facts, first.decision, first.decision_reason, "", first.uuid, repeated=True
        )

    def _unwritten(self, facts: Facts, event: Event, verdict: Verdict) -> Received | None:
        """What becomes of an event that leaves no row but a count; None if it is to be written."""
        if facts.full_until is None:
            return None
        hint = None
        if verdict.decision == Decision.ACCEPTED:
            hint = next(
                (h for h in facts.hints if events.same(h.parameters, verdict.parameters)), None
            )
            if hint is None:
                return None
            verdict = dataclasses.replace(verdict, decision=Decision.COALESCED)
        received = _received(facts, verdict, None)
        self._unrecorded.count(
            facts.audit_uuid, event.source, received.decision, received.reason, hint
        )
        return received


def _received(facts: Facts, verdict: Verdict, uuid: str | None) -> Received:
    return Received(facts, verdict.decision, verdict.reason, verdict.sentence, uuid)
