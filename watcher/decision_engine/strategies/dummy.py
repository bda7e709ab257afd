# SPDX-License-Identifier: Apache-2.0
from watcher.decision_engine.solution import Solution, SolutionBuilder
from watcher.decision_engine.strategies import parameters
from watcher.decision_engine.strategies.base import Inputs, Strategy

REASON = "Tries out audits, plans and actions"


class Dummy(Strategy):
    """Logs two messages and sleeps, to test that audits, plans and the applier work."""

    name = "dummy"
    display_name = "Dummy strategy"
    goal = "dummy"
    optimizes = False
    schema = {
        "properties": {
            "para1": parameters.number("Seconds to sleep.", 3.2, minimum=1.0, maximum=10.2),
            "para2": parameters.text("What to say second.", default="hello"),
        }
    }

    def execute(self, inputs: Inputs) -> Solution:
        solution = SolutionBuilder()
        solution.add("nop", None, REASON, message="hello World")
        solution.add("nop", None, REASON, message=inputs.parameters["para2"])
        solution.add("sleep", None, REASON, duration=inputs.parameters["para1"])
        return solution.build()
