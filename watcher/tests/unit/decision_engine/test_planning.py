# SPDX-License-Identifier: Apache-2.0
import dataclasses
import types

import numpy as np

from watcher.cloud.compute import ServerGroup
from watcher.common.errors import Invalid
from watcher.db.action_plans import PlannedAction
from watcher.decision_engine import planning
from watcher.decision_engine.planners import Planner, WeightPlanner
from watcher.decision_engine.solution import SolutionBuilder
from watcher.decision_engine.strategies import trial
from watcher.decision_engine.strategies.actuator import Actuator
from watcher.decision_engine.strategies.base import Strategy
from watcher.model.compute import ComputeModel
from watcher.model.whatif import WhatIf
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine.clusters import host, server, uid


class Careless(Strategy):
    """Moves the servers that it is given to the host that it is given, whatever it has room for."""

    name = "careless"

    def __init__(self, *moves):
        self._moves = moves

    def execute(self, inputs):
        model, solution = inputs.compute_model(), SolutionBuilder()
        what_if = WhatIf(model)
        for name, to in self._moves:
            number = model.server_index[uid(name)]
            solution.migrate(model.servers[number], model.hosts[model.host_index[to]])
            what_if.move(number, model.host_index[to])
        return solution.build()


class ProofTest(TestCase):
    def setUp(self):
        super().setUp()
        self.hosts = [host("h1", 4), host("h2", 4)]
        self.servers = [server("s1", "h1", 2), server("s2", "h1", 2), server("s3", "h2", 3)]
        self.planner = WeightPlanner(self.conf["watcher_planners.weight"])

    def plan(self, *moves, groups=(), excluded=(), planner=None):
        model = ComputeModel.build(self.hosts, self.servers, groups)
        movable = np.array([each.name not in excluded for each in model.servers])
        scoped = dataclasses.replace(model, movable=movable)
        inputs = dataclasses.replace(trial.inputs(Careless, scoped), cloud=lambda: model)
        solution = Careless(*moves).execute(inputs)
        return planning.plan(Careless, solution, inputs, planner or self.planner)

    def test_a_move_that_is_illegal_names_its_action(self):
        error = self.assertRaises(Invalid, self.plan, ("s3", "h1"), ("s1", "h2"), ("s2", "h2"))
        self.assertEqual(
            "Strategy careless made a plan that breaks a rule, in action 1 of 3, migrate s3 from "
            "h2 to h1: Host h1 would hold 7 vCPUs, and can hold 4.",
            str(error),
        )

    def test_a_server_that_the_scope_excludes(self):
        self.servers.pop()
        self.assertEqual(1, len(self.plan(("s1", "h2"))))
        error = self.assertRaises(Invalid, self.plan, ("s1", "h2"), excluded=["s1"])
        self.assertIn("scope excludes", str(error))

    def test_several_faults_are_counted(self):
        self.hosts[1] = host("h2", 4, state="down")
        error = self.assertRaises(Invalid, self.plan, ("s1", "h2"), ("s2", "h2"))
        self.assertIn("action 1 of 2, migrate s1 from h1 to h2: Host h2 is down.", str(error))
        self.assertIn("It has 4 faults in all.", str(error))

    def test_a_planner_that_lets_members_of_a_group_move_together(self):
        class AllAtOnce(Planner):
            def plan(self, solution, groups=()):
                return [
                    PlannedAction(str(number), each.action_type, each.input_parameters, ())
                    for number, each in enumerate(solution.actions)
                ]

        self.hosts = [host(name, 9) for name in ("h1", "h2", "h3", "h4")]
        groups = [ServerGroup("g", "anti-affinity", [uid("s1"), uid("s3")])]
        moves = ("s1", "h3"), ("s3", "h4")
        self.servers.pop(1)
        self.assertEqual(2, len(self.plan(*moves, groups=groups)))
        unlimited = AllAtOnce(types.SimpleNamespace())
        error = self.assertRaises(Invalid, self.plan, *moves, groups=groups, planner=unlimited)
        self.assertIn("at the same time as the move of another server of its group", str(error))

    def test_what_a_person_wrote_is_not_judged(self):
        solution = SolutionBuilder()
        solution.migrate(server("s9", "h7", 2), None)
        actions = planning.plan(Actuator, solution.build(), trial.inputs(Careless), self.planner)
        self.assertEqual(1, len(actions))
        self.assertEqual(0, planning.unproven(Actuator, actions))
        self.assertEqual(1, planning.unproven(Careless, actions))

    def test_without_a_move_no_model_is_needed(self):
        solution = SolutionBuilder()
        solution.add("nop", None, message="hello")
        actions = planning.plan(Careless, solution.build(), trial.inputs(Careless), self.planner)
        self.assertEqual(1, len(actions))
