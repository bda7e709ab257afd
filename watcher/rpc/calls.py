# SPDX-License-Identifier: Apache-2.0
"""Questions: calls to the decision engine whose answer somebody waits for."""

from typing import Any, Protocol

import oslo_messaging
from oslo_config import cfg

from watcher.common.errors import Unanswered, Unavailable, WatcherError
from watcher.rpc.doorbell import VERSION


class Questions(Protocol):
    """What may be asked of a decision engine."""

    def strategy_info(self, strategy_name: str) -> list[dict[str, Any]]:
        """What a strategy needs and whether it is there, a requirement an item.

        Unanswered when no decision engine answers in time, Unavailable when none can be asked.
        """

    def data_model(self, data_model_type: str, audit: str | None) -> list[dict[str, Any]]:
        """The rows of a data model, within the scope of the *audit* with that uuid, if given.

        As ``strategy_info``, and Unavailable as well when the engine has no model that is
        complete and fresh.
        """


class Calls:
    """Questions over the message bus."""

    def __init__(self, conf: cfg.ConfigOpts, transport: oslo_messaging.Transport) -> None:
        topic = conf.watcher_decision_engine.conductor_topic
        self._client = oslo_messaging.get_rpc_client(
            transport, oslo_messaging.Target(topic=topic, version=VERSION), retry=0
        )

    def strategy_info(self, strategy_name: str) -> list[dict[str, Any]]:
        answer: list[dict[str, Any]] = self._ask("get_strategy_info", strategy_name=strategy_name)
        return answer

    def data_model(self, data_model_type: str, audit: str | None) -> list[dict[str, Any]]:
        answer: dict[str, list[dict[str, Any]]] = self._ask(
            "get_data_model_info", data_model_type=data_model_type, audit=audit
        )
        return answer["context"]

    def _ask(self, method: str, **arguments: Any) -> Any:
        try:
            return self._client.call({}, method, **arguments)
        except oslo_messaging.MessagingTimeout as error:
            raise Unanswered(
                "The decision engine does not answer now; check that watcher-decision-engine runs."
            ) from error
        except WatcherError as error:
            raise _own(error) from error
        except Exception as error:  # whatever a driver raises, as for a vhost that is not there
            raise Unavailable("The message bus cannot be reached now; try again later.") from error


def _own(remote: WatcherError) -> WatcherError:
    """What the engine raised, without the traceback that the bus has added to its sentence."""
    kind = next(kind for kind in type(remote).__mro__ if kind.__module__ == WatcherError.__module__)
    own: WatcherError = kind(*remote.args)
    return own


class Nobody:
    """For an API that runs without a decision engine to ask."""

    def strategy_info(self, strategy_name: str) -> list[dict[str, Any]]:
        raise Unavailable("This API has no decision engine to ask.")

    def data_model(self, data_model_type: str, audit: str | None) -> list[dict[str, Any]]:
        raise Unavailable("This API has no decision engine to ask.")
