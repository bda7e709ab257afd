# SPDX-License-Identifier: Apache-2.0
"""Keeps the bare metal model."""

import datetime
from concurrent.futures import Future

from oslo_config import cfg

from watcher.cloud import Cloud
from watcher.decision_engine.collectors.single_flight import SingleFlight
from watcher.model.baremetal import BaremetalModel
from watcher.rpc.listener import CloudNotification


class BaremetalCollector:
    """Reads everything for each snapshot: machines are few, and one call lists them."""

    def __init__(self, conf: cfg.ConfigOpts, cloud: Cloud) -> None:
        self._conf, self._cloud = conf, cloud
        self._readings: SingleFlight[BaremetalModel] = SingleFlight("baremetal", self._read)

    @property
    def read_at(self) -> datetime.datetime | None:
        return self._readings.read_at

    def snapshot(self) -> BaremetalModel:
        return self._readings.result(self._conf.collector.compute_resources_collector_timeout)

    def sync(self) -> Future[BaremetalModel]:
        return self._readings.submit()

    def notify(self, notification: CloudNotification) -> None:
        """Does nothing, because each snapshot reads everything."""

    def _read(self) -> BaremetalModel:
        baremetal = self._cloud.baremetal
        nodes = sorted(baremetal.nodes(), key=lambda node: node.uuid)
        return BaremetalModel(tuple(nodes), baremetal.keeps_hosts_up)
