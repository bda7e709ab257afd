# SPDX-License-Identifier: Apache-2.0
"""The outside world: what Watcher needs of a cloud, as small interfaces.

``compute``, ``block_storage``, ``baremetal`` and ``metrics`` name the interfaces and
their values; ``openstack`` is a real cloud, ``simulated`` one in memory.
"""

import dataclasses

from oslo_config import cfg

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


def connect(conf: cfg.ConfigOpts) -> Cloud:
    """The simulated cloud that ``[cloud]`` names, or the real one that there are credentials for.

    Without either, a cloud without services.  A real one is talked to when it is first used.
    """
    # Both take megabytes of memory: they are imported where they are wanted.
    if conf.cloud.simulation:
        from watcher.cloud import simulated

        return simulated.SimulatedCloud.from_file(conf.cloud.simulation).cloud
    from watcher.cloud import openstack

    return openstack.connect(conf)
