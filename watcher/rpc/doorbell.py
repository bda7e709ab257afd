# SPDX-License-Identifier: Apache-2.0
"""Doorbells: casts that nobody waits for and that may be lost.

What a service has to do stands in the database.  A doorbell only saves it the
time until it would have looked by itself, so ringing never blocks and never
fails, whatever the state of the broker.
"""

import threading
from collections.abc import Callable
from typing import Any, Protocol

import oslo_messaging
from oslo_config import cfg
from oslo_log import log

from watcher.common.jitter import jittered

LOG = log.getLogger(__name__)

VERSION = "1.0"
_BACKLOG = 1000
_PAUSES = (0.1, 0.5, 1.0, 2.0, 5.0)


class Doorbell(Protocol):
    """Tells a service that the row *uuid* wants it."""

    def ring(self, uuid: str) -> None: ...


class Wake:
    """The doorbell of a dispatcher in the same process."""

    def __init__(self) -> None:
        self._wake: Callable[[], None] = _nobody

    def connect(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def ring(self, uuid: str) -> None:
        self._wake()


class Cast:
    """A doorbell over the message bus.

    A thread of its own does the sending.  While the broker is away it keeps the
    last UUIDs (each once) and tries again; more than that may go, because the
    poll of the other side finds the rows.
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
        self._thread: threading.Thread | None = None

    def ring(self, uuid: str) -> None:
        with self._changed:
            if len(self._pending) >= _BACKLOG:
                self._pending.pop(next(iter(self._pending)))
            self._pending[uuid] = None
            if self._thread is None:
                # Not in the constructor: a thread does not survive the fork of a
                # server that loads the application first.
                self._thread = threading.Thread(
                    target=self._send_all, name=f"doorbell-{self._method}", daemon=True
                )
                self._thread.start()
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
                self._stopped.wait(jittered(_PAUSES[min(failures, len(_PAUSES)) - 1]))

    def _send(self, uuids: list[str], failures: int) -> bool:
        try:
            for uuid in uuids:
                self._client.cast({}, self._method, **{self._argument: uuid})
                with self._changed:
                    self._pending.pop(uuid, None)
        except Exception as error:  # whatever a driver raises, the sender lives on
            if not failures:
                LOG.warning("Doorbell %s cannot reach the broker: %s", self._method, error)
            return False
        if failures:
            LOG.info("Doorbell %s reaches the broker again", self._method)
        return True


def decision_engine(conf: cfg.ConfigOpts, transport: oslo_messaging.Transport) -> Cast:
    """Rung with the UUID of an audit that has a run to execute."""
    topic = conf.watcher_decision_engine.conductor_topic
    return Cast(transport, topic, "trigger_audit", "audit_uuid")


def applier(conf: cfg.ConfigOpts, transport: oslo_messaging.Transport) -> Cast:
    """Rung with the UUID of an action plan that is PENDING."""
    topic = conf.watcher_applier.conductor_topic
    return Cast(transport, topic, "launch_action_plan", "action_plan_uuid")


def _nobody() -> None:
    """Nobody lives here yet; the poll will find the row."""


class Starting:
    """Starts a server of messages in a thread, and keeps at it until the broker is there.

    A broker that is away would otherwise hold up the start of the whole service.  *trouble*
    is what is logged while it is.
    """

    def __init__(self, trouble: str, make: Callable[[], Any]) -> None:
        self._trouble, self._make = trouble, make
        self._server: Any = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._begin, name="rpc", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._server is not None:
            self._server.stop()

    def _begin(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            # A new one each time: one that failed to start takes itself for started.
            server = self._make()
            try:
                server.start()
            except Exception as error:  # whatever a driver raises, it is to work later
                if not failures:
                    LOG.warning("%s yet: %s", self._trouble, error)
                failures += 1
                self._stopped.wait(jittered(_PAUSES[min(failures, len(_PAUSES)) - 1]))
            else:
                if failures:
                    LOG.info("%s: that is over", self._trouble)
                self._server = server
                return


class Server(Starting):
    """Answers the casts and calls of one topic with the methods of *endpoint*."""

    def __init__(
        self, transport: oslo_messaging.Transport, topic: str, host: str, endpoint: Any
    ) -> None:
        target = oslo_messaging.Target(topic=topic, server=host, version=VERSION)
        super().__init__(
            f"Nobody can ring for {topic}",
            lambda: oslo_messaging.get_rpc_server(
                transport, target, [endpoint], executor="threading"
            ),
        )
