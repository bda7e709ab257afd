# SPDX-License-Identifier: Apache-2.0
"""Random clouds with hosts, flavors, images and servers of every sort."""

import random
import uuid
from typing import Any

from watcher.tests.emulated.cloud import EmulatedCloud
from watcher.tests.emulated.placement import inventory
from watcher.tests.emulated.provider_trees import Group

VERSIONS = ("2.87", "2.95", "2.97", "2.100", "2.103")
"""Of nova, which shows pinned zones from 2.96 on and properties of images from 2.98 on."""
SPECS = [
    *[{"hw:cpu_policy": "dedicated"}] * 2,
    {"hw:cpu_policy": "dedicated", "hw:emulator_threads_policy": "isolate"},
    {"hw:cpu_policy": "dedicated", "hw:cpu_thread_policy": "isolate"},
    {"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "0"},
    {"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "^0"},
    {"trait:FAST": "required"},
    {"trait:OLD": "forbidden"},
    {"hw:mem_page_size": "large"},
    {"resources:VGPU": "1"},
    {"resources:VGPU": "1", "trait:NVIDIA": "required"},
    {"resources1:VGPU": "1", "hw:cpu_policy": "dedicated"},
    {"resources1:VGPU": "1", "trait1:NVIDIA": "required"},
    {"resources1:VGPU": "1", "resources2:VGPU": "1", "group_policy": "isolate"},
    {"resources_a:VGPU": "1", "resources_b:CUSTOM_NIC": "2", "group_policy": "none"},
    {"resources:CUSTOM_FPGA": "1"},
    {"resources:CUSTOM_NIC": "3", "resources:VCPU": "3"},
    {"resources:DISK_GB": "0"},
    {"resources:MEMORY_MB": "0", "resources:VCPU": "0"},
    {"resources:MEMORY_MB": "3000"},
    {"resources:VCPU": "6"},
    {"resources1:VCPU": "3"},
    {"hw:pmem": "6GB,6GB"},
    {"hw:tpm_version": "2.0"},
    {"hw:tpm_version": "2.0", "hw:tpm_secret_security": "host"},
    {"hw:mem_encryption": "true"},
    {"accel:device_profile": "fpga"},
    {"pci_passthrough:alias": "gpu:1"},
    {"aggregate_instance_extra_specs:ssd": "true"},
    {"ssd": "<or> true <or> maybe"},
]
PROPERTIES = [
    {},
    *[{"os_distro": "debian"}, {"os_distro": "windows"}] * 3,
    {"trait:FAST": "required"},
    {"trait:OLD": "forbidden", "os_distro": "windows"},
    {"hw_cpu_policy": "dedicated"},
    {"hw_cpu_policy": "dedicated", "hw_cpu_thread_policy": "require"},
    {"hw_machine_type": "q35"},
    {"hw_tpm_version": "2.0", "hw_tpm_model": "tpm-tis"},
    {"hw_mem_encryption": "true"},
]
"""Of images."""
STATES = (
    *["stopped", "resized"] * 4,
    *["paused", "suspended", "rescued", "shelved", "error", "building", "soft-delete"],
)
HOMELESS = ("shelved_offloaded", "error", "building")
ISOLATED = (
    {"filter_tenant_id": "ours"},
    {"trait:FAST": "required"},
    {"ssd": "true", "cpu_allocation_ratio": "16.0"},
    {"ssd": "maybe", "filter_tenant_id_2": "ours, others"},
    {"os_distro": "debian,ubuntu"},
    {"os_distro": "windows", "disk_allocation_ratio": "0.5"},
)
"""Metadata of aggregates.  Allocation ratios there have no effect: those of placement count."""
UNITS = ({"max_unit": 2}, {"step_size": 2}, {"min_unit": 2}, {"max_unit": 5, "min_unit": 2})
TRAITS = ("FAST", "OLD", "HW_CPU_HYPERTHREADING", "HW_CPU_X86_AMD_SEV")
PORTS = (
    *[({"NET_BW_EGR_KILOBIT_PER_SEC": 1000, "NET_BW_IGR_KILOBIT_PER_SEC": 500}, "A", "NORMAL")] * 3,
    ({"NET_BW_EGR_KILOBIT_PER_SEC": 1000}, "B", "NORMAL"),
    ({"NET_BW_IGR_KILOBIT_PER_SEC": 2000}, "B", "DIRECT"),
    ({"NET_PACKET_RATE_KILOPACKET_PER_SEC": 100}, "", "NORMAL"),
    ({"FPGA": 1}, "", ""),
)
"""What ports need: amounts, physical network and type of the device."""
TPM = {"COMPUTE_SECURITY_TPM_TIS", "COMPUTE_SECURITY_TPM_2_0"}


class RandomCloud:
    """Hosts in two zones with unlike CPUs, servers of flavors of every sort, and others' claims."""

    def __init__(self, emulated: EmulatedCloud, draw: random.Random) -> None:
        self.nova, self.placement, self.draw = emulated.nova, emulated.placement, draw
        self.placement.__init__()  # type: ignore[misc]
        self.nova.__init__(placement=self.placement)  # type: ignore[misc]
        self.nova.newest = draw.choice(VERSIONS)
        self.nova.new_uuid = lambda: str(uuid.UUID(int=draw.getrandbits(128)))
        self.nova.limits_tenants = draw.random() < 0.2
        self.names = [f"h{number}" for number in range(draw.randint(4, 8))]
        self.odd = draw.choice([0.05, 0.2, 0.5])
        """How many flavors, hosts and servers are special."""
        self.upgraded, self.pooled = draw.random() < 0.3, draw.random() < 0.15
        self.has_old_cpus = draw.random() < 0.3
        for name in self.names:
            self._host(name)
        if self.pooled:
            self._pool()
        for number, metadata in enumerate(ISOLATED):
            hosts = draw.sample(self.names, draw.choice([0, 0, 0, 1, 2]))
            self.nova.aggregates.append(
                {"id": number, "name": f"a{number}", "metadata": metadata, "hosts": hosts}
            )
        for number in range(draw.choice([5, 10, 15, 20, 30])):
            self._server(number)
        for row in self.nova.hypervisors.values():
            row["status"] = "disabled" if draw.random() < 0.05 else "enabled"
            row["state"] = "down" if draw.random() < 0.05 else "up"
        self._groups()
        self._metal()
        for flavor in draw.sample(list(self.nova.flavors), 2):
            del self.nova.flavors[flavor]
        if draw.random() < 0.02:
            lost = {"binary": "nova-compute", "host": "lost", "status": "UNKNOWN", "zone": None}
            self.nova.compute_services["lost"] = lost

    def _chance(self, share: float) -> bool:
        return self.draw.random() < share

    def _host(self, name: str) -> None:
        draw = self.draw
        ident = self.nova.add_host(name, zone=draw.choice(["east", "east", "west"]))
        if self.upgraded:
            version = draw.choice([8002000, 8002000, 9001000])
            self.nova.hypervisors[ident]["hypervisor_version"] = version
        reserved = draw.choice([0, 512, 512, 8192 if self._chance(0.1) else 1024])
        has = {
            "MEMORY_MB": inventory(draw.choice([8192, 16384, 32768]), reserved, 1.5),
            "DISK_GB": inventory(draw.choice([40, 200, 400]), draw.choice([0, 0, 5])),
        }
        cpus = draw.choice(["shared", "shared", "shared", "both", "both", "dedicated"])
        if cpus != "dedicated":
            units = draw.choice(UNITS) if self._chance(self.odd) else {}
            ratio = draw.choice([1.0, 4.0, 1.5])
            has["VCPU"] = inventory(draw.choice([4, 8, 16, 32]), 0, ratio, **units)
        if cpus != "shared":
            has["PCPU"] = inventory(8, draw.choice([0, 0, 1]))
        for resource, share in (
            ("CUSTOM_FPGA", 0.4), ("CUSTOM_PMEM_NAMESPACE_6GB", 0.4),
            ("MEM_ENCRYPTION_CONTEXT", 0.4),
        ):  # fmt: skip
            if self._chance(share):
                has[resource] = inventory(draw.randint(1, 3))
        if self.pooled and self._chance(0.7):
            del has["DISK_GB"]
        traits = {each for each in TRAITS if self._chance(0.4)}
        if not (self.has_old_cpus and self._chance(0.5)):
            traits.add("HW_CPU_X86_AVX512F")
        self.placement.put(ident, has, traits | (TPM if self._chance(0.5) else set()))
        self._below(ident)
        if self._chance(0.3):
            self.placement.allocate(f"claim-{ident}", {ident: {"VCPU": 2, "MEMORY_MB": 1024}})

    def _below(self, ident: str) -> None:
        """Devices of a host, as providers of their own."""
        for number in range(self.draw.choice([0, 1, 1, 2])):
            traits = {"NVIDIA"} if self._chance(0.5) else set()
            has = {"VGPU": inventory(self.draw.randint(1, 2))}
            self.placement.put(f"gpu{number}-{ident}", has, traits, below=ident)
        if self._chance(0.4):
            nic = {"CUSTOM_NIC": inventory(6, step_size=self.draw.choice([1, 1, 2]))}
            self.placement.put(f"nic-{ident}", nic, below=ident)
        if self._chance(0.2):
            self.placement.put(f"f-{ident}", {"FPGA": inventory(2)}, {"OWNER_CYBORG"}, below=ident)
        if self._chance(0.9):
            self._network(ident)

    def _network(self, ident: str) -> None:
        """An agent with its bridges below it, and devices that servers get directly."""
        agent, most = f"agent-{ident}", self.draw.choice([2000, 4000, 9000])
        rates = {"NET_PACKET_RATE_KILOPACKET_PER_SEC": inventory(most // 10)}
        self.placement.put(agent, rates, {"CUSTOM_VNIC_TYPE_NORMAL"}, below=ident)
        has = {
            "NET_BW_EGR_KILOBIT_PER_SEC": inventory(most),
            "NET_BW_IGR_KILOBIT_PER_SEC": inventory(most),
        }
        for physnet, *kinds in (
            ("A", "NORMAL"), ("B", "NORMAL", "DIRECT"), ("A", "DIRECT", "MACVTAP"), ("B", "DIRECT"),
        ):  # fmt: skip
            if self._chance(0.8):
                traits = {f"CUSTOM_PHYSNET_{physnet}", *(f"CUSTOM_VNIC_TYPE_{k}" for k in kinds)}
                self.placement.put(f"{kinds[0]}-{physnet}-{ident}", has, traits, below=agent)

    def _ports(self) -> list[Group]:
        """Those of a server that need something of placement."""
        ports = []
        for amounts, physnet, kind in self.draw.sample(PORTS, self.draw.choice([1, 1, 2])):
            traits = {f"CUSTOM_PHYSNET_{physnet}"} if physnet else set()
            traits |= {f"CUSTOM_VNIC_TYPE_{kind}"} if kind else {"OWNER_CYBORG"}
            ports.append(Group(dict(amounts), traits))
        return ports

    def _pool(self) -> None:
        """A disk that hosts without one share."""
        without = {
            ident for ident in self.nova.hypervisors if not self.placement.has(ident, "DISK_GB")
        }
        self.placement.put("pool", {"DISK_GB": inventory(self.draw.choice([60, 500]))})
        self.placement.sharing["pool"] = without

    def _server(self, number: int) -> None:
        """On a host that the scheduler would give it, or that a user has forced."""
        draw = self.draw
        flavor = self.nova.add_flavor(
            f"f{number}",
            draw.choice([1, 1, 2, 2, 4, 8]),
            draw.choice([512, 1024, 4096]),
            draw.choice([0, 10]),
            ephemeral=draw.choice([0, 0, 5]),
            swap=draw.choice([0, 0, 1000]),
        )
        flavor["extra_specs"] = draw.choice(SPECS) if self._chance(self.odd) else {}
        if flavor["vcpus"] == 1 and "hw:cpu_dedicated_mask" in flavor["extra_specs"]:
            flavor["vcpus"] = 2
        image: Any = draw.choice(["", {"id": "image"}])
        if image and self.nova.newest in VERSIONS[-2:]:
            image["properties"] = dict(draw.choice(PROPERTIES) if self._chance(self.odd) else {})
            if any(name.endswith(":VCPU") for name in flavor["extra_specs"]):
                image["properties"].pop("hw_cpu_policy", None)  # nova refuses both together
        project = draw.choice(["ours", "theirs"])
        name = f"s{number}" if self._chance(0.9) else "same"
        ports = self._ports() if self._chance(self.odd) else []
        ident = self.nova.add_server(
            name, None, flavor, image=image, tenant_id=project, ports=ports
        )
        forced = not ports and self._chance(0.05)
        fit = [name for name in self.names if forced or not self.nova.refusal(ident, name)]
        if self._chance(0.03):
            self.nova.touch(ident, **{"OS-EXT-STS:vm_state": draw.choice(HOMELESS)})
        elif fit:
            self._settle(ident, fit)
        else:
            del self.nova.all[ident]

    def _settle(self, ident: str, fit: list[str]) -> None:
        draw, host = self.draw, self.draw.choice(fit)
        zone = next(
            each["zone"] for each in self.nova.compute_services.values() if each["host"] == host
        )
        state = draw.choice(STATES) if self._chance(self.odd) else "active"
        power = {"active": 1, "paused": 3, "rescued": 1}.get(state, 4)
        self.nova.touch(ident, **{
            "OS-EXT-SRV-ATTR:host": host,
            "OS-EXT-AZ:availability_zone": zone,
            "pinned_availability_zone": zone if self._chance(0.3) else None,
            "OS-EXT-STS:vm_state": state,
            "OS-EXT-STS:power_state": power if self._chance(0.95) else draw.choice([0, 4, 6]),
            "OS-EXT-STS:task_state": "spawning" if self._chance(0.03) else None,
            "locked": self._chance(0.03),
            "config_drive": draw.choice(["", "True"]),
        })  # fmt: skip
        if state == "resized":
            self.nova.holds[ident] = draw.choice(fit)
            self.nova.touch(ident)

    def _groups(self) -> None:
        draw, nova = self.draw, self.nova
        on_hosts = [ident for ident, row in nova.all.items() if row["OS-EXT-SRV-ATTR:host"]]
        uuids = draw.sample(on_hosts, min(6, len(on_hosts)))
        self._group("soft-anti-affinity", uuids[:3])
        self._group("soft-affinity", uuids[3:])
        homes: dict[str, list[str]] = {}
        for ident in sorted({*on_hosts} - {*uuids}):
            homes.setdefault(nova.all[ident]["OS-EXT-SRV-ATTR:host"], []).append(ident)
        most = draw.choice([1, 1, 2])
        apart = [ident for each in homes.values() for ident in each[:most]][:4]
        self._group("anti-affinity", [*apart, "deleted"], rules={"max_server_per_host": most})
        for each in homes.values():
            left = [ident for ident in each if ident not in apart]
            if left and self._chance(0.2):
                self._group("affinity", left[: draw.choice([1, 3])])

    def _group(self, policy: str, members: list[str], **more: Any) -> None:
        number = len(self.nova.groups)
        self.nova.groups.append({"id": f"g{number}", "policy": policy, "members": members, **more})

    def _metal(self) -> None:
        """Bare-metal nodes of one service, one with a server."""
        if not self._chance(0.2):
            return
        for _ in range(2):
            node = self.nova.add_host("metal", type="ironic")
            self.placement.put(node, {"CUSTOM_GOLD": inventory(1)})
        flavor = self.nova.add_flavor("gold", 8, 8192, 100)
        zeros = {f"resources:{name}": "0" for name in ("VCPU", "MEMORY_MB", "DISK_GB")}
        flavor["extra_specs"] = zeros | {"resources:CUSTOM_GOLD": "1"}
        self.nova.add_server("metal-0", "metal", flavor)
