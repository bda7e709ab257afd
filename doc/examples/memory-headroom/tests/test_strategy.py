# SPDX-License-Identifier: Apache-2.0
import unittest

from memory_headroom.strategy import MemoryHeadroom

from watcher.plugins import ComputeModel, Host, Server, Solution, trial_inputs


def solve(hosts: list[Host], servers: list[Server], headroom: float) -> Solution:
    model = ComputeModel.build(hosts, servers)
    return MemoryHeadroom().execute(trial_inputs(MemoryHeadroom, model, headroom=headroom))


class MemoryHeadroomTest(unittest.TestCase):
    hosts = [
        Host("h1", "host-1", vcpus=10, memory_mb=1000, disk_gb=100),
        Host("h2", "host-2", vcpus=10, memory_mb=1000, disk_gb=100),
    ]

    def servers(self, *memory_mb: int) -> list[Server]:
        return [
            Server(f"s{number}", f"server-{number}", "host-1", 1, size, 1)
            for number, size in enumerate(memory_mb)
        ]

    def test_the_smallest_server_that_closes_the_gap_moves(self) -> None:
        solution = solve(self.hosts, self.servers(500, 200, 150, 100), 20)
        self.assertEqual(
            [("s2", "host-2")],
            [
                (
                    action.input_parameters["resource_id"],
                    action.input_parameters["destination_node"],
                )
                for action in solution.actions
            ],
        )
        self.assertEqual(
            "host-1 has 5 % of its memory free, 20 % are wanted.", solution.actions[0].reason
        )
        self.assertEqual({"short_hosts_count": 1, "relieved_hosts_count": 1}, solution.indicators)

    def test_nobody_is_pushed_short(self) -> None:
        solution = solve(self.hosts, self.servers(900), 20)
        self.assertEqual((), solution.actions)
        self.assertEqual(0, solution.indicators["relieved_hosts_count"])

    def test_enough_is_enough(self) -> None:
        self.assertEqual((), solve(self.hosts, self.servers(500), 20).actions)
