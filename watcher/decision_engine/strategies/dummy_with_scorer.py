# SPDX-License-Identifier: Apache-2.0
import json
import random

from watcher.decision_engine.scoring import MIB
from watcher.decision_engine.solution import Solution, SolutionBuilder
from watcher.decision_engine.strategies import parameters
from watcher.decision_engine.strategies.base import Inputs, Strategy
from watcher.decision_engine.strategies.dummy import REASON

GIB = 1024 * MIB


class DummyWithScorer(Strategy):
    """Calls two scoring engines with invented telemetry, to show how a strategy uses them."""

    name = "dummy_with_scorer"
    display_name = "Dummy Strategy using sample Scoring Engines"
    goal = "dummy"
    optimizes = False
    schema = {
        "properties": {
            "param1": parameters.number(
                "A number; it has no effect.", 3.2, minimum=1.0, maximum=10.2
            ),
            "param2": parameters.text("A text; it has no effect.", default="hello"),
        }
    }

    def execute(self, inputs: Inputs) -> Solution:
        chance = random.Random(inputs.seed)
        classifier = inputs.scoring_engine("dummy_scorer")
        workloads = json.loads(classifier.metainfo)["workloads"]
        workload, *_ = json.loads(classifier.score(json.dumps(_telemetry(chance))))
        average = inputs.scoring_engine("dummy_avg_scorer")
        (mean,) = json.loads(average.score(json.dumps(chance.sample(range(1000), 20))))
        solution = SolutionBuilder()
        solution.add("nop", None, REASON, message="Hello from Dummy Strategy with Scorer!")
        solution.add("nop", None, REASON, message=f"Detected Workload: {workloads[workload]}")
        solution.add("nop", None, REASON, message=f"AVG Scorer result: {mean}")
        solution.add("sleep", None, REASON, duration=5.0)
        return solution.build()


def _telemetry(chance: random.Random) -> list[int]:
    """The nine features of ``dummy_scorer``."""
    return [
        chance.randint(0, 100),
        4 * GIB,
        chance.randint(1 * GIB, 4 * GIB),
        chance.randint(0, 2000),
        chance.randint(0, 2000),
        chance.randint(0, 200 * MIB),
        chance.randint(0, 200 * MIB),
        chance.randint(0, 20 * MIB),
        chance.randint(0, 10 * MIB),
    ]
