# SPDX-License-Identifier: Apache-2.0
from watcher.cloud.needs import NOTHING, Needs
from watcher.tests.base import TestCase


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
        ):
            self.assertEqual(pcpus, Needs.of(4, specs, properties).pcpus, specs)

    def test_traits_of_flavor_and_image(self):
        needs = Needs.of(
            1, {"trait:A": "required", "trait:B": "forbidden"}, {"trait:C": "required"}
        )
        self.assertEqual(({"A", "C"}, {"B"}, ()), (
            needs.required, needs.forbidden, needs.unjudged
        ))  # fmt: skip

    def test_what_only_nova_can_judge(self):
        for specs, unjudged in (
            ({"hw:cpu_policy": "dedicated"}, ["hw:cpu_policy"]),
            ({"hw:mem_page_size": "large"}, ["hw:mem_page_size"]),
            ({"hw:numa_nodes": "2", "hw:numa_cpus.0": "0"}, ["hw:numa_cpus.0", "hw:numa_nodes"]),
            ({"pci_passthrough:alias": "gpu:1"}, ["pci_passthrough:alias"]),
            ({"resources:VGPU": "1"}, ["resources:VGPU"]),
            ({"resources1:VGPU": "1", "trait1:X": "required"}, ["resources1:VGPU", "trait1:X"]),
            ({"hw_rng:allowed": "True", "quota:cpu_shares": "9", "hw:boot_menu": "true"}, []),
        ):
            self.assertEqual(unjudged, list(Needs.of(4, specs).unjudged))

    def test_the_query_for_placement(self):
        specs = {"resources1:VGPU": "1", "trait1:X": "forbidden", "resources:CUSTOM_A": "2"}
        expected = {"required1": "!X", "resources": "CUSTOM_A:2", "resources1": "VGPU:1"}
        self.assertEqual(expected, dict(Needs.of(4, specs).resources))

    def test_servers_of_a_flavor_share_them(self):
        specs = {"trait:A": "required"}
        self.assertIs(Needs.of(4, specs), Needs.of(4, dict(specs)))
        self.assertIs(NOTHING, Needs.of(4, {}))
