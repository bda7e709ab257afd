# SPDX-License-Identifier: Apache-2.0
"""Notifications about services that fail or come back, on any node."""

import datetime

from oslo_config import cfg

from watcher.common.states import ServiceState
from watcher.db.models import Service
from watcher.db.services import live, state
from watcher.db.session import Database
from watcher.notifications.notifications import Notifications


class ServiceMonitor:
    """Each service watches all services of its name.

    All of them check, but only one sends: the first by host name of those that were ACTIVE at the
    last two checks.  So the sender has not just failed, and has not just restarted without knowing
    the earlier states.
    """

    def __init__(
        self, conf: cfg.ConfigOpts, database: Database, name: str, notifications: Notifications
    ) -> None:
        self._conf, self._database = conf, database
        self._name, self._notifications = name, notifications
        self._known: dict[str, str] = {}

    def look(self, now: datetime.datetime) -> None:
        """Check the services; called after each heartbeat."""
        if not self._notifications.enabled:
            return
        with self._database.reader() as session:
            services = live(session, Service.name == self._name)
        known, self._known = self._known, {row.host: self._state(row, now) for row in services}
        steady = [
            host
            for host, present in self._known.items()
            if present == known.get(host) == ServiceState.ACTIVE
        ]
        if min(steady, default=None) != self._conf.host:
            return
        for row in services:
            before, present = known.get(row.host), self._known[row.host]
            if before is not None and before != present:
                self._notifications.service_updated(row, before, present)

    def _state(self, service: Service, now: datetime.datetime) -> str:
        down_time = datetime.timedelta(seconds=self._conf.service_down_time)
        return state(service, down_time, now)
