# SPDX-License-Identifier: Apache-2.0
"""The database's part of what webhooks do, for all requests at once that come at once.

A transaction costs about the same for one alarm and for ten.  So alarms that arrive while
others are being looked at, or written, share the next look and the next commit.
"""

import dataclasses
import datetime
from collections.abc import Callable, Collection, Sequence

from oslo_config import cfg
from oslo_db.exception import DBConnectionError
from sqlalchemy import Connection

from watcher.api.together import Together
from watcher.common.errors import NotFound
from watcher.common.event import Event
from watcher.common.states import Decision
from watcher.common.webhook import Facts
from watcher.db import batches, events, webhooks
from watcher.db.batches import Admitted, Delivery
from watcher.db.events import Recorded
from watcher.db.session import Database
from watcher.webhooks.admission import Verdict
from watcher.webhooks.credentials import effective_auth


@dataclasses.dataclass(frozen=True)
class Knock:
    """Somebody at the door of an audit."""

    ident: str
    event: Event
    now: datetime.datetime
    judge: Callable[[Facts], Verdict | None]
    """Is asked in another thread, where all wait for it: None for what would take long."""


@dataclasses.dataclass(frozen=True)
class Answered:
    """What is known of the audit since the knock, what that means, and what is committed."""

    facts: Facts
    delivered: bool
    """Whether the event is known from before."""
    verdict: Verdict | None = None
    recorded: Recorded | None = None


class Door:
    def __init__(self, conf: cfg.ConfigOpts, database: Database) -> None:
        self._conf, self._database = conf, database
        self._knocks = Together(self._answer, fatal=DBConnectionError)
        self._late = Together(self._write, fatal=DBConnectionError)

    def knock(self, knock: Knock) -> Answered:
        """Look, judge, and commit at once what is to be let in and to be written.  NotFound."""
        return self._knocks.ask(knock)

    def accept(self, admitted: Admitted) -> Recorded:
        """Commit an event, which was judged after the knock, and its run."""
        return self._late.ask(admitted)

    def _answer(self, knocks: Sequence[Knock]) -> Sequence[Answered | Exception]:
        return self._database.write_plainly(lambda connection: self._let_in(connection, knocks))

    def _let_in(
        self, connection: Connection, knocks: Sequence[Knock]
    ) -> Sequence[Answered | Exception]:
        looked, repeated = self._look(connection, knocks)
        seen = [
            answer and dataclasses.replace(answer, verdict=knock.judge(answer.facts))
            for knock, answer in zip(knocks, looked, strict=True)
        ]
        admitted = {
            place: wanted
            for place, (knock, answer) in enumerate(zip(knocks, seen, strict=True))
            if answer and (wanted := _admitted(knock, answer))
        }
        # In one order, so that no two processes wait for each other.
        places = sorted(admitted, key=lambda place: admitted[place].facts.audit_id)
        rows = batches.accept(connection, [admitted[place] for place in places], repeated)
        recorded = dict(zip(places, rows, strict=True))
        return [
            dataclasses.replace(answer, recorded=recorded.get(place))
            if answer
            else NotFound(f"There is no audit {knock.ident}.")
            for place, (knock, answer) in enumerate(zip(knocks, seen, strict=True))
        ]

    def _look(
        self, connection: Connection, knocks: Sequence[Knock]
    ) -> tuple[Sequence[Answered | None], Collection[Delivery]]:
        """What each is about, and the deliveries that are known."""
        idents = sorted({knock.ident for knock in knocks})
        latest = max(knock.now for knock in knocks)
        auth, limit = effective_auth(None, self._conf), self._conf.webhooks.max_recorded_per_minute
        found = webhooks.facts_of_all(connection, idents, latest, auth, limit)
        by_ident = dict(zip(idents, found, strict=True))
        facts = [by_ident[knock.ident] for knock in knocks]
        deliveries = [
            None if each is None else batches.delivery(each, knock.event)
            for knock, each in zip(knocks, facts, strict=True)
        ]
        repeated = batches.known(connection, set(filter(None, deliveries)))
        looked = [
            None if each is None else Answered(each, delivery in repeated)
            for each, delivery in zip(facts, deliveries, strict=True)
        ]
        return looked, repeated

    def _write(self, admitted: Sequence[Admitted]) -> Sequence[Recorded]:
        order = sorted(range(len(admitted)), key=lambda place: admitted[place].facts.audit_id)
        recorded = self._database.write(
            lambda session: {place: admitted[place].accept(session) for place in order}
        )
        return [recorded[place] for place in range(len(admitted))]


def _admitted(knock: Knock, answer: Answered) -> Admitted | None:
    """What there is to write about an event that was let in."""
    facts, verdict = answer.facts, answer.verdict
    if verdict is None or verdict.decision != Decision.QUEUED:
        return None
    if events.covered(facts, verdict.parameters) and not answer.delivered:
        return None
    return Admitted(facts, knock.event, verdict.parameters, knock.now)
