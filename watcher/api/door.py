# SPDX-License-Identifier: Apache-2.0
"""The database's part of what webhooks do, for all requests at once that come at once.

A transaction costs about the same for one alarm and for ten.  So alarms that arrive while
others are being looked at, or written, share the next look and the next commit.
"""

import dataclasses
import datetime
from collections.abc import Sequence

from oslo_config import cfg
from oslo_db.exception import DBConnectionError

from watcher.api.together import Together
from watcher.common.errors import NotFound
from watcher.common.event import Event
from watcher.common.webhook import Facts
from watcher.db import batches, webhooks
from watcher.db.batches import Admitted
from watcher.db.events import Parameters, Recorded
from watcher.db.session import Database
from watcher.webhooks.credentials import effective_auth


@dataclasses.dataclass(frozen=True)
class Knock:
    """Somebody at the door of an audit."""

    ident: str
    now: datetime.datetime


class Door:
    def __init__(self, conf: cfg.ConfigOpts, database: Database) -> None:
        self._conf, self._database = conf, database
        self._looks = Together(self._look, fatal=DBConnectionError)
        self._writes = Together(self._write, fatal=DBConnectionError)

    def facts(self, ident: str, now: datetime.datetime) -> Facts:
        """What is known of the audit at this moment, or later.  NotFound."""
        return self._looks.ask(Knock(ident, now))

    def accept(
        self, facts: Facts, event: Event, parameters: Parameters, now: datetime.datetime
    ) -> Recorded:
        """Commit an event and its run."""
        return self._writes.ask(Admitted(facts, event, parameters, now))

    def _look(self, knocks: Sequence[Knock]) -> Sequence[Facts | Exception]:
        idents = sorted({knock.ident for knock in knocks})
        latest = max(knock.now for knock in knocks)
        auth, limit = effective_auth(None, self._conf), self._conf.webhooks.max_recorded_per_minute
        with self._database.reader() as session:
            found = webhooks.facts_of_all(session, idents, latest, auth, limit)
        by_ident = dict(zip(idents, found, strict=True))
        return [
            by_ident[knock.ident] or NotFound(f"There is no audit {knock.ident}.")
            for knock in knocks
        ]

    def _write(self, admitted: Sequence[Admitted]) -> Sequence[Recorded]:
        # In one order, so that no two processes wait for each other.
        order = sorted(range(len(admitted)), key=lambda place: admitted[place].facts.audit_id)
        ordered = [admitted[place] for place in order]
        recorded = self._database.write(lambda session: batches.accept(session, ordered))
        by_place = dict(zip(order, recorded, strict=True))
        return [by_place[place] for place in range(len(admitted))]
