# SPDX-License-Identifier: Apache-2.0
from collections.abc import Mapping
from typing import Any

from watcher.applier.actions.base import Action, ActionFailed, Skip
from watcher.cloud.compute import Compute, Host
from watcher.common.errors import NotFound


class ChangeNovaServiceState(Action):
    """Lets nova's scheduler use a compute host, or keeps it from that."""

    name = "change_nova_service_state"
    description = "Enable or disable the nova-compute service of a host."
    schema = {
        "type": "object",
        "properties": {
            "resource_id": {"type": "string", "minLength": 1},
            "resource_name": {"type": "string", "minLength": 1},
            "state": {"enum": ["up", "down", "enabled", "disabled"]},
            "disabled_reason": {"type": "string", "minLength": 1},
        },
        "required": ["resource_id", "state"],
        "additionalProperties": False,
    }

    def check(self) -> Mapping[str, Any]:
        try:
            host = self._host()
        except NotFound as error:
            raise Skip(str(error)) from None
        if self._wanted not in ("enabled", "disabled"):
            raise ActionFailed(
                f"state: a service is not set {self._wanted}, it is as it answers; what can be "
                f"set is enabled and disabled."
            )
        if host.status == self._wanted:
            raise Skip(f"The compute service of host {host.hostname} is {host.status} already.")
        return {"status": host.status, "disabled_reason": host.disabled_reason}

    def execute(self) -> None:
        self._set(self._wanted, self.parameters.get("disabled_reason"))

    def verify(self) -> None:
        host = self._host()
        if host.status != self._wanted:
            raise ActionFailed(
                f"The compute service of host {host.hostname} should be {self._wanted} but is "
                f"{host.status}."
            )

    def resume(self) -> None:
        if self._host().status != self._wanted:
            self.execute()

    def abort(self) -> bool:
        return self._host().status != self._wanted

    def revert(self, origin: Mapping[str, Any]) -> None:
        self._set(origin["status"], origin["disabled_reason"])

    @property
    def _compute(self) -> Compute:
        return self.tools.cloud.compute

    @property
    def _wanted(self) -> str:
        wanted: str = self.parameters["state"]
        return wanted

    def _set(self, status: str, reason: str | None) -> None:
        hostname = self._host().hostname
        if status == "enabled":
            self._compute.enable(hostname)
        else:
            self._compute.disable(hostname, reason or "")

    def _host(self) -> Host:
        """The host of that name or, failing that, of that uuid.  NotFound."""
        ident = self.parameters.get("resource_name") or self.parameters["resource_id"]
        try:
            return self._compute.host(ident)
        except NotFound:
            for host in self._compute.hosts():
                if host.uuid == ident:
                    return host
            raise
