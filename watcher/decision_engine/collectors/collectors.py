# SPDX-License-Identifier: Apache-2.0
"""The models of the cloud, kept fresh by one collector each."""

from __future__ import annotations

import datetime
import functools
import gc
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

from oslo_config import cfg
from oslo_log import log

from watcher.cloud import Cloud
from watcher.common import entry_points
from watcher.common.errors import NotConfigured, WatcherError
from watcher.common.periodic import Ticker
from watcher.conf.collectors import PERIOD, group
from watcher.rpc.listener import CloudNotification

if TYPE_CHECKING:  # Models import NumPy, which an engine loads only when a run needs a model.
    from watcher.model.baremetal import BaremetalModel
    from watcher.model.compute import ComputeModel
    from watcher.model.storage import StorageModel

LOG = log.getLogger(__name__)

NAMESPACE = "watcher_cluster_data_model_collectors"


class Collector(Protocol):
    """Keeps one kind of model.  It is a plug-in; an engine makes one object, which all threads
    use."""

    def __init__(self, conf: cfg.ConfigOpts, cloud: Cloud) -> None: ...

    def snapshot(self) -> Any:
        """The model, no older than this call, complete and immutable.

        ModelUnavailable, CloudUnavailable, CloudRefused, or NotConfigured for a
        service that the cloud does not have.
        """

    def sync(self) -> Future[Any]:
        """Start to read everything anew, and do not wait for the end."""

    @property
    def read_at(self) -> datetime.datetime | None:
        """When the last successful reading began, in UTC; None before the first.  Without this
        attribute, which is optional, the age of the model is not shown."""

    def notify(self, notification: CloudNotification) -> None:
        """Apply a notification of one of the cloud's services.  Sends no request to the cloud.

        LookupError, TypeError or ValueError if the notification has another form than expected.
        """


class Collectors:
    """All models of the cloud. Any thread may use it."""

    def __init__(self, conf: cfg.ConfigOpts, cloud: Cloud) -> None:
        self._conf = conf
        self._collectors = _load(conf, cloud)
        self._tickers = [
            Ticker(
                f"{name} model",
                functools.partial(_sync, name, collector),
                functools.partial(self._period, name),
            )
            for name, collector in self._collectors.items()
        ]

    def start(self) -> None:
        """Begin to read every model periodically, in the background."""
        for ticker in self._tickers:
            ticker.start()

    def stop(self) -> None:
        for ticker in self._tickers:
            ticker.stop()

    def compute(self) -> ComputeModel:
        return self._collector("compute").snapshot()

    def storage(self) -> StorageModel:
        return self._collector("storage").snapshot()

    def baremetal(self) -> BaremetalModel:
        return self._collector("baremetal").snapshot()

    def read_at(self) -> dict[str, datetime.datetime]:
        """When each model was last read, in UTC, by the names of the collectors; those that were
        not read yet are left out."""
        times = {
            name: getattr(collector, "read_at", None)
            for name, collector in self._collectors.items()
        }
        return {name: time for name, time in times.items() if time is not None}

    def notify(self, notification: CloudNotification) -> None:
        """Pass a notification to all collectors. The log names those that cannot read it."""
        for name, collector in self._collectors.items():
            try:
                collector.notify(notification)
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
        return self._conf[group(name)].period


def _load(conf: cfg.ConfigOpts, cloud: Cloud) -> dict[str, Collector]:
    """The collectors that the configuration names; their options are registered on it."""
    installed = entry_points.load(NAMESPACE, Collector)
    collectors: dict[str, Collector] = {}
    for name in dict.fromkeys(conf.collector.collector_plugins):
        if name not in installed:
            LOG.error("[collector] collector_plugins: no collector %s is installed", name)
            continue
        conf.register_opt(PERIOD, group=group(name))
        try:
            collectors[name] = installed[name](conf, cloud)
        except entry_points.FAILURES as error:  # a plug-in of another package
            entry_points.report(NAMESPACE, name, f"It cannot be made: {error!r}.")
    return collectors


def _sync(name: str, collector: Collector) -> None:
    collector.sync().add_done_callback(functools.partial(_report, name))


def _report(name: str, sync: Future[Any]) -> None:
    error = sync.exception()
    if error is None:
        _freeze_objects()
    elif isinstance(error, NotConfigured):
        LOG.info("No %s model is kept: %s", name, error)
    elif isinstance(error, WatcherError):
        LOG.warning("The %s model could not be read; an audit will try again: %s", name, error)
    else:
        LOG.error("Reading the %s model failed", name, exc_info=error)


def _freeze_objects() -> None:
    """Exempt all present objects from Python's garbage collection.

    Otherwise it examines each known server in almost every run, since a run reads that many
    metrics.  Garbage among them is collected here the next time.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
