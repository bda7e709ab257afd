# SPDX-License-Identifier: Apache-2.0
from watcher.cloud.compute import Server
from watcher.cloud.needs import NOTHING, Holding, Needs
from watcher.tests.base import TestCase

BANDWIDTH = Holding((("EGR", 1000), ("IGR", 500)), ("NORMAL", "PHYSNET_A"))
VGPU = Holding((("VGPU", 1),), ())


class NeedsTest(TestCase):
    def test_dedicated_cpus(self):
        for specs, properties, pcpus in (
            ({}, {}, 0),
            ({"hw:cpu_policy": "shared"}, {}, 0),
            ({"hw:cpu_policy": "dedicated"}, {}, 4),
            ({}, {"hw_cpu_policy": "dedicated"}, 4),
            ({"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "0-2,^1"}, {}, 2),
            ({"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "^0"}, {}, 3),
            ({"hw:cpu_policy": "mixed", "hw:cpu_realtime_mask": "1, 3"}, {}, 2),
            ({"resources:PCPU": "3"}, {}, 3),
            ({"hw:cpu_policy": "dedicated", "hw:emulator_threads_policy": "isolate"}, {}, 5),
            (
                {
                    "hw:cpu_policy": "mixed",
                    "hw:cpu_dedicated_mask": "1",
                    "hw:emulator_threads_policy": "isolate",
                },
                {},
                2,
            ),
        ):
            self.assertEqual(pcpus, Needs.of(4, specs, properties).pcpus, specs)

    def test_amounts_that_replace_those_of_the_flavor(self):
        for specs, amounts in (
            ({}, (4, 2048, 10, 0)),
            ({"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "^0"}, (1, 2048, 10, 3)),
            ({"hw:cpu_policy": "dedicated", "resources:VCPU": "0"}, (0, 2048, 10, 4)),
            ({"resources:PCPU": "4"}, (0, 2048, 10, 4)),
            ({"resources:VCPU": "6"}, (6, 2048, 10, 0)),
            ({"resources1:VCPU": "1", "resources2:VCPU": "2"}, (3, 2048, 10, 0)),
            ({"resources:MEMORY_MB": "0", "resources:DISK_GB": "99"}, (4, 0, 99, 0)),
            ({"resources:MEMORY_MB": "much", "resources:CUSTOM_GOLD": "1"}, (4, 2048, 10, 0)),
        ):
            server = Server("s", "s", "h", 4, 2048, 10, needs=Needs.of(4, specs))
            self.assertEqual(amounts, server.amounts, specs)

    def test_traits_of_flavor_and_image(self):
        needs = Needs.of(
            1,
            {"trait:A": "required", "trait:B": "forbidden", "trait:D": "wanted"},
            {"trait:C": "required", "trait:E": "forbidden"},
        )
        self.assertEqual(({"A", "C"}, {"B"}, ()), (
            needs.required, needs.forbidden, needs.unjudged
        ))  # fmt: skip

    def test_traits_that_nova_adds(self):
        sev = {"hw:mem_encryption": "true"}
        tpm = {"hw_tpm_version": "2.0", "hw_tpm_model": "tpm-crb"}
        for specs, properties, required, forbidden in (
            ({"hw:cpu_thread_policy": "require"}, {}, {"HW_CPU_HYPERTHREADING"}, set()),
            ({}, {"hw_cpu_thread_policy": "isolate"}, set(), {"HW_CPU_HYPERTHREADING"}),
            ({"os:secure_boot": "required"}, {}, {"COMPUTE_SECURITY_UEFI_SECURE_BOOT"}, set()),
            ({"os:secure_boot": "optional"}, {}, set(), set()),
            (sev, {}, {"HW_CPU_X86_AMD_SEV"}, set()),
            (sev | {"hw:mem_encryption_model": "amd-sev-es"}, {}, {"HW_CPU_X86_AMD_SEV_ES"}, set()),
            ({}, tpm, {"COMPUTE_SECURITY_TPM_CRB", "COMPUTE_SECURITY_TPM_2_0"}, set()),
            ({}, {"hw_firmware_stateless": "True"}, {"COMPUTE_SECURITY_STATELESS_FIRMWARE"}, set()),
        ):
            needs = Needs.of(4, specs, properties)
            self.assertEqual((required, forbidden), (needs.required, needs.forbidden))

    def test_what_only_nova_can_judge(self):
        for specs, unjudged in (
            ({"hw:cpu_policy": "dedicated"}, ["hw:cpu_policy"]),
            ({"hw:mem_page_size": "large"}, ["hw:mem_page_size"]),
            ({"hw:numa_nodes": "2", "hw:numa_cpus.0": "0"}, ["hw:numa_cpus.0", "hw:numa_nodes"]),
            ({"pci_passthrough:alias": "gpu:1"}, ["pci_passthrough:alias"]),
            ({"resources:VGPU": "1"}, ["resources:VGPU"]),
            ({"resources:PCPU": "4"}, ["resources:PCPU"]),
            ({"resources:VCPU": "2", "resources:MEMORY_MB": "0"}, []),
            ({"resources1:VCPU": "2"}, ["resources1:VCPU"]),
            ({"resources1:VGPU": "1", "trait1:X": "required"}, ["resources1:VGPU", "trait1:X"]),
            ({"hw_rng:allowed": "True", "quota:cpu_shares": "9", "hw:boot_menu": "true"}, []),
        ):
            self.assertEqual(unjudged, list(Needs.of(4, specs).unjudged))

    def test_the_query_for_placement(self):
        specs = {"resources1:VGPU": "1", "trait1:X": "forbidden", "resources:CUSTOM_A": "2"}
        expected = {"required1": "!X", "resources": "CUSTOM_A:2", "resources1": "VGPU:1"}
        self.assertEqual(expected, dict(Needs.of(4, specs).resources))

    def test_resources_that_nova_adds_to_the_query(self):
        for specs, query in (
            ({"hw:mem_encryption": "yes"}, {"resources": "MEM_ENCRYPTION_CONTEXT:1"}),
            ({"hw:pmem": "6GB, 6gb"}, {"resources": "CUSTOM_PMEM_NAMESPACE_6GB:2"}),
            ({"hw:pmem": "a-b"}, {"resources": "CUSTOM_PMEM_NAMESPACE_A_B:1"}),
            ({"resources1:VGPU": "0", "group_policy": "both"}, {}),
        ):
            self.assertEqual(query, dict(Needs.of(4, specs).resources))

    def test_servers_of_a_flavor_share_them(self):
        specs = {"trait:A": "required"}
        self.assertIs(Needs.of(4, specs), Needs.of(4, dict(specs)))
        self.assertIs(NOTHING, Needs.of(4, {}))

    def test_what_a_server_has_of_providers_below_its_host(self):
        needs = NOTHING.with_holdings((BANDWIDTH, VGPU))
        self.assertEqual(("EGR", "IGR", "VGPU"), needs.unjudged)
        self.assertEqual(
            {
                "group_policy": "none",
                "resources1": "EGR:1000,IGR:500",
                "required1": "NORMAL,PHYSNET_A",
                "resources2": "VGPU:1",
            },
            dict(needs.resources),
        )

    def test_what_the_flavor_explains_is_needed_once(self):
        for specs, holding, query in (
            ({"resources:VGPU": "1"}, VGPU, {"resources": "VGPU:1"}),
            ({"resources1:VGPU": "1"}, VGPU, {"resources1": "VGPU:1"}),
            (
                {"resources1:VGPU": "1", "trait2:X": "required", "group_policy": "isolate"},
                Holding((("NIC", 1), ("VCPU", 2), ("VGPU", 3)), ("T",)),
                {
                    "resources1": "VGPU:1",
                    "required2": "X",
                    "resources3": "NIC:1,VGPU:2",
                    "required3": "T",
                    "group_policy": "isolate",
                },
            ),
        ):
            needs = Needs.of(4, specs).with_holdings((holding,))
            self.assertEqual(query, dict(needs.resources))

    def test_servers_with_devices_of_cyborg_stay(self):
        fpga = Holding((("FPGA", 1),), ("OWNER_CYBORG",))
        self.assertEqual(
            [True, False],
            [NOTHING.with_holdings((each,)).is_fixed for each in (fpga, BANDWIDTH)],
        )

    def test_servers_of_a_flavor_with_equal_holdings_share_them(self):
        debian, windows = (Needs.of(4, {}, {"os_distro": name}) for name in ("debian", "windows"))
        shared = debian.with_holdings((BANDWIDTH,))
        self.assertIs(shared, debian.with_holdings((Holding(*BANDWIDTH),)))
        self.assertEqual(windows.properties, windows.with_holdings((BANDWIDTH,)).properties)
