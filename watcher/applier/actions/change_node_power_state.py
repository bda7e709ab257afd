# SPDX-License-Identifier: Apache-2.0
import math

from oslo_log import log

from watcher.applier.actions.base import Action, ActionFailed
from watcher.cloud.baremetal import Baremetal, BaremetalNode, hosts_of
from watcher.common.errors import CloudUnavailable

LOG = log.getLogger(__name__)


class ChangeNodePowerState(Action):
    """Switches a machine on or, if its compute host has no running servers, off."""

    name = "change_node_power_state"
    description = "Switch a bare metal node on or off."
    schema = {
        "type": "object",
        "properties": {
            "resource_id": {"type": "string", "minLength": 1},
            "state": {"enum": ["on", "off"]},
            "resource_name": {"type": "string"},
        },
        "required": ["resource_id", "state"],
        "additionalProperties": False,
    }

    def check(self) -> None:
        node = self._baremetal.node(self._uuid)
        if self._state == "off" and node.power_state != "off":
            self._check_unused(node)

    def execute(self) -> None:
        if self._baremetal.node(self._uuid).power_state == self._state:
            return
        try:
            self._baremetal.set_power(self._uuid, self._state)
        except CloudUnavailable as error:
            # The request may have got through; what becomes of the machine tells.
            LOG.warning("Request to switch node %s %s: %s", self._uuid, self._state, error)
        self._await()

    def resume(self) -> None:
        # Asking twice for the same state is as good as once.
        self.check()
        self.execute()

    @property
    def _baremetal(self) -> Baremetal:
        return self.tools.cloud.baremetal

    @property
    def _uuid(self) -> str:
        uuid: str = self.parameters["resource_id"]
        return uuid

    @property
    def _state(self) -> str:
        state: str = self.parameters["state"]
        return state

    def _check_unused(self, node: BaremetalNode) -> None:
        compute = self.tools.cloud.compute
        host = hosts_of([node], compute.hosts()).get(node.uuid)
        if host is None:
            raise ActionFailed(
                f"Node {node.uuid} belongs to no known compute host, so it may be in use; it "
                f"stays on."
            )
        running = sum(server.state != "stopped" for server in compute.servers_on(host.hostname))
        if running:
            raise ActionFailed(
                f"Node {node.uuid} stays on: its host {host.hostname} has {running} servers that "
                f"are not stopped."
            )

    def _await(self) -> None:
        options = self.tools.conf.baremetal
        for _ in range(math.ceil(options.power_timeout / options.power_interval)):
            self.tools.wait(options.power_interval)
            try:
                power = self._baremetal.node(self._uuid).power_state
            except CloudUnavailable as error:
                LOG.warning("Node %s cannot be looked at: %s", self._uuid, error)
                continue
            if power == self._state:
                return
        raise ActionFailed(
            f"Node {self._uuid} was not switched {self._state} within {options.power_timeout} "
            f"seconds."
        )
