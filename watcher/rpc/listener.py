# SPDX-License-Identifier: Apache-2.0
"""Notifications of other services: what they tell the world of their doings."""

import dataclasses
import datetime
from collections.abc import Callable, Mapping
from typing import Any

import oslo_messaging
from oslo_config import cfg
from oslo_log import log
from oslo_utils import timeutils

from watcher.rpc.doorbell import Starting

LOG = log.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Notification:
    """What a service tells."""

    publisher_id: str
    """Such as ``nova-compute:host-1``."""
    event_type: str
    """Such as ``instance.create.end``."""
    payload: Mapping[str, Any]
    sent: datetime.datetime
    """UTC, by the clock of the publisher."""


class Listener:
    """Has *hear* called with every notification of priority info on the configured topics.

    Other consumers keep getting theirs: what is told to the engines of one host goes
    through a queue of its own, which bears the name of the host.
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        transport: oslo_messaging.Transport,
        hear: Callable[[Notification], None],
    ) -> None:
        self._conf, self._transport, self._endpoint = conf, transport, _Endpoint(hear)
        self._targets = [
            _target(topic) for topic in conf.watcher_decision_engine.notification_topics
        ]
        self._starting = Starting("Notifications cannot be heard", self._listener)

    def start(self) -> None:
        if self._targets:
            self._starting.start()

    def stop(self) -> None:
        self._starting.stop()

    def _listener(self) -> Any:
        return oslo_messaging.get_notification_listener(
            self._transport,
            self._targets,
            [self._endpoint],
            executor="threading",
            pool=self._conf.host,
        )


class _Endpoint:
    def __init__(self, hear: Callable[[Notification], None]) -> None:
        self._hear = hear

    def info(
        self, context: Any, publisher_id: str, event_type: str, payload: Any, metadata: Any
    ) -> None:
        try:
            sent = timeutils.normalize_time(timeutils.parse_isotime(metadata["timestamp"]))
        except (KeyError, TypeError, ValueError) as error:
            LOG.warning(
                "A notification %s of %s tells no time: %r", event_type, publisher_id, error
            )
            return
        self._hear(Notification(publisher_id, event_type, payload, sent))


def _target(topic: str) -> oslo_messaging.Target:
    """Of ``exchange.topic``, or of a topic in the default exchange."""
    exchange, dot, name = topic.partition(".")
    return oslo_messaging.Target(topic=name if dot else topic, exchange=exchange if dot else None)
