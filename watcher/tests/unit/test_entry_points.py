# SPDX-License-Identifier: Apache-2.0
"""Every entry point that setup.cfg names can be loaded, and is one that was installed."""

import configparser
import importlib.metadata
import pathlib

from watcher.tests import base

SETUP = pathlib.Path(__file__).parents[3] / "setup.cfg"


def declared() -> dict[str, dict[str, str]]:
    """Group to name to target."""
    setup = configparser.ConfigParser()
    setup.read(SETUP)
    return {
        group: dict(line.split(" = ") for line in lines.strip().splitlines())
        for group, lines in setup["entry_points"].items()
    }


class TestEntryPoints(base.TestCase):
    def test_all_can_be_loaded(self) -> None:
        for group, targets in declared().items():
            for name, target in targets.items():
                with self.subTest(f"{group} {name}"):
                    entry_point = importlib.metadata.EntryPoint(name, target, group)
                    self.assertTrue(callable(entry_point.load()))

    def test_a_plug_in_has_the_name_of_its_entry_point(self) -> None:
        for group in (
            "watcher_strategies",
            "watcher_actions",
            "watcher_goals",
            "watcher_datasources",
        ):
            for name, target in declared()[group].items():
                with self.subTest(f"{group} {name}"):
                    plug_in = importlib.metadata.EntryPoint(name, target, group).load()
                    self.assertEqual(name, plug_in.name)
