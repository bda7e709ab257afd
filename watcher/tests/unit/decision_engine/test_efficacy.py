# SPDX-License-Identifier: Apache-2.0
import json

from hypothesis import given
from hypothesis import strategies as st

from watcher.common.errors import Invalid
from watcher.decision_engine import efficacy, goals
from watcher.tests.base import TestCase

CONSOLIDATION = {
    "compute_nodes_count": 8,
    "released_compute_nodes_count": 2,
    "instance_migrations_count": 5,
}


def only(rows):
    (row,) = rows
    return row["name"], row["unit"], row["value"]


class EfficacyTest(TestCase):
    def test_server_consolidation(self):
        ratios, rows = efficacy.compute(goals.ServerConsolidationGoal, CONSOLIDATION)
        self.assertEqual(("released_nodes_ratio", "%", 25), only(ratios))
        self.assertEqual(CONSOLIDATION, {row["name"]: row["value"] for row in rows})
        self.assertEqual({"name", "description", "unit", "value"}, set(rows[0]))

    def test_workload_balancing(self):
        ratios, rows = efficacy.compute(
            goals.WorkloadBalancingGoal,
            {
                "instance_migrations_count": 3,
                "instances_count": 40,
                "standard_deviation_before_audit": 0.3,
                "standard_deviation_after_audit": 0.1,
            },
        )
        self.assertEqual(("live_migrations_count", "%", 7.5), only(ratios))
        self.assertEqual(4, len(rows))

    def test_optional_indicators_may_be_missing(self):
        ratios, rows = efficacy.compute(
            goals.WorkloadBalancingGoal, {"instance_migrations_count": 3}
        )
        self.assertEqual(("live_migrations_count", "%", 0), only(ratios))
        self.assertEqual(1, len(rows))

    def test_hardware_maintenance(self):
        values = {}
        for kind in ("live_migrate_instance", "cold_migrate_instance", "volume_migrate"):
            values |= {f"{kind}_count": 4, f"planned_{kind}_count": 3}
        values |= {"volume_update_count": 0, "planned_volume_update_count": 1}
        ratios, rows = efficacy.compute(goals.HardwareMaintenanceGoal, values)
        self.assertEqual(
            {
                "live_instance_migrate_ratio": 75,
                "cold_instance_migrate_ratio": 75,
                "volume_migrate_ratio": 75,
                "volume_update_ratio": 0,
            },
            {row["name"]: row["value"] for row in ratios},
        )
        self.assertEqual(8, len(rows))

    def test_a_strategy_that_reports_nothing_is_not_checked(self):
        ratios, rows = efficacy.compute(goals.ServerConsolidationGoal, {})
        self.assertEqual(("released_nodes_ratio", "%", 0), only(ratios))
        self.assertEqual([], rows)
        self.assertEqual(([], []), efficacy.compute(goals.DummyGoal, {}))

    def test_what_does_not_fit_is_named(self):
        for name, changes in (
            ("instance_migrations_count", {"instance_migrations_count": -1}),
            ("instance_migrations_count", {"instance_migrations_count": 1.5}),
            ("instance_migrations_count", {"instance_migrations_count": "3"}),
            ("instance_migrations_count", {"instance_migrations_count": True}),
            ("colour", {"colour": 1}),
        ):
            error = self.assertRaises(
                Invalid, efficacy.compute, goals.ServerConsolidationGoal, CONSOLIDATION | changes
            )
            self.assertTrue(str(error).startswith(f"{name}: "), error)

    def test_missing_indicators_are_named(self):
        error = self.assertRaises(
            Invalid, efficacy.compute, goals.ServerConsolidationGoal, {"compute_nodes_count": 1}
        )
        self.assertIn("released_compute_nodes_count", str(error))

    def test_numbers_are_finite(self):
        for value in (float("nan"), float("inf")):
            self.assertRaises(
                Invalid,
                efficacy.compute,
                goals.WorkloadBalancingGoal,
                {"instance_migrations_count": 1, "standard_deviation_after_audit": value},
            )

    @given(st.integers(0, 10**6), st.integers(0, 10**6))
    def test_ratios_exist_for_all_counts(self, part, whole):
        ratio = efficacy.Ratio("r", "", part="a", whole="b").of({"a": part, "b": whole})
        self.assertEqual(round(100 * part / whole, 2) if whole else 0, ratio)

    def test_the_stored_form(self):
        first, *_ = goals.ServerConsolidationGoal.efficacy.stored()
        self.assertEqual({"name", "description", "unit", "schema"}, set(first))
        self.assertEqual({"type": "integer", "minimum": 0}, json.loads(first["schema"]))
        self.assertEqual([], goals.DummyGoal.efficacy.stored())
