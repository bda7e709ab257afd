# SPDX-License-Identifier: Apache-2.0
"""What administrators get about metrics: a page, alerts, and a dashboard."""

import json
import pathlib
import re
import shutil
import subprocess
from typing import Any

import yaml

from watcher.db import gauges
from watcher.metrics.collector import DatabaseCollector
from watcher.tests.base import DatabaseTestCase

ROOT = pathlib.Path(__file__).parents[4]
PAGE = ROOT / "doc" / "source" / "admin" / "metrics.rst"
RULES = ROOT / "etc" / "prometheus" / "watcher.rules.yaml"
DASHBOARD = ROOT / "etc" / "grafana" / "watcher.json"


class TestPage(DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.page = PAGE.read_text()
        self.metrics = {
            metric.name + "_total" * (metric.type == "counter"): metric
            for metric in DatabaseCollector(self.conf, self.database).collect()
        }

    def test_the_table_is_the_one_of_the_code(self) -> None:
        rows = re.findall(r"^``(watcher_\w+)``\s+(\w+) ", self.page, re.M)
        self.assertEqual(
            [(name, metric.type) for name, metric in sorted(self.metrics.items())], sorted(rows)
        )

    def unknown(self, *texts: str) -> set[str]:
        """Names of metrics in *texts* that are not measured."""
        buckets = {f"{name}_bucket" for name in self.metrics}
        named = {name for text in texts for name in re.findall(r"watcher_\w+", text)}
        self.assertNotEqual(set(), named)
        return named - set(self.metrics) - buckets

    def test_the_page_names_what_is_measured(self) -> None:
        self.assertEqual(set(), self.unknown(self.page))

    def test_the_alerts_name_what_is_measured(self) -> None:
        (group,) = yaml.safe_load(RULES.read_text())["groups"]
        self.assertEqual(set(), self.unknown(*(rule["expr"] for rule in group["rules"][1:])))

    def test_promtool_takes_the_alerts(self) -> None:
        promtool = shutil.which("promtool")
        if promtool is None:
            self.skipTest("promtool, of Prometheus, is not installed")
        command = [promtool, "check", "rules", str(RULES)]
        done = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(0, done.returncode, done.stderr)

    def test_the_dashboard_shows_all_that_is_measured(self) -> None:
        dashboard: dict[str, Any] = json.loads(DASHBOARD.read_text())
        panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
        shown = [target["expr"] for panel in panels for target in panel["targets"]]
        self.assertEqual(set(), self.unknown(*shown))
        left_out = {
            name
            for name in self.metrics
            if not any(re.search(rf"\b{name}(_bucket)?\b", text) for text in shown)
        }
        self.assertEqual(
            {"watcher_events_coalesced_total", "watcher_inbox_events", "watcher_runs_ongoing"},
            left_out,
            "counts whose age or decision is shown",
        )

    def test_no_panel_covers_another(self) -> None:
        fields = [
            (x, y)
            for panel in json.loads(DASHBOARD.read_text())["panels"]
            for place in [panel["gridPos"]]
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        ]
        self.assertEqual(len(fields), len(set(fields)))
        self.assertLess(max(x for x, _ in fields), 24)

    def test_each_reason_to_wait_is_explained(self) -> None:
        self.assertEqual([], [why for why in gauges.WAIT_REASONS if f"``{why}``" not in self.page])
