# SPDX-License-Identifier: Apache-2.0
"""Notifications that have not been sent to the broker yet."""

import dataclasses
import threading
from collections import deque
from typing import Any

import oslo_messaging
from oslo_log import log

from watcher.common.periodic import LateThread

LOG = log.getLogger(__name__)

LIMIT = 10_000
"""Messages kept for a broker that does not answer: a few KiB each."""


@dataclasses.dataclass(frozen=True, slots=True)
class Notification:
    priority: str
    event_type: str
    payload: dict[str, Any]


class Outbox:
    """Sends messages in their order, in a thread of its own, so that no other waits for the broker.

    Beyond *limit* messages the oldest are dropped.
    """

    def __init__(self, notifier: oslo_messaging.Notifier, limit: int = LIMIT) -> None:
        self._notifier = notifier
        self._messages: deque[Notification] = deque(maxlen=limit)
        self._changed = threading.Condition()
        self._dropped = 0
        self._sending = self._stopping = False
        self._thread = LateThread("notifications", self._send_all)

    def put(self, message: Notification) -> None:
        with self._changed:
            if len(self._messages) == self._messages.maxlen:
                if not self._dropped:
                    LOG.warning("Notifications wait for the broker; the oldest are dropped now")
                self._dropped += 1
            self._messages.append(message)
            self._thread.ensure()
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until all is sent, but not longer than *seconds*.  False if some is not."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._messages and not self._sending, seconds)

    def stop(self, seconds: float) -> None:
        """Send what can be sent within *seconds*."""
        if not self.flush(seconds):
            LOG.warning("%d notifications were not sent", len(self._messages))
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def _send_all(self) -> None:
        while (message := self._next()) is not None:
            try:
                send = getattr(self._notifier, message.priority)
                send({}, message.event_type, message.payload)
            except Exception:  # drivers raise errors of their own; the thread must not end
                LOG.exception("Notification %s is lost", message.event_type)

    def _next(self) -> Notification | None:
        """Wait for a message.  Returns the oldest one; None when the thread has to end."""
        with self._changed:
            self._sending = False
            if not self._messages:
                if self._dropped:
                    LOG.warning("%d notifications were dropped", self._dropped)
                self._dropped = 0
                self._changed.notify_all()
            self._changed.wait_for(lambda: self._messages or self._stopping)
            if self._stopping:
                return None
            self._sending = True
            return self._messages.popleft()
