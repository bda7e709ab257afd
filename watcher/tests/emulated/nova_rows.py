# SPDX-License-Identifier: Apache-2.0
"""What nova shows of each server."""

import datetime
import uuid
from typing import Any

Row = dict[str, Any]

# What else nova shows of a server, so that an answer is as large as in life.
BESIDES: Row = {
    "accessIPv4": "",
    "accessIPv6": "",
    "addresses": {
        "private": [
            {
                "version": 4,
                "addr": f"192.0.2.{number}",
                "OS-EXT-IPS:type": "fixed",
                "OS-EXT-IPS-MAC:mac_addr": f"fa:16:3e:00:00:0{number}",
            }
            for number in (1, 2)
        ]
    },
    "config_drive": "",
    "description": None,
    "hostId": "f" * 56,
    "host_status": "UP",
    "key_name": "default",
    "links": [
        {"rel": rel, "href": "http://192.0.2.9:8774/v2.1/servers/" + "f" * 36}
        for rel in ("self", "bookmark")
    ],
    "os-extended-volumes:volumes_attached": [{"id": "f" * 36, "delete_on_termination": False}],
    "progress": 0,
    "security_groups": [{"name": "default"}],
    "tags": [],
    "trusted_image_certificates": None,
    "user_id": "f" * 32,
    **{
        f"OS-EXT-SRV-ATTR:{name}": "f" * 16
        for name in (
            "hostname",
            "hypervisor_hostname",
            "instance_name",
            "kernel_id",
            "ramdisk_id",
            "reservation_id",
            "root_device_name",
        )
    },
    "OS-EXT-AZ:availability_zone": "nova",
    "OS-EXT-STS:power_state": 1,
    "OS-DCF:diskConfig": "MANUAL",
    "OS-SRV-USG:launched_at": "2026-01-02T03:04:05.000000",
    "OS-SRV-USG:terminated_at": None,
    "pinned_availability_zone": None,
    "ports": (),
}


def embedded(flavor: Row) -> Row:
    """A flavor as servers show it."""
    return {
        "original_name": flavor["name"],
        "vcpus": flavor["vcpus"],
        "ram": flavor["ram"],
        "disk": flavor["disk"],
        "ephemeral": flavor["OS-FLV-EXT-DATA:ephemeral"],
        "swap": flavor["swap"] or 0,
        "extra_specs": flavor.get("extra_specs", {}),
    }


def shown(row: Row, version: tuple[int, ...]) -> Row:
    """What a microversion shows of a server."""
    hidden = {"ports"} if version >= (2, 96) else {"ports", "pinned_availability_zone"}
    row = {key: value for key, value in row.items() if key not in hidden}
    if row.get("image"):
        # Properties such as ``trait:X`` are not among those that nova shows.
        properties = row["image"].get("properties", {})
        known = {key: value for key, value in properties.items() if ":" not in key}
        image = {"id": row["image"]["id"], "properties": known}
        row["image"] = image if version >= (2, 98) else {"id": row["image"]["id"]}
    return row


def migration(number: int, server: str, kind: str, source: str, destination: str | None) -> Row:
    """One that begins now, as the list of all migrations shows it."""
    now = moment()
    return {
        "id": number,
        "uuid": str(uuid.uuid4()),
        "instance_uuid": server,
        "migration_type": kind,
        "status": "running" if kind == "live-migration" else "migrating",
        "source_compute": source,
        "source_node": source,
        "dest_compute": destination,
        "dest_host": "192.0.2.7",
        "dest_node": destination,
        "old_instance_type_id": 1,
        "new_instance_type_id": 1,
        "created_at": now,
        "updated_at": now,
    }


def moment() -> str:
    """Now, in the form that migrations have."""
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None, microsecond=0)
    return now.isoformat(timespec="microseconds")
