# SPDX-License-Identifier: Apache-2.0
"""The interfaces of the cloud: what Watcher needs of its services.

``compute``, ``block_storage``, ``baremetal`` and ``metrics`` name the interfaces and
their values; ``openstack`` is a real cloud.  ``watcher.simulation`` is one in memory.
"""

import dataclasses

from watcher.cloud.baremetal import Baremetal
from watcher.cloud.block_storage import BlockStorage
from watcher.cloud.compute import Compute
from watcher.cloud.metrics import Metrics
from watcher.common.errors import NotConfigured


@dataclasses.dataclass(frozen=True)
class Cloud:
    """The services of one cloud. Using a service that it does not have raises NotConfigured."""

    compute_service: Compute | None = None
    block_storage_service: BlockStorage | None = None
    baremetal_service: Baremetal | None = None
    own_metrics: Metrics | None = None
    """Metrics of the cloud itself; if there are any, no datasource is used."""
    notifies: bool = False
    """Whether its services send notifications of changes on the message bus."""

    @property
    def compute(self) -> Compute:
        if self.compute_service is None:
            raise NotConfigured(
                "No cloud is configured; set [watcher_clients_auth] auth_type and what it needs, "
                "or [cloud] simulation to a file."
            )
        return self.compute_service

    @property
    def block_storage(self) -> BlockStorage:
        if self.block_storage_service is None:
            raise NotConfigured("The cloud has no block storage service.")
        return self.block_storage_service

    @property
    def baremetal(self) -> Baremetal:
        if self.baremetal_service is None:
            raise NotConfigured("The cloud has no bare metal service.")
        return self.baremetal_service
