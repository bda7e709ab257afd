# SPDX-License-Identifier: Apache-2.0
"""The public module, and services with plug-ins of other packages that are broken."""

import configparser
import pathlib
import re
import subprocess
import sys

from oslo_upgradecheck.upgradecheck import Code

from watcher import plugins
from watcher.applier.executor import installed as actions
from watcher.cloud import Cloud
from watcher.cmd.status import Checks
from watcher.decision_engine.catalog import Catalog
from watcher.decision_engine.collectors.collectors import Collectors
from watcher.tests.base import TestCase
from watcher.tests.unit.common.test_entry_points import Installed

SETUP = pathlib.Path(__file__).parents[3] / "setup.cfg"


class Goalless(plugins.Strategy):
    name = "goalless"
    display_name = "A strategy without a goal"

    def execute(self, inputs):
        return plugins.Solution()


class Astray(Goalless):
    name = "astray"
    goal = "nowhere"


class Unplanned(Goalless):
    name = "unplanned"
    goal = "dummy"
    planner = "chance"


class Unscored(plugins.ScoringEngine):
    name = "unscored"
    description = "Cannot be made."

    def __init__(self):
        raise RuntimeError("no model file")

    def score(self, features):
        return features


class Uncollected:
    def __init__(self, conf, cloud):
        raise SystemExit("no such service")

    def snapshot(self): ...

    def sync(self): ...

    def hear(self, notification): ...


BROKEN = {
    "watcher_goals": {"aimless": type("Aimless", (plugins.Goal,), {"name": "aimless"})},
    "watcher_strategies": {
        "goalless": Goalless,
        "astray": Astray,
        "unplanned": Unplanned,
        "unloaded": ImportError("no module named pandas"),
    },
    "watcher_planners": {"chance": 7},
    "watcher_actions": {"dance": object},
    "watcher_scoring_engines": {"unscored": Unscored, "unasserted": AssertionError("no data")},
    "watcher_cluster_data_model_collectors": {"uncollected": Uncollected},
    "watcher_alarm_formats": {"silent": None},
}


class BrokenPluginsTest(TestCase):
    def setUp(self):
        super().setUp()
        usual = Catalog(self.conf)
        self.usual = {
            kind: [*getattr(usual, kind)]
            for kind in ("goals", "strategies", "planners", "scoring_engines")
        }
        self.useFixture(Installed(BROKEN, beside=True))

    def test_the_decision_engine_has_all_others(self):
        catalog = Catalog(self.conf)
        for kind, names in self.usual.items():
            self.assertEqual(names, [*getattr(catalog, kind)])
        self.conf.set_override("collector_plugins", ["compute", "uncollected"], group="collector")
        collectors = Collectors(self.conf, Cloud())
        self.assertRaises(plugins.NotConfigured, collectors.compute)

    def test_the_applier_has_all_others(self):
        self.assertIn("migrate", actions())
        self.assertNotIn("dance", actions())

    def test_the_upgrade_check_names_each(self):
        result = Checks(self.conf).check_plug_ins()
        self.assertEqual(Code.WARNING, result.code)
        for words in (
            "Plug-in aimless of watcher_goals is left out: It has no display_name.",
            "Plug-in goalless of watcher_strategies is left out: It has no goal.",
            "Plug-in astray of watcher_strategies is left out: There is no goal nowhere.",
            "Plug-in unplanned of watcher_strategies is left out: There is no planner chance.",
            "Plug-in unloaded of watcher_strategies is left out: It does not load: ImportError",
            "Plug-in chance of watcher_planners is left out: It is no subclass of",
            "Plug-in dance of watcher_actions is left out: It is no subclass of",
            "Plug-in unscored of watcher_scoring_engines is left out: It cannot be made: ",
            "Plug-in silent of watcher_alarm_formats is left out: It cannot be called.",
        ):
            self.assertIn(words, result.details)


class PublicModuleTest(TestCase):
    def test_the_upgrade_check_is_content_with_what_comes_with_watcher(self):
        self.assertEqual(Code.SUCCESS, Checks(self.conf).check_plug_ins().code)

    def test_all_that_it_names_is_there(self):
        page = (SETUP.parent / "doc/source/contributor/plug-ins.rst").read_text()
        _, table, _ = page.split(".. public names")
        names = re.findall(r"``(\w+)``", table)
        for name in names:
            self.assertTrue(hasattr(plugins, name), name)
        source = pathlib.Path(plugins.__file__).read_text()
        self.assertEqual({*re.findall(r" as (\w+)", source)}, {*names})
        self.assertRaises(AttributeError, getattr, plugins, "ComputeModels")

    def test_it_knows_each_namespace(self):
        setup = configparser.ConfigParser()
        setup.read(SETUP)
        declared = {name for name in setup["entry_points"] if name.startswith("watcher_")}
        self.assertEqual({*declared, "watcher_alarm_formats"}, plugins.KINDS.keys())

    def test_numpy_comes_when_it_is_wanted(self):
        code = "import sys, watcher.plugins as p; print('numpy' in sys.modules, p.WhatIf, p.MEMORY)"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        self.assertEqual("False <class 'watcher.model.whatif.WhatIf'> 1\n", done.stdout)
