# SPDX-License-Identifier: Apache-2.0
import math
from collections.abc import Mapping
from typing import Any

from watcher.applier.actions.base import NAME, Action, ActionFailed, object_schema
from watcher.cloud.baremetal import Baremetal, BaremetalNode, hosts_of
from watcher.cloud.compute import POWERED_OFF, Host
from watcher.common.errors import WatcherError


class ChangeNodePowerState(Action):
    """Switches a machine on or, if its compute host has no running servers, off.

    The compute service is disabled first and enabled last, because the scheduler does not know the
    power state: nova may show a host as up although its machine is off.
    """

    name = "change_node_power_state"
    description = "Switch a bare metal node on or off."
    schema = object_schema(
        ["resource_id", "state"],
        resource_id=NAME,
        state={"enum": ["on", "off"]},
        resource_name={"type": "string"},
    )

    def check(self) -> Mapping[str, Any] | None:
        node = self._baremetal.node(self._uuid)
        if self._wanted == "off" and node.power_state != "off":
            self._check_unused(self._known_host(node))
        return None if node.power_state == "unknown" else {"state": node.power_state}

    def execute(self) -> None:
        self._switch(self._wanted)

    def resume(self) -> None:
        # Asking twice for the same state is as good as once.
        self.check()
        self.execute()

    def abort(self) -> bool:
        # The effect of a recent request is visible after this time.
        self.tools.wait(self.tools.conf.baremetal.power_interval)
        node = self._baremetal.node(self._uuid)
        if node.power_state in (self._wanted, "unknown") or node.switches is not False:
            return False
        if self._wanted == "off":
            self._enable(self._host(node))
        return True

    def revert(self, origin: Mapping[str, Any]) -> None:
        self._switch(origin["state"])

    @property
    def _baremetal(self) -> Baremetal:
        return self.tools.cloud.baremetal

    @property
    def _wanted(self) -> str:
        return str(self.parameters["state"])

    def _switch(self, state: str) -> None:
        node = self._baremetal.node(self._uuid)
        if state == "off" and node.power_state != "off":
            self._disable(self._known_host(node))
        if node.power_state != state:
            self._request(self._baremetal.set_power, state)
            self._await(state)
        if state == "on":
            self._enable(self._host(node))

    def _disable(self, host: Host) -> None:
        """Disable the host; ActionFailed if it has running servers."""
        disables = host.status == "enabled"
        if disables:
            self._compute.disable(host.hostname, POWERED_OFF)
        try:
            self._check_unused(host)
        except WatcherError:
            if disables:
                self._compute.enable(host.hostname)
            raise

    def _enable(self, host: Host | None) -> None:
        if host is not None and host.status == "disabled" and host.disabled_reason == POWERED_OFF:
            self._compute.enable(host.hostname)

    def _host(self, node: BaremetalNode) -> Host | None:
        return hosts_of([node], self._compute.hosts()).get(node.uuid)

    def _known_host(self, node: BaremetalNode) -> Host:
        host = self._host(node)
        if host is None:
            raise ActionFailed(
                f"Node {node.uuid} belongs to no known compute host, so it may be in use; it "
                f"stays on."
            )
        return host

    def _check_unused(self, host: Host) -> None:
        servers = self._compute.servers_on(host.hostname)
        running = sum(server.state != "stopped" for server in servers)
        if running:
            raise ActionFailed(
                f"Node {self._uuid} stays on: its host {host.hostname} has {running} servers that "
                f"are not stopped."
            )

    def _await(self, state: str) -> None:
        options = self.tools.conf.baremetal
        number = math.ceil(options.power_timeout / options.power_interval)
        for node in self._poll(self._baremetal.node, number, options.power_interval):
            if node.power_state == state:
                return
        raise ActionFailed(
            f"Node {self._uuid} was not switched {state} within {options.power_timeout} seconds."
        )
