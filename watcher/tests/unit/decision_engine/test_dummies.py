# SPDX-License-Identifier: Apache-2.0
from watcher.common.errors import Invalid
from watcher.decision_engine.strategies.actuator import Actuator
from watcher.decision_engine.strategies.dummy import Dummy
from watcher.decision_engine.strategies.dummy_with_resize import DummyWithResize
from watcher.decision_engine.strategies.dummy_with_scorer import DummyWithScorer
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import clusters


def steps(strategy, **what):
    solution = strategy().execute(clusters.inputs(strategy, **what))
    return [(action.action_type, action.input_parameters) for action in solution.actions]


class DummyTest(TestCase):
    def test_it_proposes_two_messages_and_a_sleep(self):
        self.assertEqual(
            [
                ("nop", {"message": "hello World"}),
                ("nop", {"message": "hello"}),
                ("sleep", {"duration": 3.2}),
            ],
            steps(Dummy),
        )

    def test_its_parameters_are_the_messages_and_the_duration(self):
        self.assertEqual(
            [
                ("nop", {"message": "hello World"}),
                ("nop", {"message": "moo"}),
                ("sleep", {"duration": 2}),
            ],
            steps(Dummy, para1=2, para2="moo"),
        )

    def test_the_same_message_twice_is_one_action(self):
        self.assertEqual(["nop", "sleep"], [kind for kind, _ in steps(Dummy, para2="hello World")])

    def test_a_sleep_out_of_bounds_is_refused(self):
        self.assertRaises(Invalid, steps, Dummy, para1=10.3)
        self.assertRaises(Invalid, steps, Dummy, para1=0.9)


class DummyWithScorerTest(TestCase):
    def test_it_reports_the_results_of_the_scoring_engines(self):
        first, second, third, last = steps(DummyWithScorer)
        self.assertEqual(("nop", {"message": "Hello from Dummy Strategy with Scorer!"}), first)
        self.assertIn(
            second[1]["message"].removeprefix("Detected Workload: "),
            ("idle", "cpu-intensive", "memory-intensive", "disk-intensive"),
        )
        average = float(third[1]["message"].removeprefix("AVG Scorer result: "))
        self.assertTrue(9.5 <= average <= 989.5)
        self.assertEqual(("sleep", {"duration": 5.0}), last)

    def test_a_repeated_attempt_finds_the_same(self):
        self.assertEqual(steps(DummyWithScorer, seed=7), steps(DummyWithScorer, seed=7))
        self.assertNotEqual(steps(DummyWithScorer, seed=7), steps(DummyWithScorer, seed=8))


class DummyWithResizeTest(TestCase):
    def test_it_proposes_four_types_of_steps(self):
        one, two = (
            "b199db0c-1408-4d52-b5a5-5ca14de0ff36",
            "8db1b3c1-7938-4c34-8c03-6de14b874f8f",
        )
        way = {
            "migration_type": "live",
            "source_node": "compute2",
            "destination_node": "compute3",
        }
        self.assertEqual(
            [
                ("nop", {"message": "hello World"}),
                ("nop", {"message": "Welcome"}),
                ("sleep", {"duration": 5.0}),
                ("migrate", {"resource_id": one, **way}),
                ("migrate", {"resource_id": two, **way}),
                ("resize", {"resource_id": two, "flavor": "x2"}),
            ],
            steps(DummyWithResize),
        )


class ActuatorTest(TestCase):
    def test_it_passes_on_what_it_is_given_in_order(self):
        self.assertEqual(
            [
                ("sleep", {"duration": 1}),
                ("stop", {"resource_id": "x"}),
                ("nop", {"message": "a", "action_type": "free-form", "self": 1}),
            ],
            steps(
                Actuator,
                actions=[
                    {"action_type": "sleep", "input_parameters": {"duration": 1}},
                    {"action_type": "stop", "input_parameters": {}, "resource_id": "x"},
                    {
                        "action_type": "nop",
                        "input_parameters": {
                            "message": "a",
                            "action_type": "free-form",
                            "self": 1,
                        },
                    },
                ],
            ),
        )

    def test_it_needs_actions(self):
        error = self.assertRaises(Invalid, steps, Actuator)
        self.assertIn("actions", str(error))

    def test_unknown_keys_of_an_action_are_refused(self):
        action = {"action_type": "nop", "input_parameters": {"message": "a"}, "colour": "red"}
        error = self.assertRaises(Invalid, steps, Actuator, actions=[action])
        self.assertIn("colour", str(error))

    def test_a_resource_given_twice_is_refused(self):
        action = {
            "action_type": "stop",
            "resource_id": "x",
            "input_parameters": {"resource_id": "y"},
        }
        error = self.assertRaises(Invalid, steps, Actuator, actions=[action])
        self.assertIn("resource_id", str(error))
