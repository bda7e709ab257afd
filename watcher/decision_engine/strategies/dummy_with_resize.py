# SPDX-License-Identifier: Apache-2.0
from watcher.decision_engine.solution import Solution, SolutionBuilder
from watcher.decision_engine.strategies.base import Inputs, Strategy
from watcher.decision_engine.strategies.dummy import REASON, Dummy

_SERVERS = ("b199db0c-1408-4d52-b5a5-5ca14de0ff36", "8db1b3c1-7938-4c34-8c03-6de14b874f8f")


class DummyWithResize(Strategy):
    """Always proposes the same actions of four types, on servers that need not exist."""

    name = "dummy_with_resize"
    display_name = "Dummy strategy with resize"
    goal = "dummy"
    optimizes = False
    checked = False
    schema = Dummy.schema

    def execute(self, inputs: Inputs) -> Solution:
        solution = SolutionBuilder()
        solution.add("nop", None, REASON, message="hello World")
        solution.add("nop", None, REASON, message="Welcome")
        solution.add("sleep", None, REASON, duration=5.0)
        for server in _SERVERS:
            solution.add(
                "migrate",
                server,
                REASON,
                migration_type="live",
                source_node="compute2",
                destination_node="compute3",
            )
        solution.add("resize", _SERVERS[1], REASON, flavor="x2")
        return solution.build()
