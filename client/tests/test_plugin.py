# SPDX-License-Identifier: Apache-2.0
"""The distribution: which commands there are, and what they need."""

import subprocess
import sys
import unittest
from importlib.metadata import entry_points

SCRIPT = """
import sys
from importlib.metadata import entry_points
for point in entry_points(group="openstack.infra_optim.v1"):
    if point.module.startswith("osc_watcher"):
        point.load()
print(*({"watcher", "numpy", "sqlalchemy"} & sys.modules.keys()))
"""


def ours(group: str) -> dict[str, str]:
    return {
        point.name: point.value
        for point in entry_points(group=group)
        if point.module.startswith("osc_watcher")
    }


class PluginTest(unittest.TestCase):
    def test_both_programs_have_the_same_commands(self) -> None:
        commands = ours("openstack.infra_optim.v1")
        self.assertEqual(15, len(commands))
        self.assertEqual(
            commands, {f"optimize_{name}": of for name, of in ours("watcherclient.v1").items()}
        )

    def test_no_command_of_the_client_is_replaced(self) -> None:
        names = [point.name for point in entry_points(group="openstack.infra_optim.v1")]
        self.assertEqual(len(names), len({*names}))

    def test_nothing_of_the_service_is_needed(self) -> None:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
        )
        self.assertEqual("", done.stdout.strip())
