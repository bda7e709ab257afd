# SPDX-License-Identifier: Apache-2.0
"""Calls to the decision engine whose answer the API waits for."""

from typing import Any

import oslo_messaging
from oslo_config import cfg

from watcher.common.errors import Unanswered, Unavailable, WatcherError
from watcher.rpc.message_server import VERSION


class EngineClient:
    """Calls over the message bus.

    Unanswered if no decision engine answers in time, Unavailable if none can be reached.
    """

    def __init__(self, conf: cfg.ConfigOpts, transport: oslo_messaging.Transport) -> None:
        topic = conf.watcher_decision_engine.conductor_topic
        self._client = oslo_messaging.get_rpc_client(
            transport, oslo_messaging.Target(topic=topic, version=VERSION), retry=0
        )

    def strategy_info(self, strategy_name: str) -> list[dict[str, Any]]:
        """The requirements of a strategy and whether each is met."""
        answer: list[dict[str, Any]] = self._call("get_strategy_info", strategy_name=strategy_name)
        return answer

    def data_model(self, data_model_type: str, audit: str | None) -> list[dict[str, Any]]:
        """The rows of a data model, within the scope of the audit with the uuid *audit*, if given.

        Unavailable also if the engine has no model that is complete and fresh.
        """
        found = self._call("get_data_model_info", data_model_type=data_model_type, audit=audit)
        rows: list[dict[str, Any]] = found["context"]
        rest = found.get("rest")
        while rest and len(rows) < rest["rows"]:
            rows += self._call(
                "get_data_model_piece", rest["server"], answer=rest["answer"], begin=len(rows)
            )["context"]
        return rows

    def _call(self, method: str, server: str | None = None, **arguments: Any) -> Any:
        client = self._client.prepare(server=server) if server else self._client
        try:
            return client.call({}, method, **arguments)
        except oslo_messaging.MessagingTimeout as error:
            raise Unanswered(
                "The decision engine does not answer now; check that watcher-decision-engine runs."
            ) from error
        except WatcherError as error:
            raise _without_traceback(error) from error
        except Exception as error:  # drivers raise errors of their own, as for a missing vhost
            raise Unavailable("The message bus cannot be reached now; try again later.") from error


def _without_traceback(remote: WatcherError) -> WatcherError:
    """The error that the engine raised; the bus has added a traceback to its message."""
    kind = next(kind for kind in type(remote).__mro__ if kind.__module__ == WatcherError.__module__)
    own: WatcherError = kind(*remote.args)
    return own
