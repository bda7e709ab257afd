# SPDX-License-Identifier: Apache-2.0
"""Taking snapshots of the cloud."""

from watcher.cloud.compute import Compute
from watcher.common.errors import ModelUnavailable
from watcher.decision_engine.model.compute import ComputeModel


class ComputeCollector:
    """Takes snapshots of a cloud's compute service."""

    def __init__(self, compute: Compute) -> None:
        self._compute = compute

    def snapshot(self) -> ComputeModel:
        """The cloud as it is now.  ModelUnavailable if it shows no host, CloudUnavailable."""
        hosts = self._compute.hosts()
        if not hosts:
            raise ModelUnavailable("The cloud shows no compute host.")
        return ComputeModel.build(hosts, self._compute.servers())
