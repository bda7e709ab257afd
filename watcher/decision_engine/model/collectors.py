# SPDX-License-Identifier: Apache-2.0
"""Snapshots of the cloud, kept fresh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oslo_config import cfg

from watcher.cloud import Cloud
from watcher.common.errors import ModelUnavailable

if TYPE_CHECKING:  # models bring NumPy, which an engine loads when a run wants one
    from watcher.decision_engine.model.baremetal import BaremetalModel
    from watcher.decision_engine.model.compute import ComputeModel
    from watcher.decision_engine.model.storage import StorageModel


class Collectors:
    """Whoever needs a model of the cloud asks here.  Any thread may.

    A model is complete and of this moment, or is refused: ModelUnavailable,
    CloudUnavailable, or NotConfigured for a service that the cloud does not have.
    """

    def __init__(self, conf: cfg.ConfigOpts, cloud: Cloud) -> None:
        self._conf, self._cloud = conf, cloud

    def compute(self) -> ComputeModel:
        from watcher.decision_engine.model.compute import ComputeModel

        compute = self._cloud.compute
        hosts = compute.hosts()
        if not hosts:
            raise ModelUnavailable("The cloud shows no compute host.")
        return ComputeModel.build(hosts, compute.servers(), compute.server_groups())

    def recent_compute(self) -> ComputeModel:
        """The compute model for people to look at; it may lag a little behind ``compute``."""
        collector = self._collector("compute")
        model: ComputeModel = getattr(collector, "recent", collector.snapshot)()
        return model

    def storage(self) -> StorageModel:
        from watcher.decision_engine.model.storage import StorageModel

        storage = self._cloud.block_storage
        return StorageModel.build(
            storage.nodes(),
            storage.pools(),
            storage.volumes(),
            storage.volume_types(),
            frozenset(storage.volumes_with_snapshots()),
        )

    def baremetal(self) -> BaremetalModel:
        from watcher.decision_engine.model.baremetal import BaremetalModel

        baremetal = self._cloud.baremetal
        nodes = sorted(baremetal.nodes(), key=lambda node: node.uuid)
        return BaremetalModel(tuple(nodes), baremetal.keeps_hosts_up)
