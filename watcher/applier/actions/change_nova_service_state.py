# SPDX-License-Identifier: Apache-2.0
from collections.abc import Mapping
from typing import Any

from watcher.applier.actions.base import NAME, Action, ActionFailed, Skip, object_schema
from watcher.cloud.compute import DISABLED, MAINTAINING, Host, read_disabled_reason
from watcher.common.errors import NotFound


class ChangeNovaServiceState(Action):
    """Lets nova's scheduler use a compute host, or forbids it."""

    name = "change_nova_service_state"
    description = "Enable or disable the nova-compute service of a host."
    schema = object_schema(
        ["resource_id", "state"],
        resource_id=NAME,
        resource_name=NAME,
        state={"enum": ["up", "down", "enabled", "disabled"]},
        disabled_reason=NAME,
        only_if_empty={"type": "boolean"},
    )

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
        if self._reached(host):
            raise Skip(f"The compute service of host {host.hostname} is {host.status} already.")
        self._check_empty(host)
        return {"status": host.status, "disabled_reason": host.disabled_reason}

    def execute(self) -> None:
        self._set(self._wanted, self.parameters.get("disabled_reason"))

    def verify(self) -> None:
        host = self._host()
        if not self._reached(host):
            raise ActionFailed(
                f"The compute service of host {host.hostname} should be {self._wanted} but is "
                f"{host.status}."
            )

    def resume(self) -> None:
        if not self._reached(self._host()):
            self.execute()

    def abort(self) -> bool:
        return not self._reached(self._host())

    def revert(self, origin: Mapping[str, Any]) -> None:
        self._set(origin["status"], origin["disabled_reason"])

    @property
    def _wanted(self) -> str:
        return str(self.parameters["state"])

    def _reached(self, host: Host) -> bool:
        """Whether the host is as wanted.  A host that Watcher disabled for another reason is not in
        maintenance yet, because Watcher might enable it again."""
        reason = read_disabled_reason(self.parameters.get("disabled_reason"))
        if reason and reason.word == MAINTAINING and host.disabled_as == DISABLED:
            return False
        return host.status == self._wanted

    def _check_empty(self, host: Host) -> None:
        if self._wanted == "disabled" and self.parameters.get("only_if_empty"):
            servers = len(self._compute.servers_on(host.hostname))
            if servers:
                raise Skip(
                    f"Host {host.hostname} stays in service: it was to be disabled only if empty, "
                    f"and has {servers} server{'s' if servers > 1 else ''} left."
                )

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
