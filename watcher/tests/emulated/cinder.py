# SPDX-License-Identifier: Apache-2.0
"""An emulated cinder: as much of its API 3 as the block storage driver uses."""

import datetime
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from werkzeug.wrappers import Request, Response

from watcher.cloud.block_storage import Pool, Volume
from watcher.common.errors import CloudRefused, NotFound
from watcher.simulation.block_storage import SimulatedStorage
from watcher.tests.emulated.keystone import answer

MAX_LIMIT = 1000


class Cinder:
    """A WSGI application around a simulated storage."""

    def __init__(self, storage: SimulatedStorage) -> None:
        self.storage = storage
        self.leftovers: list[str] = []
        """Uuids of volumes whose former copies are still being deleted."""
        self.snapshots: list[str] | None = None
        """Of which volume each snapshot is; by default one of each that has any."""
        self.version = "3.71"
        self.page_of_types = 1000

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        try:
            response = self._answer(request)
        except NotFound as error:
            response = answer({"itemNotFound": {"code": 404, "message": str(error)}}, 404)
        except CloudRefused as error:
            response = answer({"badRequest": {"code": 400, "message": str(error)}}, 400)
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        path = request.path.removeprefix("/v3").rstrip("/")
        lists: dict[str, Callable[[Request], Response]] = {
            "": self._version,
            "/os-services": self._services,
            "/scheduler-stats/get_pools": self._pools,
            "/types": self._types,
            "/volumes/detail": self._volumes,
            "/volumes": self._count,
            "/snapshots": self._snapshots,
        }
        if path in lists:
            return lists[path](request)
        _, collection, uuid, *rest = path.split("/")
        if collection != "volumes" or rest not in ([], ["action"]):
            raise NotFound(f"There is nothing at {path}.")
        return self._act(uuid, request.get_json()) if rest else self._volume(uuid)

    def _version(self, request: Request) -> Response:
        link = {"rel": "self", "href": request.url_root + "v3/"}
        version = {"id": "v3.0", "status": "CURRENT", "min_version": "3.0", "version": self.version}
        return answer({"version": version | {"links": [link]}})

    def _services(self, request: Request) -> Response:
        assert request.args["binary"] == "cinder-volume"
        rows = [
            {
                "binary": "cinder-volume",
                "host": node.host,
                "zone": node.zone,
                "status": node.status,
                "state": node.state,
                "updated_at": "2026-01-01T00:00:00.000000",
            }
            for node in self.storage.nodes()
        ]
        return answer({"services": rows})

    def _pools(self, request: Request) -> Response:
        assert request.args["detail"] == "true"
        return answer({"pools": [_pool(each) for each in self.storage.pools()]})

    def _types(self, request: Request) -> Response:
        rows = [
            {"id": each.id, "name": each.name, "extra_specs": each.extra_specs, "is_public": True}
            for each in self.storage.volume_types()
        ]
        marker = request.args.get("marker")
        first = 1 + [row["id"] for row in rows].index(marker) if marker else 0
        page: dict[str, Any] = {"volume_types": rows[first : first + self.page_of_types]}
        if first + self.page_of_types < len(rows):
            page["volume_type_links"] = [{"rel": "next", "href": "elsewhere"}]
        return answer(page)

    def _volumes(self, request: Request) -> Response:
        if request.args.get("migration_status") == "deleting":
            rows = [
                {"id": f"former-{uuid}", "os-vol-mig-status-attr:name_id": uuid}
                for uuid in self.leftovers
            ]
            return answer({"volumes": rows})
        volumes = list(self._asked_for(request))
        shown, links = _page(request, "volumes", [volume.uuid for volume in volumes])
        return answer({"volumes": [_volume(each) for each in volumes[shown]], **links})

    def _asked_for(self, request: Request) -> Sequence[Volume]:
        """By time, as from 3.60 on.  What is simulated has changed, or never since its creation."""
        for time in ("created_at", "updated_at"):
            operator, _, since = request.args.get(time, "").partition(":")
            if operator:
                assert (operator, request.headers["OpenStack-API-Version"]) == (
                    "gte",
                    "volume 3.60",
                )
                begin = datetime.datetime.fromisoformat(since)
                if time == "created_at":
                    created = [each for each in self.storage.volumes() if each.created]
                    return [each for each in created if each.created >= begin]
                return self.storage.volume_changes(begin).changed
        return self.storage.volumes()

    def _count(self, request: Request) -> Response:
        assert (request.args["with_count"], request.args["limit"]) == ("True", "1")
        return answer({"volumes": [], "count": len(self.storage.volumes())})

    def _snapshots(self, request: Request) -> Response:
        of = self.snapshots
        if of is None:
            of = sorted(self.storage.volumes_with_snapshots())
        rows = [{"id": f"snapshot-{index}", "volume_id": uuid} for index, uuid in enumerate(of)]
        shown, links = _page(request, "snapshots", [row["id"] for row in rows])
        return answer({"snapshots": rows[shown], **links})

    def _volume(self, uuid: str) -> Response:
        return answer({"volume": _volume(self.storage.volume(uuid))})

    def _act(self, uuid: str, body: Any) -> Response:
        ((name, arguments),) = body.items()
        if name == "os-migrate_volume":
            assert arguments["force_host_copy"] is False and arguments["lock_volume"] is True
            self.storage.migrate(uuid, arguments["host"])
        else:
            assert (name, arguments["migration_policy"]) == ("os-retype", "on-demand")
            self.storage.retype(uuid, arguments["new_type"])
        return Response(status=202)


