# SPDX-License-Identifier: Apache-2.0
"""The compute model as the API shows it: one row for each server, with its host."""

from typing import Any

from watcher.cloud.compute import Host, Server
from watcher.model.compute import ComputeModel

Row = dict[str, Any]


def rows(model: ComputeModel, extended: bool) -> list[Row]:
    """By host and then server, each by uuid; a host without servers has a row as well.

    *extended* are the extra specs of flavors and the zones that servers are pinned to.
    """
    order = model.placement.argsort(kind="stable").tolist()
    on: dict[int, list[int]] = {}
    for server in order:
        on.setdefault(int(model.placement[server]), []).append(server)
    movable = model.movable.tolist()
    shown = []
    for position, host in enumerate(model.hosts):
        node = _node(host)
        servers = on.get(position, ())
        shown += [
            {**node, **_server(model.servers[each], movable[each], extended)} for each in servers
        ]
        if not servers:
            shown.append(node)
    return shown


def _node(host: Host) -> Row:
    return {
        "node_uuid": host.uuid,
        "node_hostname": host.hostname,
        "node_status": host.status,
        "node_disabled_reason": host.disabled_reason,
        "node_state": host.state,
        "node_memory": host.memory_mb,
        "node_memory_mb_reserved": host.memory_mb_reserved,
        "node_disk": host.disk_gb,
        "node_disk_gb_reserved": host.disk_gb_reserved,
        "node_vcpus": host.vcpus,
        "node_vcpu_reserved": host.vcpus_reserved,
        "node_memory_ratio": host.memory_ratio,
        "node_vcpu_ratio": host.vcpu_ratio,
        "node_disk_ratio": host.disk_ratio,
    }


def _server(server: Server, movable: bool, extended: bool) -> Row:
    return {
        "server_uuid": server.uuid,
        "server_watcher_exclude": not movable,
        "server_name": server.name,
        "server_state": server.state,
        "server_memory": server.memory_mb,
        "server_disk": server.disk_gb,
        "server_vcpus": server.vcpus,
        "server_metadata": dict(server.metadata),
        "server_project_id": server.project_id,
        "server_locked": server.locked,
        "server_pinned_az": server.pinned_az if extended else "",
        "server_flavor_extra_specs": dict(server.extra_specs) if extended else {},
    }
