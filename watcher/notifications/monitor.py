# SPDX-License-Identifier: Apache-2.0
"""Notices when a service fails or comes back, on any node."""

import datetime

from oslo_config import cfg

from watcher.common.states import ServiceState
from watcher.db.models import Service
from watcher.db.services import is_active
from watcher.db.session import Database
from watcher.notifications import rows
from watcher.notifications.notifications import Notifications


class ServiceMonitor:
    """Watches the services of one name, from each of them.

    All of them look, one tells: the first by host name of those that are ACTIVE
    and were so at the last look.  Then whoever just failed, or just came back with
    no memory of having been away, is never the one that everybody relies on.
    """

    def __init__(
        self, conf: cfg.ConfigOpts, database: Database, name: str, notifications: Notifications
    ) -> None:
        self._conf, self._database = conf, database
        self._name, self._notifications = name, notifications
        self._known: dict[str, str] = {}

    def look(self, now: datetime.datetime) -> None:
        """To be called with each heartbeat, after it."""
        if not self._notifications.enabled:
            return
        with self._database.reader() as session:
            services = rows.services(session, self._name)
        known, self._known = self._known, {row.host: self._state(row, now) for row in services}
        steady = [
            host
            for host, state in self._known.items()
            if state == known.get(host) == ServiceState.ACTIVE
        ]
        if min(steady, default=None) != self._conf.host:
            return
        for row in services:
            old_state, state = known.get(row.host), self._known[row.host]
            if old_state is not None and old_state != state:
                self._notifications.service_updated(row, old_state, state)

    def _state(self, service: Service, now: datetime.datetime) -> str:
        down_time = datetime.timedelta(seconds=self._conf.service_down_time)
        return ServiceState.ACTIVE if is_active(service, down_time, now) else ServiceState.FAILED
