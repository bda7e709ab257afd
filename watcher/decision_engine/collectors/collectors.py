# SPDX-License-Identifier: Apache-2.0
"""The models of the cloud, kept fresh by one collector each."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

from oslo_config import cfg
from oslo_log import log

from watcher.cloud import Cloud
from watcher.cloud.compute import Migration, Server
from watcher.common import plugins
from watcher.common.errors import NotConfigured, WatcherError
from watcher.common.periodic import Ticker
from watcher.conf.collectors import PERIOD, group
from watcher.rpc.listener import CloudNotification

if TYPE_CHECKING:  # models bring NumPy, which an engine loads when a run wants one
    from watcher.model.baremetal import BaremetalModel
    from watcher.model.compute import ComputeModel
    from watcher.model.storage import StorageModel

LOG = log.getLogger(__name__)

NAMESPACE = "watcher_cluster_data_model_collectors"


class Collector(Protocol):
    """Keeps one kind of model.  A plug-in: made once an engine, used by any thread."""

    def __init__(self, conf: cfg.ConfigOpts, cloud: Cloud) -> None: ...

    def snapshot(self) -> Any:
        """The model, no older than this call, complete and immutable.

        ModelUnavailable, CloudUnavailable, CloudRefused, or NotConfigured for a
        service that the cloud does not have.
        """

    def sync(self) -> Future[Any]:
        """Read everything anew.  Does not wait for the end of it."""

    def hear(self, notification: CloudNotification) -> None:
        """What one of the cloud's services tells.  Asks the cloud nothing.

        LookupError, TypeError or ValueError if it cannot be understood.
        """


class Collectors:
    """Whoever needs a model of the cloud asks here.  Any thread may."""

    def __init__(self, conf: cfg.ConfigOpts, cloud: Cloud) -> None:
        self._conf = conf
        self._collectors = _load(conf, cloud)
        self._cloud = cloud
        self._tickers = [
            Ticker(
                f"{name} model",
                functools.partial(_sync, name, collector),
                functools.partial(self._period, name),
            )
            for name, collector in self._collectors.items()
        ]

    def start(self) -> None:
        """Read every model now and then, from now on, in the background."""
        for ticker in self._tickers:
            ticker.start()

    def stop(self) -> None:
        for ticker in self._tickers:
            ticker.stop()

    def compute(self) -> ComputeModel:
        model: ComputeModel = self._collector("compute").snapshot()
        return model

    def recent_compute(self) -> ComputeModel:
        """The compute model for people to look at; it may lag a little behind ``compute``."""
        collector = self._collector("compute")
        model: ComputeModel = getattr(collector, "recent", collector.snapshot)()
        return model

    def migrations(self, since: datetime.datetime) -> Sequence[Migration]:
        """Those that ended lately, which no model keeps: see ``Compute.migrations``."""
        return self._cloud.compute.migrations(since)

    def has_candidate(self, server: Server, hostname: str) -> bool:
        """Whether a host has room for all that a server needs: see ``Compute.has_candidate``."""
        return self._cloud.compute.has_candidate(server, hostname)

    def storage(self) -> StorageModel:
        model: StorageModel = self._collector("storage").snapshot()
        return model

    def baremetal(self) -> BaremetalModel:
        model: BaremetalModel = self._collector("baremetal").snapshot()
        return model

    def hear(self, notification: CloudNotification) -> None:
        """Tell the collectors.  One that cannot understand it says so and goes on."""
        for name, collector in self._collectors.items():
            try:
                collector.hear(notification)
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                LOG.warning(
                    "A notification %s of %s is not as the %s model expects it: %r",
                    notification.event_type,
                    notification.publisher_id,
                    name,
                    error,
                )

    def _collector(self, name: str) -> Collector:
        if name not in self._collectors:
            raise NotConfigured(
                f"No {name} model is kept; [collector] collector_plugins has to name {name}."
            )
        return self._collectors[name]

    def _period(self, name: str) -> int:
        period: int = self._conf[group(name)].period
        return period


def _load(conf: cfg.ConfigOpts, cloud: Cloud) -> dict[str, Collector]:
    """Those that the configuration names; their options are registered on it."""
    installed = plugins.load(NAMESPACE, Collector)
    collectors: dict[str, Collector] = {}
    for name in dict.fromkeys(conf.collector.collector_plugins):
        if name not in installed:
            LOG.error("[collector] collector_plugins: no collector %s is installed", name)
            continue
        conf.register_opt(PERIOD, group=group(name))
        try:
            collectors[name] = installed[name](conf, cloud)
        except Exception as error:  # a plug-in of another package
            plugins.report(NAMESPACE, name, f"It cannot be made: {error!r}.")
    return collectors


def _sync(name: str, collector: Collector) -> None:
    collector.sync().add_done_callback(functools.partial(_report, name))


def _report(name: str, sync: Future[Any]) -> None:
    error = sync.exception()
    if isinstance(error, NotConfigured):
        LOG.info("No %s model is kept: %s", name, error)
    elif isinstance(error, WatcherError):
        LOG.warning("The %s model could not be read; an audit will try again: %s", name, error)
    elif error is not None:
        LOG.error("Reading the %s model failed", name, exc_info=error)
