# SPDX-License-Identifier: Apache-2.0
"""The outside world: what Watcher needs of a cloud, as small interfaces.

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
    """The services of one cloud.  NotConfigured on the use of one that it lacks."""

    compute_service: Compute | None = None
    block_storage_service: BlockStorage | None = None
    baremetal_service: Baremetal | None = None
    own_metrics: Metrics | None = None
    """Of a cloud that measures itself: then no datasource is asked."""
    notifies: bool = False
    """Whether its services tell on the message bus what changes."""

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
