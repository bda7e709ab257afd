# SPDX-License-Identifier: Apache-2.0
"""Block storage by cinder, of any version that has the API 3."""

import datetime
import math
from collections.abc import Collection, Sequence
from typing import Any

from oslo_config import cfg

from watcher.cloud.block_storage import (
    Attachment,
    Pool,
    StorageNode,
    Volume,
    VolumeChanges,
    VolumeType,
)
from watcher.cloud.openstack.errors import understood
from watcher.cloud.openstack.service_client import Json, ServiceClient

PAGE = 1000
"""Volumes or snapshots in one request: the default maximum of cinder."""

_TIMES = "3.60"
"""From these microversions on, volumes can be filtered by time and (3.45) counted."""


class Cinder:
    """The ``BlockStorage`` of a real cloud.

    A model of V volumes and S snapshots takes 3 requests, and V and S by ``PAGE`` more;
    reading the changes takes 3 instead of V by ``PAGE``.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._service = ServiceClient(conf, "cinder")

    def nodes(self) -> Sequence[StorageNode]:
        answer = self._service.get("/os-services", binary="cinder-volume")
        with understood("cinder", "services"):
            return [
                StorageNode(row["host"], row["zone"], row["status"], row["state"])
                for row in answer["services"]
            ]

    def pools(self) -> Sequence[Pool]:
        answer = self._service.get("/scheduler-stats/get_pools", detail="true")
        with understood("cinder", "pools"):
            return [_pool(row["name"], row["capabilities"]) for row in answer["pools"]]

    def volumes(self) -> Sequence[Volume]:
        rows = self._service.rows("/volumes/detail", "volumes", all_tenants=1, limit=PAGE)
        with understood("cinder", "volumes"):
            return [_volume(row) for row in rows]

    def volume_changes(self, since: datetime.datetime) -> VolumeChanges | None:
        if not self._service.supports(_TIMES):
            return None
        found: dict[str, Volume] = {}
        # A volume that was never updated has no ``updated_at``.
        for time in ("created_at", "updated_at"):
            rows = self._service.rows(
                "/volumes/detail",
                "volumes",
                _TIMES,
                all_tenants=1,
                limit=PAGE,
                **{time: f"gte:{since.isoformat()}"},
            )
            with understood("cinder", "volumes"):
                found.update((row["id"], _volume(row)) for row in rows)
        answer = self._service.get("/volumes", _TIMES, all_tenants=1, limit=1, with_count="True")
        with understood("cinder", "a number of volumes"):
            return VolumeChanges(list(found.values()), int(answer["count"]))

    def volume_types(self) -> Sequence[VolumeType]:
        rows = self._service.rows("/types", "volume_types", is_public="None")
        with understood("cinder", "volume types"):
            return [
                VolumeType(row["id"], row["name"], row.get("extra_specs") or {}) for row in rows
            ]

    def volumes_with_snapshots(self) -> Collection[str]:
        rows = self._service.rows("/snapshots", "snapshots", all_tenants=1, limit=PAGE)
        with understood("cinder", "snapshots"):
            return {row["volume_id"] for row in rows}

    def volume(self, uuid: str) -> Volume:
        answer = self._service.get(f"/volumes/{uuid}")
        with understood("cinder", "volume"):
            return _volume(answer["volume"])

    def has_leftover(self, uuid: str) -> bool:
        # Only the volumes that a migration is removing are listed, not all of the cloud.
        rows = self._service.rows(
            "/volumes/detail", "volumes", all_tenants=1, migration_status="deleting", limit=PAGE
        )
        return any(
            row.get("os-vol-mig-status-attr:name_id") == uuid and row.get("id") != uuid
            for row in rows
        )

    def migrate(self, uuid: str, pool: str) -> None:
        where = {"host": pool, "force_host_copy": False, "lock_volume": True}
        self._service.post(f"/volumes/{uuid}/action", {"os-migrate_volume": where})

    def retype(self, uuid: str, volume_type: str) -> None:
        what = {"new_type": volume_type, "migration_policy": "on-demand"}
        self._service.post(f"/volumes/{uuid}/action", {"os-retype": what})


def _volume(row: Json) -> Volume:
    created = row.get("created_at")
    return Volume(
        uuid=row["id"],
        name=row.get("name") or "",
        size_gb=int(row["size"]),
        host=row.get("os-vol-host-attr:host") or "",
        status=row["status"],
        volume_type=row.get("volume_type") or "",
        project_id=row.get("os-vol-tenant-attr:tenant_id") or "",
        bootable=str(row.get("bootable")).lower() == "true",
        multiattach=bool(row.get("multiattach")),
        attachments=tuple(
            Attachment(each["server_id"], each["attachment_id"])
            for each in row.get("attachments") or ()
        ),
        metadata=row.get("metadata") or {},
        snapshot_id=row.get("snapshot_id"),
        migration_status=row.get("os-vol-mig-status-attr:migstat"),
        created=datetime.datetime.fromisoformat(created) if created else None,
    )


def _pool(name: str, capabilities: Json) -> Pool:
    return Pool(
        name,
        total_volumes=int(_number(capabilities.get("total_volumes")) or 0),
        total_capacity_gb=_number(capabilities.get("total_capacity_gb")),
        free_capacity_gb=_number(capabilities.get("free_capacity_gb")),
        provisioned_capacity_gb=_number(capabilities.get("provisioned_capacity_gb")),
        allocated_capacity_gb=_number(capabilities.get("allocated_capacity_gb")),
        max_over_subscription_ratio=_number(capabilities.get("max_over_subscription_ratio")) or 1.0,
        capabilities=capabilities,
    )


def _number(value: Any) -> float | None:
    """None for ``unknown``, ``infinite``, ``auto`` and everything else that is no number."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
