# SPDX-License-Identifier: Apache-2.0
from oslo_log import log

from watcher.applier.actions.base import Action, ActionFailed, Skip, object_schema

LOG = log.getLogger(__name__)

_SWITCHES = ("skip_pre_condition", "fail_pre_condition", "fail_execute", "fail_post_condition")


class Nop(Action):
    """Does nothing, or fails if its parameters say so; for trying plans out."""

    name = "nop"
    description = "Log a message and change nothing."
    schema = object_schema(
        ["message"],
        message={"type": ["string", "null"]},
        **{switch: {"type": "boolean", "default": False} for switch in _SWITCHES},
    )

    def check(self) -> None:
        if self.parameters.get("skip_pre_condition"):
            raise Skip("skip_pre_condition is set in the input parameters.")
        self._fail_if_asked("fail_pre_condition")

    def execute(self) -> None:
        LOG.debug("nop: %s", self.parameters["message"])
        self._fail_if_asked("fail_execute")

    def verify(self) -> None:
        self._fail_if_asked("fail_post_condition")

    def resume(self) -> None:
        self.execute()

    def abort(self) -> bool:
        return True

    def _fail_if_asked(self, switch: str) -> None:
        if self.parameters.get(switch):
            raise ActionFailed(f"{switch} is set in the input parameters.")