def _page(request: Request, key: str, ids: list[str]) -> tuple[slice, dict[str, Any]]:
    """Which of the rows with these *ids* are shown, and the link to more if there are."""
    assert request.args["all_tenants"] == "1"
    limit, marker = min(int(request.args["limit"]), MAX_LIMIT), request.args.get("marker")
    first = 1 + ids.index(marker) if marker else 0
    more = first + limit < len(ids)
    links = {f"{key}_links": [{"rel": "next", "href": "elsewhere"}]} if more else {}
    return slice(first, first + limit), links


def _volume(volume: Volume) -> dict[str, Any]:
    return {
        "id": volume.uuid,
        "name": volume.name or None,
        "size": volume.size_gb,
        "status": volume.status,
        "volume_type": volume.volume_type or None,
        "bootable": "true" if volume.bootable else "false",
        "multiattach": volume.multiattach,
        "attachments": [
            {"id": volume.uuid, "server_id": each.server_id, "attachment_id": each.attachment_id}
            for each in volume.attachments
        ],
        "metadata": volume.metadata,
        "snapshot_id": volume.snapshot_id,
        "created_at": volume.created.isoformat() if volume.created else None,
        "os-vol-host-attr:host": volume.host or None,
        "os-vol-tenant-attr:tenant_id": volume.project_id,
        "os-vol-mig-status-attr:migstat": volume.migration_status,
        "os-vol-mig-status-attr:name_id": volume.uuid,
    }


def _pool(pool: Pool) -> dict[str, Any]:
    capabilities = {
        "pool_name": pool.name.partition("#")[2],
        "total_volumes": pool.total_volumes,
        "total_capacity_gb": _told(pool.total_capacity_gb, "infinite"),
        "free_capacity_gb": _told(pool.free_capacity_gb, "unknown"),
        "provisioned_capacity_gb": pool.provisioned_capacity_gb,
        "allocated_capacity_gb": pool.allocated_capacity_gb,
        "max_over_subscription_ratio": str(pool.max_over_subscription_ratio),
    }
    return {"name": pool.name, "capabilities": {**capabilities, **pool.capabilities}}


def _told(capacity: float | None, otherwise: str) -> float | str:
    return otherwise if capacity is None else capacity
