# SPDX-License-Identifier: Apache-2.0
"""Doorbells: casts without an answer, which may be lost.

The work of a service is in the database.  A doorbell makes it look there at once, and not only at
its next poll.  So ``ring`` never blocks and never fails, whatever the state of the broker.
"""

import threading
from collections.abc import Callable
from typing import Protocol

import oslo_messaging
from oslo_config import cfg
from oslo_log import log

from watcher.common.periodic import LateThread
from watcher.rpc.message_server import VERSION, pause

LOG = log.getLogger(__name__)

_BACKLOG = 1000


class Doorbell(Protocol):
    """Makes a service look at the row *uuid*."""

    def ring(self, uuid: str) -> None: ...


class LocalDoorbell:
    """The doorbell of a dispatcher in the same process; without one, its poll finds the row."""

    def __init__(self) -> None:
        self._wake: Callable[[], None] | None = None

    def connect(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def ring(self, uuid: str) -> None:
        if self._wake is not None:
            self._wake()


class RpcDoorbell:
    """A doorbell over the message bus.

    A thread of its own sends.  While the broker is unreachable it keeps the last 1000 UUIDs, each
    once, and sends them later.  Older ones are dropped: the poll of the service finds their rows.
    """

    def __init__(
        self, transport: oslo_messaging.Transport, topic: str, method: str, argument: str
    ) -> None:
        self._client = oslo_messaging.get_rpc_client(
            transport, oslo_messaging.Target(topic=topic, version=VERSION), retry=0
        )
        self._method, self._argument = method, argument
        self._pending: dict[str, None] = {}
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._thread = LateThread(f"doorbell-{method}", self._send_all)

    def ring(self, uuid: str) -> None:
        with self._changed:
            if len(self._pending) >= _BACKLOG:
                self._pending.pop(next(iter(self._pending)))
            self._pending[uuid] = None
            self._thread.ensure()
            self._changed.notify()

    def stop(self) -> None:
        self._stopped.set()
        with self._changed:
            self._changed.notify()

    def _send_all(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            with self._changed:
                while not self._pending and not self._stopped.is_set():
                    self._changed.wait()
                pending = list(self._pending)
            failures = 0 if self._send(pending, failures) else failures + 1
            if failures:
                self._stopped.wait(pause(failures))

    def _send(self, uuids: list[str], failures: int) -> bool:
        try:
            for uuid in uuids:
                self._client.cast({}, self._method, **{self._argument: uuid})
                with self._changed:
                    self._pending.pop(uuid, None)
        except Exception as error:  # drivers raise errors of their own; the thread must not end
            if not failures:
                LOG.warning("Doorbell %s cannot reach the broker: %s", self._method, error)
            return False
        if failures:
            LOG.info("Doorbell %s reaches the broker again", self._method)
        return True


def decision_engine(conf: cfg.ConfigOpts, transport: oslo_messaging.Transport) -> RpcDoorbell:
    """Rung with the UUID of an audit that has an event in the inbox or a run in the queue, or whose
    plan has ended."""
    topic = conf.watcher_decision_engine.conductor_topic
    return RpcDoorbell(transport, topic, "trigger_audit", "audit_uuid")


def applier(conf: cfg.ConfigOpts, transport: oslo_messaging.Transport) -> RpcDoorbell:
    """Rung with the UUID of an action plan that is PENDING or CANCELLING."""
    topic = conf.watcher_applier.conductor_topic
    return RpcDoorbell(transport, topic, "launch_action_plan", "action_plan_uuid")
