# SPDX-License-Identifier: Apache-2.0
"""The administrator's page lists what is measured."""

import pathlib
import re

from watcher.db import gauges
from watcher.metrics.collector import DatabaseCollector
from watcher.tests.base import DatabaseTestCase

PAGE = pathlib.Path(__file__).parents[4] / "doc" / "source" / "admin" / "metrics.rst"


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

    def test_the_alerts_name_what_is_measured(self) -> None:
        named = re.findall(r"watcher_\w+", self.page)
        parts = {f"{name}_bucket" for name in self.metrics}
        self.assertEqual(set(), set(named) - set(self.metrics) - parts)

    def test_each_reason_to_wait_is_explained(self) -> None:
        self.assertEqual([], [why for why in gauges.WAIT_REASONS if f"``{why}``" not in self.page])
