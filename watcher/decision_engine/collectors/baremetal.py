# SPDX-License-Identifier: Apache-2.0
"""Keeps the bare metal model."""

from watcher.decision_engine.collectors.reading import ReadingCollector
from watcher.model.baremetal import BaremetalModel


class BaremetalCollector(ReadingCollector[BaremetalModel]):
    """Reads everything for each snapshot: machines are few, and one call lists them."""

    NAME = "baremetal"

    def snapshot(self) -> BaremetalModel:
        return self._result()

    def _read(self) -> BaremetalModel:
        baremetal = self._cloud.baremetal
        nodes = sorted(baremetal.nodes(), key=lambda node: node.uuid)
        return BaremetalModel(tuple(nodes), baremetal.keeps_hosts_up)
