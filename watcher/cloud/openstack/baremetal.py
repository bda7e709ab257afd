# SPDX-License-Identifier: Apache-2.0
"""Bare metal by ironic."""

from collections.abc import Sequence

from oslo_config import cfg

from watcher.cloud.baremetal import BaremetalNode
from watcher.cloud.openstack.errors import understood
from watcher.cloud.openstack.service_client import Json, ServiceClient

VERSION = "1.8"
"""The first microversion in which fields can be chosen; every ironic since 2015 has it."""
_FIELDS = "uuid,name,power_state,target_power_state,maintenance,maintenance_reason,extra"
_POWER = {
    "power on": "on",
    "rebooting": "on",
    "soft rebooting": "on",
    "soft reboot": "on",
    "power off": "off",
    "soft power off": "off",
}


class Ironic:
    """The ``Baremetal`` of a real cloud.  One request lists 1,000 nodes.

    The operator names a node's compute host, by its uuid, in ``compute_node_id`` of the
    node's ``extra``.
    """

    keeps_hosts_up = True

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._service = ServiceClient(conf, "ironic")

    def nodes(self) -> Sequence[BaremetalNode]:
        return [
            _node(row) for row in self._service.rows("/nodes", "nodes", VERSION, fields=_FIELDS)
        ]

    def node(self, uuid: str) -> BaremetalNode:
        return _node(self._service.get(f"/nodes/{uuid}", VERSION, fields=_FIELDS))

    def set_power(self, uuid: str, state: str) -> None:
        self._service.put(f"/nodes/{uuid}/states/power", {"target": f"power {state}"}, VERSION)


def _node(row: Json) -> BaremetalNode:
    extra = row.get("extra")
    with understood("ironic", "a node"):
        return BaremetalNode(
            uuid=row["uuid"],
            name=row.get("name") or "",
            power_state=_POWER.get(row.get("power_state") or "", "unknown"),
            switches=row["target_power_state"] is not None,
            maintenance=bool(row.get("maintenance")),
            maintenance_reason=row.get("maintenance_reason"),
            host_uuid=extra.get("compute_node_id") if isinstance(extra, dict) else None,
        )
