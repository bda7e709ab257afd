# SPDX-License-Identifier: Apache-2.0
from watcher.decision_engine.solution import Solution, SolutionBuilder
from watcher.decision_engine.strategies import parameters
from watcher.decision_engine.strategies.base import Inputs, Strategy


class Actuator(Strategy):
    """Proposes the actions that the audit's parameters list, as they are."""

    name = "actuator"
    display_name = "Actuator"
    goal = "unclassified"
    optimizes = False
    checked = False
    schema = {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "object",
        "properties": {
            "actions": {
                "description": "The actions of the plan. The planner orders them by type.",
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "action_type": parameters.text(
                            "Name of an action, such as nop or migrate."
                        ),
                        "resource_id": parameters.text("What the action works on."),
                        "input_parameters": {
                            "description": "What else the action takes.",
                            "type": "object",
                            "properties": {},
                            "additionalProperties": True,
                        },
                    },
                    "required": ["action_type", "input_parameters"],
                    "additionalProperties": True,
                },
            }
        },
        "required": ["actions"],
        "additionalProperties": True,
    }

    def execute(self, inputs: Inputs) -> Solution:
        solution = SolutionBuilder()
        for action in inputs.parameters["actions"]:
            solution.add(
                action["action_type"],
                action.get("resource_id"),
                "The audit's parameters ask for it",
                **action["input_parameters"],
            )
        return solution.build()
