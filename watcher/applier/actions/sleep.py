# SPDX-License-Identifier: Apache-2.0
from watcher.applier.actions.base import Action, object_schema


class Sleep(Action):
    """Waits: for trying plans out."""

    name = "sleep"
    description = "Wait for a number of seconds."
    schema = object_schema(["duration"], duration={"type": "number", "minimum": 0})

    def execute(self) -> None:
        self.tools.wait(int(self.parameters["duration"]))

    def resume(self) -> None:
        self.execute()

    def abort(self) -> bool:
        return True
