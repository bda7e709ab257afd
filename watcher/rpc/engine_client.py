# SPDX-License-Identifier: Apache-2.0
"""Calls to the decision engine whose answer the API waits for."""

import functools
import threading
from concurrent import futures
from typing import Any, Final

import oslo_messaging
from oslo_config import cfg

from watcher.common.errors import Unanswered, Unavailable, WatcherError
from watcher.rpc.message_server import VERSION

_CONNECT_SECONDS: Final = 5
"""How much longer a call may take than the wait for its answer."""


class EngineClient:
    """Calls over the message bus.

    Unanswered if no decision engine answers in time, Unavailable if none can be reached.

    A call without a broker lasts until there is one, and no option of oslo.messaging limits that.
    So it has a thread of its own, in which it is given up, and there are as many of these as a
    quarter of the threads of the API: the others go on answering.
    """

    def __init__(self, conf: cfg.ConfigOpts, transport: oslo_messaging.Transport) -> None:
        topic = conf.watcher_decision_engine.conductor_topic
        self._client = oslo_messaging.get_rpc_client(
            transport, oslo_messaging.Target(topic=topic, version=VERSION), retry=0
        )
        self._slots = threading.BoundedSemaphore(max(1, conf.api.threads // 4))
        self._seconds = conf.rpc_response_timeout + _CONNECT_SECONDS

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
        if not self._slots.acquire(blocking=False):
            raise Unavailable("Too many requests wait for a decision engine; try again later.")
        answer: futures.Future[Any] = futures.Future()

        def call() -> None:
            try:
                end = functools.partial(answer.set_result, client.call({}, method, **arguments))
            except Exception as error:
                end = functools.partial(answer.set_exception, error)
            self._slots.release()  # before the end, because the next call may follow at once
            end()

        threading.Thread(target=call, name="engine-call", daemon=True).start()
        try:
            return answer.result(self._seconds)
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
