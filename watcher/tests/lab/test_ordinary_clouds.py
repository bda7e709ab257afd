# SPDX-License-Identifier: Apache-2.0
"""What models know of a real cloud: room that is held, zones, groups, and flavors too large."""

from typing import Any

from watcher.cloud.compute import Server
from watcher.cmd import cloud
from watcher.decision_engine.collectors.collectors import Collectors
from watcher.model.compute import DISK, MEMORY, VCPU, ComputeModel
from watcher.model.whatif import WhatIf
from watcher.tests.lab.real_cloud import RealCloudTestCase

CLASSES = {"VCPU": VCPU, "MEMORY_MB": MEMORY, "DISK_GB": DISK}


class OrdinaryCloudTest(RealCloudTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.nova = self.compute()
        self.connection: Any = self.admin()

    def model(self) -> ComputeModel:
        return Collectors(self.conf, cloud.connect(self.conf)).compute()

    def hosts_for(self, uuid: str) -> set[str]:
        """Hostnames to which the model lets a server move."""
        model = self.model()
        index = next(at for at, server in enumerate(model.servers) if server.uuid == uuid)
        fit = WhatIf(model).hosts_for(index)
        return {host.hostname for host, fits in zip(model.hosts, fit, strict=True) if fits}

    def flavor(self, name: str) -> str:
        return str(self.connection.compute.find_flavor(name, ignore_missing=False).id)

    def placement(self, path: str) -> dict[str, Any]:
        answer = self.connection.placement.get(
            path, headers={"OpenStack-API-Version": "placement 1.29"}
        )
        return dict(answer.json())

    def test_what_an_unconfirmed_resize_holds_is_taken(self) -> None:
        uuid = self.boot(self.nova, "resizing", "lab.tiny")
        self.nova.resize(uuid, self.flavor("lab.small"))
        self.at_rest(self.nova, uuid, "resized")
        model = self.model()
        taken = model.used() + model.others
        for index, host in enumerate(model.hosts):
            usages = self.placement(f"/resource_providers/{host.uuid}/usages")["usages"]
            self.assertEqual(
                {name: float(usages.get(name, 0)) for name in CLASSES},
                {name: float(taken[index, column]) for name, column in CLASSES.items()},
                host.hostname,
            )

    def test_no_flavor_is_larger_than_its_host(self) -> None:
        """Whatever the allocation ratio is: placement's ``max_unit`` is the host itself."""
        for host in self.model().hosts:
            cpus = host.inventories[VCPU]
            self.assertTrue(cpus.allows(host.vcpus))
            self.assertFalse(cpus.allows(host.vcpus + 1), host.hostname)

    def test_servers_stay_in_the_zone_that_they_were_asked_for(self) -> None:
        apart = next(h.hostname for h in self.nova.hosts() if not self.nova.servers_on(h.hostname))
        aggregate = self.connection.compute.create_aggregate(
            name="apart", availability_zone="apart"
        )
        self.addCleanup(self.connection.compute.delete_aggregate, aggregate)
        self.connection.compute.add_host_to_aggregate(aggregate, apart)
        self.addCleanup(self.connection.compute.remove_host_from_aggregate, aggregate, apart)
        zoned = self.boot_with("zoned", availability_zone="apart")
        self.assertEqual(apart, zoned.host)
        self.assertEqual(set(), self.hosts_for(zoned.uuid))

    def test_members_of_a_hard_group_stay_apart(self) -> None:
        group = self.connection.compute.create_server_group(name="apart", policy="anti-affinity")
        self.addCleanup(self.connection.compute.delete_server_group, group)
        hint = {"group": group.id}
        first, second = (
            self.boot_with(f"member-{number}", scheduler_hints=hint) for number in range(2)
        )
        self.assertNotIn(second.host, self.hosts_for(first.uuid))
        self.assertNotIn(first.host, self.hosts_for(second.uuid))

    def boot_with(self, name: str, **more: Any) -> Server:
        server = self.connection.compute.create_server(
            name=name,
            flavor_id=self.flavor("lab.tiny"),
            image_id=next(self.connection.image.images()).id,
            networks="none",
            **more,
        )
        self.addCleanup(self.connection.compute.wait_for_delete, server)
        self.addCleanup(self.connection.compute.delete_server, server)
        return self.at_rest(self.nova, str(server.id))
