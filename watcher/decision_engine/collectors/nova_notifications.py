# SPDX-License-Identifier: Apache-2.0
"""Reads servers and hosts from versioned notifications of nova."""

import datetime
import math
import re
from collections.abc import Mapping
from typing import Any

from oslo_utils import timeutils

from watcher.cloud.compute import Server
from watcher.cloud.needs import Needs
from watcher.decision_engine.collectors.compute_readings import GONE, ComputeReadings
from watcher.rpc.listener import CloudNotification

_PUBLISHER = "nova-"
_COMPUTE = "nova-compute"

_SERVER_EVENT = re.compile(
    r"instance\.(update|(create|delete|live_migration_force_complete|live_migration_post_dest"
    r"|live_migration_rollback|lock|pause|power_off|power_on|rebuild|rescue|resize|resize_confirm"
    r"|resize_finish|resize_revert|restore|resume|shelve|shelve_offload|shutdown|soft_delete"
    r"|suspend|unlock|unpause|unrescue|unshelve)\.end)"
)
"""Events that show the present state of a server.  ``live_migration_post.end`` does not: the source
sends it last, with the source as the server's host."""

_SILENCE = datetime.timedelta(seconds=60)
"""nova's default of ``service_down_time``: a service is down after so many seconds without a
heartbeat."""


def apply(readings: ComputeReadings, notification: CloudNotification) -> None:
    """Apply a notification of nova to *readings*; those of other services are ignored.

    LookupError, TypeError, ValueError or AttributeError if it has another form than nova's.
    """
    event = notification.event_type
    if not notification.publisher_id.startswith(_PUBLISHER):
        return
    if _SERVER_EVENT.fullmatch(event):
        data = _data(notification.payload)
        gone = data["state"] in GONE or event.endswith("delete.end")
        known = None if gone else server(data)
        readings.update_server(notification.sent, data["uuid"], known)
    elif event.startswith("service."):
        data = _data(notification.payload)
        if data["binary"] == _COMPUTE:
            gone = event == "service.delete"
            changes = None if gone else host_changes(data, notification.sent)
            is_new = event == "service.create"
            readings.update_host(notification.sent, data["host"], changes, is_new)


def server(data: Mapping[str, Any]) -> Server:
    """The server that the data of an InstancePayload describes, without its zone and what its
    image needs."""
    flavor = _data(data["flavor"])
    extra_specs = flavor.get("extra_specs") or {}
    disk = flavor["root_gb"] if data["image_uuid"] else 0  # a volume is not on the host's disk
    return Server(
        uuid=data["uuid"],
        name=data["display_name"],
        host=data["host"] or "",
        vcpus=flavor["vcpus"],
        memory_mb=flavor["memory_mb"],
        disk_gb=disk + flavor["ephemeral_gb"] + math.ceil(flavor["swap"] / 1024),
        state=data["state"],
        task_state=data["task_state"],
        project_id=data["tenant_id"],
        metadata=data["metadata"],
        created=_time(data["created_at"]),
        locked=data.get("locked", False),
        flavor=flavor["name"],
        extra_specs=extra_specs,
        needs=Needs.of(flavor["vcpus"], extra_specs),
    )


def host_changes(data: Mapping[str, Any], sent: datetime.datetime) -> dict[str, Any]:
    """The fields of a host in the data of a ServiceStatusPayload."""
    seen = data["last_seen_up"] and _time(data["last_seen_up"])
    down = data["forced_down"] or (seen is not None and sent - seen > _SILENCE)
    return {
        "status": "disabled" if data["disabled"] else "enabled",
        "disabled_reason": data["disabled_reason"],
        "state": "down" if down else "up",
    }


def _data(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    data: Mapping[str, Any] = payload["nova_object.data"]
    return data


def _time(text: str) -> datetime.datetime:
    """Naive, UTC."""
    time: datetime.datetime = timeutils.normalize_time(timeutils.parse_isotime(text))
    return time
