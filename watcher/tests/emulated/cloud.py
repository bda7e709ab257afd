# SPDX-License-Identifier: Apache-2.0
"""An emulated cloud: keystone, nova and placement behind one address."""

from collections import Counter

import fixtures
from oslo_config import cfg
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from watcher.tests.emulated import keystone
from watcher.tests.emulated.nova import Nova
from watcher.tests.emulated.placement import Placement, inventory
from watcher.tests.emulated.server import EmulatedServer


class EmulatedCloud(fixtures.Fixture):
    """Keystone at ``/identity``, nova at ``/compute``, placement at ``/placement``."""

    def __init__(self) -> None:
        super().__init__()
        self.placement, self.keystone = Placement(), keystone.Keystone()
        self.nova = Nova(placement=self.placement)
        self.server = EmulatedServer(
            DispatcherMiddleware(
                self.keystone, {"/compute": self.nova, "/placement": self.placement}
            )
        )

    def _setUp(self) -> None:
        self.useFixture(self.server)
        self.keystone.catalog = {
            "compute": f"{self.server.url}/compute/v2.1",
            "placement": f"{self.server.url}/placement",
        }

    def configure(self, conf: cfg.ConfigOpts) -> None:
        keystone.configure(conf, self.server.url)

    def add_host(self, name: str, vcpus: int = 64, **more: str) -> str:
        """A host of 4 GiB and 20 GB a vCPU; its uuid."""
        uuid = self.nova.add_host(name, **more)
        self.placement.put(
            uuid,
            {
                "VCPU": inventory(vcpus, 2, 4.0),
                "MEMORY_MB": inventory(4096 * vcpus, 2048, 1.5),
                "DISK_GB": inventory(20 * vcpus),
            },
        )
        return uuid

    def fill(self, hosts: int, servers: int) -> None:
        """Hosts in three zones, with servers of three flavors spread over them."""
        names = [f"compute-{number:04}" for number in range(hosts)]
        for number, name in enumerate(names):
            self.add_host(name, zone=f"zone-{number % 3}")
        for number in range(3):
            self.nova.aggregates.append(
                {
                    "id": number,
                    "name": f"rack-{number}",
                    "metadata": {"availability_zone": f"zone-{number}"},
                    "hosts": names[number::3],
                }
            )
        flavors = [self.nova.add_flavor(f"x{size}", size, 2048 * size, 10) for size in (1, 2, 4)]
        for number in range(servers):
            uuid = self.nova.add_server(
                f"server-{number}", names[number % hosts], flavors[number % 3]
            )
            self.nova.all[uuid]["updated"] = "2026-01-02T03:04:05Z"

    def asked(self) -> Counter[str]:
        """Method and path to how often that was asked for."""
        return Counter(f"{request.method} {request.path}" for request in self.server.requests)
