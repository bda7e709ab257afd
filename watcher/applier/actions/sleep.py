# SPDX-License-Identifier: Apache-2.0
from watcher.applier.actions.base import Action


class Sleep(Action):
    """Waits: for trying plans out."""

    name = "sleep"
    description = "Wait for a number of seconds."
    schema = {
        "type": "object",
        "properties": {"duration": {"type": "number", "minimum": 0}},
        "required": ["duration"],
        "additionalProperties": False,
    }

    def execute(self) -> None:
        self.tools.wait(int(self.parameters["duration"]))

    def resume(self) -> None:
        self.execute()

    def abort(self) -> bool:
        return True
