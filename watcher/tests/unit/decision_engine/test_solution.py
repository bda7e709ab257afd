# SPDX-License-Identifier: Apache-2.0
from watcher.cloud.compute import DISABLED, MAINTAINING
from watcher.decision_engine.planners import NodeResourceConsolidationPlanner, WeightPlanner
from watcher.decision_engine.solution import SolutionBuilder, with_owner
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine.clusters import host


class SignedTest(TestCase):
    """What a plan closes names it as its owner, whichever planner made it."""

    def reasons(self, planner):
        builder = SolutionBuilder()
        builder.disable(host("h1", 1), DISABLED)
        builder.disable(host("h2", 1), MAINTAINING)
        builder.add("change_nova_service_state", "h3", state="disabled", disabled_reason="new fans")
        builder.enable(host("h1", 1))
        planned = planner(self.conf[f"watcher_planners.{planner.name}"]).plan(builder.build())
        return [
            each.input_parameters.get("disabled_reason") for each in with_owner(planned, "the plan")
        ]

    def test_reasons(self):
        for planner in (WeightPlanner, NodeResourceConsolidationPlanner):
            self.assertEqual(
                ["watcher_disabled the plan", "watcher_maintaining the plan", "new fans", None],
                self.reasons(planner),
            )
