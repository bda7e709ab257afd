# SPDX-License-Identifier: Apache-2.0
"""The files below ``etc/`` and at the top with which Watcher is deployed."""

import configparser
import importlib.util
import pathlib
import re
import runpy
import shutil
import subprocess
from importlib.metadata import distribution

import yaml

from tools import install_check
from watcher import conf, rpc
from watcher.api import keystone
from watcher.tests import base

ROOT = pathlib.Path(__file__).parents[3]
PREFIX = "/opt/watcher/"


class TestUnits(base.TestCase):
    """Units of systemd."""

    def setUp(self) -> None:
        super().setUp()
        self.units = {}
        for path in sorted((ROOT / "etc" / "systemd").glob("*.service")):
            unit = configparser.ConfigParser(strict=True, interpolation=None)
            unit.optionxform = str  # type: ignore[assignment,method-assign]
            unit.read_string(path.read_text())
            self.units[path.stem] = unit

    def test_each_service_has_one(self) -> None:
        scripts = {
            point.name
            for point in distribution("python-watcher").entry_points
            if point.group == "console_scripts"
        }
        for name in ("watcher-api", "watcher-decision-engine", "watcher-applier"):
            program = self.units[name]["Service"]["ExecStart"]
            self.assertEqual(f"{PREFIX}bin/{name}", program)
            self.assertIn(name, scripts)

    def test_what_they_name_is_installed(self) -> None:
        for unit in self.units.values():
            for path in re.findall(f"{PREFIX}(etc/\\S+)", unit["Service"]["ExecStart"]):
                self.assertTrue((ROOT / path).is_file(), path)

    def test_a_stop_leaves_time_for_a_graceful_one(self) -> None:
        for unit in self.units.values():
            self.assertGreater(int(unit["Service"]["TimeoutStopSec"]), 60)

    def test_systemd_takes_them(self) -> None:
        analyze = shutil.which("systemd-analyze")
        if analyze is None:
            self.skipTest("systemd-analyze is not installed")
        for path in sorted((ROOT / "etc" / "systemd").glob("*.service")):
            command = [analyze, "verify", "--man=no", str(path)]
            done = subprocess.run(command, capture_output=True, text=True)
            found = [line for line in done.stderr.splitlines() if path.name in line]
            self.assertEqual([], [line for line in found if "is not executable" not in line])


class TestServers(base.TestCase):
    """Configurations of WSGI servers."""

    def test_gunicorn(self) -> None:
        settings = runpy.run_path(str(ROOT / "etc" / "gunicorn" / "watcher.conf.py"))
        module, _, name = settings["wsgi_app"].partition(":")
        self.assertEqual("application", name)
        self.assertIsNotNone(importlib.util.find_spec(module))

    def test_uwsgi(self) -> None:
        parser = configparser.ConfigParser(inline_comment_prefixes=None, interpolation=None)
        parser.read(ROOT / "etc" / "uwsgi" / "watcher.ini")
        self.assertIsNotNone(importlib.util.find_spec(parser["uwsgi"]["module"]))


class TestContainers(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.compose = yaml.safe_load((ROOT / "compose.yaml").read_text())

    def test_options_that_the_environment_sets_exist(self) -> None:
        settings = conf.load(config_files=[])
        rpc.transport(settings)  # registers its own
        groups = ("DEFAULT", "DATABASE", "API", "METRICS", "WATCHER_DATASOURCES")
        environment = self.compose["services"]["api"]["environment"]
        for name in environment:
            group, option = name.removeprefix("OS_").split("__")
            if group in groups:
                section = settings if group == "DEFAULT" else settings[group.lower()]
                self.assertIn(option.lower(), section, name)
            else:
                self.assertIn(group, ("KEYSTONE_AUTHTOKEN", "WATCHER_CLIENTS_AUTH"))

    def test_a_stop_leaves_time_for_a_graceful_one(self) -> None:
        """As much as the units do: without it, docker kills after ten seconds."""
        for each in self.compose["services"].values():
            if each["image"] == "watcher":
                self.assertEqual("90s", each.get("stop_grace_period"))

    def test_each_service_runs_a_program_of_ours(self) -> None:
        scripts = {point.name for point in distribution("python-watcher").entry_points}
        commands = {
            each["command"][0]
            for each in self.compose["services"].values()
            if each.get("image") == "watcher"
        }
        self.assertLessEqual(commands, scripts)
        self.assertIn("watcher-applier", commands)


class TestGuide(base.TestCase):
    """tools/install_check.py carries the guide out; this is whether it can read it."""

    def test_the_commands(self) -> None:
        commands = list(install_check.commands())
        self.assertIn("apt-get update", commands)
        (enable,) = (command for command in commands if command.startswith("systemctl enable"))
        for name in install_check.SERVICES:
            self.assertIn(name, enable.split())
            self.assertTrue((ROOT / "etc" / "systemd" / f"{name}.service").is_file())

    def test_the_configuration(self) -> None:
        (content,) = install_check.blocks(install_check.section("Configuration"), "ini")
        path = pathlib.Path(self.directory, "watcher.conf")
        path.write_text(content)
        loaded = conf.load([], [str(path)])
        keystone.require(loaded)
        self.assertEqual("/var/log/watcher", loaded.log_dir)
