# SPDX-License-Identifier: Apache-2.0
"""Notifications that other services of the cloud send."""

import dataclasses
import datetime
from collections.abc import Callable, Mapping
from typing import Any

import oslo_messaging
from oslo_config import cfg
from oslo_log import log
from oslo_utils import timeutils

from watcher.rpc.message_server import BackgroundStart

LOG = log.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class CloudNotification:
    publisher_id: str
    """Such as ``nova-compute:host-1``."""
    event_type: str
    """Such as ``instance.create.end``."""
    payload: Mapping[str, Any]
    sent: datetime.datetime
    """UTC, by the clock of the publisher."""


class NotificationListener:
    """Calls *receive* with every notification of priority info on the configured topics.

    Other consumers still get their notifications, because the engines of a host read from a queue
    that is named after the host.
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        transport: oslo_messaging.Transport,
        receive: Callable[[CloudNotification], None],
    ) -> None:
        self._conf, self._transport, self._endpoint = conf, transport, NotificationEndpoint(receive)
        self._targets = [
            _target(topic) for topic in conf.watcher_decision_engine.notification_topics
        ]
        self._starting = BackgroundStart("Notifications cannot be received", self._listener)

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


class NotificationEndpoint:
    """The object that oslo.messaging calls: it has a method for each priority."""

    def __init__(self, receive: Callable[[CloudNotification], None]) -> None:
        self._receive = receive

    def info(
        self, context: Any, publisher_id: str, event_type: str, payload: Any, metadata: Any
    ) -> None:
        try:
            sent = timeutils.normalize_time(timeutils.parse_isotime(metadata["timestamp"]))
        except (KeyError, TypeError, ValueError) as error:
            LOG.warning(
                "A notification %s of %s has no valid timestamp: %r",
                event_type,
                publisher_id,
                error,
            )
            return
        self._receive(CloudNotification(publisher_id, event_type, payload, sent))


def _target(topic: str) -> oslo_messaging.Target:
    """The target of ``exchange.topic``, or of a topic in the default exchange."""
    exchange, dot, name = topic.partition(".")
    return oslo_messaging.Target(topic=name if dot else topic, exchange=exchange if dot else None)
