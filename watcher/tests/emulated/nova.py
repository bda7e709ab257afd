# SPDX-License-Identifier: Apache-2.0
"""An emulated nova: what Watcher asks of it, with state, and fast at 20,000 servers."""

import datetime
import json
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from watcher.tests.emulated.keystone import answer
from watcher.tests.emulated.nova_rows import (
    BESIDES,
    Row,
    asked_of_placement,
    embedded,
    migration,
    moment,
    shown,
)
from watcher.tests.emulated.nova_urls import URLS
from watcher.tests.emulated.placement import Placement

_STATUS = {
    "active": "ACTIVE",
    "paused": "PAUSED",
    "stopped": "SHUTOFF",
    "resized": "VERIFY_RESIZE",
    "deleted": "DELETED",
    "error": "ERROR",
}


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Nova:
    """A WSGI application with hosts, flavors and servers.

    What a server does (a migration, a resize, a stop) is shown as its task by the next
    look at it, and is over at the look after, unless ``hold`` has its uuid.
    """

    def __init__(
        self, page: int = 1000, newest: str = "2.100", placement: Placement | None = None
    ) -> None:
        """With a *placement*, servers get no host that it refuses."""
        self.page, self.newest = page, newest
        self.placement = placement or Placement()
        self.new_uuid: Callable[[], str] = lambda: str(uuid.uuid4())
        """Makes the uuids of hosts and servers."""
        self.refused: list[str] = []
        """Why servers did not get the hosts that were asked for."""
        self.lock = threading.RLock()
        self.hypervisors: dict[str, Row] = {}
        self.compute_services: dict[str, Row] = {}
        self.aggregates: list[Row] = []
        self.groups: list[Row] = []
        self.flavors: dict[str, Row] = {}
        self.all: dict[str, Row] = {}
        """Server uuid to server; deleted ones stay."""
        self.hold: set[str] = set()
        self.tasks: dict[str, Row] = {}
        """Server uuid to what it will be once its task is over, with ``looks`` left."""
        self.holds: dict[str, str] = {}
        """Server uuid to the host that it can go back to."""
        self.uuids: dict[str, str] = {}
        """Name of a host to the uuid of its hypervisor."""
        self.running: dict[str, Row] = {}
        """Server uuid to its live migration."""
        self.migrations: list[Row] = []
        """Of all servers, the newest first."""
        self.allow_migrations = True
        self.fails: dict[str, str] = {}
        """Server uuid to why what it does comes to nothing."""
        self.log: dict[str, list[Row]] = {}
        """Server uuid to its instance actions, the newest first."""
        self._rendered: dict[tuple[str, tuple[int, ...]], bytes] = {}

    # State

    def add_host(self, name: str, zone: str = "nova", type: str = "QEMU", **more: Any) -> str:
        """The uuid of the new hypervisor."""
        service = {"id": self.new_uuid(), "host": name, "disabled_reason": None}
        row = {
            "id": self.new_uuid(),
            "hypervisor_hostname": f"{name}.example.org",
            "hypervisor_type": type,
            "status": "enabled",
            "state": "up",
            "local_gb": 1000,
            "hypervisor_version": 8002000,
            "service": service,
            **more,
        }
        self.hypervisors[row["id"]] = row
        self.uuids[name] = row["id"]
        self.compute_services[service["id"]] = service | {
            "binary": "nova-compute",
            "zone": zone,
            "status": "enabled",
            "state": "up",
            "forced_down": False,
        }
        return row["id"]

    def add_flavor(
        self, name: str, vcpus: int, ram: int, disk: int, ephemeral: int = 0, swap: int = 0
    ) -> Row:
        flavor = {
            "id": f"id-of-{name}",
            "name": name,
            "vcpus": vcpus,
            "ram": ram,
            "disk": disk,
            "OS-FLV-EXT-DATA:ephemeral": ephemeral,
            "swap": swap or "",
        }
        self.flavors[flavor["id"]] = flavor
        return flavor

    def add_server(self, name: str, host: str, flavor: Row, **more: Any) -> str:
        """The uuid of the new server."""
        row = BESIDES | {
            "id": self.new_uuid(),
            "name": name,
            "created": "2026-01-02T03:04:05Z",
            "flavor": embedded(flavor),
            "image": {"id": "image"},
            "metadata": {},
            "tenant_id": "project",
            "locked": False,
            "OS-EXT-SRV-ATTR:host": host,
            "OS-EXT-STS:vm_state": "active",
            "OS-EXT-STS:task_state": None,
            **more,
        }
        self.all[row["id"]] = row
        self.touch(row["id"])
        return row["id"]

    def touch(self, ident: str, **changes: Any) -> None:
        """Change a server, now."""
        with self.lock:
            row = self.all[ident]
            row.update(changes)
            if "OS-EXT-STS:vm_state" in changes and row["OS-EXT-STS:vm_state"] != "resized":
                self.holds.pop(ident, None)
            row["status"] = _STATUS.get(row["OS-EXT-STS:vm_state"], "BUILD")
            row["updated"] = _now()
            for version in _SHOWN:
                self._rendered.pop((ident, version), None)
            self._claim(ident)

    def _claim(self, ident: str) -> None:
        """Let placement know what a server has: of its host, and of one that it can go to or
        back to."""
        row, task = self.all[ident], self.tasks.get(ident)
        names = {row.get("OS-EXT-SRV-ATTR:host"), (task or {}).get("holds"), self.holds.get(ident)}
        if row["OS-EXT-STS:vm_state"] == "deleted":
            names = set()
        uuids = {self.uuids[name] for name in names if name in self.uuids}
        amounts, _, extra = asked_of_placement(row)
        self.placement.allocate(ident, {uuid: amounts | extra for uuid in uuids})

    def delete(self, ident: str) -> None:
        self.touch(ident, **{"OS-EXT-STS:vm_state": "deleted"})

    # Answers

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        try:
            endpoint, arguments = URLS.bind_to_environ(environ).match()
            self._check_version(request)
            with self.lock:
                response = getattr(self, f"_{endpoint}")(request, **arguments)
        except Refusal as refusal:
            body = {"fault": {"code": refusal.status, "message": refusal.message}}
            response = answer(body, refusal.status)
        except HTTPException as error:
            response = answer({"error": {"message": str(error)}}, error.code or 500)
        return response(environ, start_response)

    def _check_version(self, request: Request) -> None:
        asked = request.headers.get("OpenStack-API-Version", "compute 2.1").split()[1]
        if _version(asked) > _version(self.newest):
            raise Refusal(406, f"Version {asked} is not supported by the API.")

    def _version(self, request: Request) -> Response:
        link = {"rel": "self", "href": f"{request.root_url}v2.1/"}
        version = {"id": "v2.1", "status": "CURRENT", "min_version": "2.1", "version": self.newest}
        return answer({"version": version | {"links": [link]}})

    def _hypervisors(self, request: Request) -> Response:
        return self._page(request, "hypervisors", list(self.hypervisors.values()))

    def _hypervisor(self, request: Request, ident: str) -> Response:
        return answer({"hypervisor": _known(self.hypervisors, ident, "Hypervisor")})

    def _services(self, request: Request) -> Response:
        wanted = request.args
        rows = [
            row
            for row in self.compute_services.values()
            if all(row[name] == wanted[name] for name in ("host", "binary") if name in wanted)
        ]
        return answer({"services": rows})

    def _set_service(self, request: Request, ident: str) -> Response:
        row = _known(self.compute_services, ident, "Service")
        row |= {"disabled_reason": None} | request.get_json()
        for hypervisor in self.hypervisors.values():
            if hypervisor["service"]["id"] == ident:
                hypervisor["status"] = row["status"]
                hypervisor["service"]["disabled_reason"] = row["disabled_reason"]
        return answer({"service": row})

    def _aggregates(self, request: Request) -> Response:
        return answer({"aggregates": self.aggregates})

    def _server_groups(self, request: Request) -> Response:
        first = int(request.args.get("offset", 0))
        return answer({"server_groups": self.groups[first : first + self.page]})

    def _servers(self, request: Request) -> Response:
        rows = self.all.values()
        since = request.args.get("changes-since")
        if since:
            chosen = [row for row in rows if row["updated"] >= since]
        else:
            chosen = [row for row in rows if row["status"] != "DELETED"]
        host = request.args.get("host")
        if host:
            chosen = [row for row in chosen if row["OS-EXT-SRV-ATTR:host"] == host]
        return self._page(request, "servers", chosen)

    def _server(self, request: Request, ident: str) -> Response:
        row = self._present(ident)
        task = self.tasks.get(ident)
        if task and ident not in self.hold:
            task["looks"] -= 1
            if task["looks"] < 0:
                self.finish(ident)
        return answer({"server": shown(row, _asked(request))})

    def finish(self, ident: str) -> None:
        """End a server's task."""
        task = self.tasks.pop(ident)
        self.running.pop(ident, None)
        self._mark(ident, task["migrated"])
        if ident in self.fails:
            task["after"] = {}
            self._mark(ident, "error")
            event = {"event": "conductor", "result": "Error", "details": self.fails[ident]}
            self.log[ident][0] |= {"message": "Error", "events": [event]}
        if task["holds"] and task["after"].get("OS-EXT-STS:vm_state") == "resized":
            self.holds[ident] = self.all[ident]["OS-EXT-SRV-ATTR:host"]
        self.touch(ident, **{"OS-EXT-STS:task_state": None} | task["after"])

    def _mark(self, ident: str, status: str | None) -> None:
        """Change the newest migration of a server, if it has changed by that."""
        rows = (row for row in self.migrations if row["instance_uuid"] == ident)
        if status and (row := next(rows, None)):
            row |= {"status": status, "updated_at": moment()}

    def _all_migrations(self, request: Request) -> Response:
        if not self.allow_migrations:
            raise Refusal(403, "Policy doesn't allow os_compute_api:os-migrations:index.")
        asked = request.headers["OpenStack-API-Version"].split()[1]
        if _version(asked) < (2, 59):  # no pages, and filters by time are passed over
            rows = [{key: row[key] for key in row if key != "uuid"} for row in self.migrations]
            return answer({"migrations": rows})
        since = request.args.get("changes-since", "").removesuffix("Z")
        chosen = [row for row in self.migrations if (row["updated_at"] or "") >= since]
        return self._page(request, "migrations", chosen)

    def _present(self, ident: str) -> Row:
        row = self.all.get(ident)
        if row is None or row["status"] == "DELETED":
            raise Refusal(404, f"Instance {ident} could not be found.")
        return row

    def _migrations(self, request: Request, ident: str) -> Response:
        self._present(ident)
        running = self.running.get(ident)
        return answer({"migrations": [running] if running else []})

    def _abort(self, request: Request, ident: str, number: int) -> Response:
        running = self.running.get(ident)
        if running is None or running["id"] != number:
            raise Refusal(404, f"Migration {number} not found.")
        self.tasks[ident] |= {"after": {}, "migrated": "cancelled"}
        self.finish(ident)
        return Response(status=202)

    def _instance_actions(self, request: Request, ident: str) -> Response:
        return answer({"instanceActions": self.log.get(ident, [])})

    def _instance_action(self, request: Request, ident: str, name: str) -> Response:
        (action,) = (row for row in self.log[ident] if row["request_id"] == name)
        asked = request.headers["OpenStack-API-Version"].split()[1]
        hidden = set() if _version(asked) >= (2, 84) else {"details"}
        events = [
            {key: value for key, value in event.items() if key not in hidden}
            for event in action["events"]
        ]
        return answer({"instanceAction": action | {"events": events}})

    def _flavors(self, request: Request) -> Response:
        return self._page(request, "flavors", list(self.flavors.values()))

    def _flavor(self, request: Request, ident: str) -> Response:
        return answer({"flavor": _known(self.flavors, ident, "Flavor")})

    # Actions

    def _act(self, request: Request, ident: str) -> Response:
        row = self._present(ident)
        ((action, arguments),) = request.get_json().items()
        state = row["OS-EXT-STS:vm_state"]
        if row["OS-EXT-STS:task_state"] or state not in _ALLOWED[action]:
            self.refused.append(f"{row['name']}: {action} while it is {state}")
            raise Refusal(
                409, f"Cannot '{action}' instance {ident} while it is in vm_state {state}"
            )
        if action in ("os-migrateLive", "migrate"):
            self._move(ident, action, (arguments or {}).get("host"))
        elif action == "resize":
            flavor = _known(self.flavors, arguments["flavorRef"], "Flavor")
            after = {"flavor": embedded(flavor), "OS-EXT-STS:vm_state": "resized"}
            self._begin(ident, "resize_migrating", after, "finished")
            here = row["OS-EXT-SRV-ATTR:host"]
            self._migrates(ident, "resize", here, here)
        elif action == "confirmResize":
            self._mark(ident, "confirmed")
            self.touch(ident, **{"OS-EXT-STS:vm_state": "active"})
        elif action == "shelve":
            after = {"OS-EXT-STS:vm_state": "shelved_offloaded", "OS-EXT-SRV-ATTR:host": None}
            self._begin(ident, "shelving", after)
        else:
            after = {"OS-EXT-STS:vm_state": "stopped" if action == "os-stop" else "active"}
            self._begin(ident, "powering-off" if action == "os-stop" else "powering-on", after)
        return Response(status=202)

    def _delete(self, request: Request, ident: str) -> Response:
        self._present(ident)
        self._begin(ident, "deleting", {"status": "DELETED", "OS-EXT-STS:vm_state": "deleted"})
        return Response(status=204)

    def _move(self, ident: str, action: str, host: str | None) -> None:
        here = self.all[ident]["OS-EXT-SRV-ATTR:host"]
        if self.hypervisors[self.uuids[here]]["state"] != "up":
            self.refused.append(f"{self.all[ident]['name']}: {here} is down")
            raise Refusal(400, f"Compute service of {here} is unavailable at this time.")
        names = [row["service"]["host"] for row in self.hypervisors.values()]
        if host is None:
            host = next((name for name in names if not self.refusal(ident, name)), None)
        if host is None:
            raise Refusal(400, "No valid host was found.")
        if host not in names:
            raise Refusal(400, f"Compute host {host} could not be found.")
        if refusal := self.refusal(ident, host):
            self.refused.append(f"{self.all[ident]['name']} to {host}: {refusal}")
            raise Refusal(400, "No valid host was found.")
        after = {"OS-EXT-SRV-ATTR:host": host}
        if action == "migrate":
            after |= {"OS-EXT-STS:vm_state": "resized"}
            self._begin(ident, "resize_migrating", after, "finished", host)
            self._migrates(ident, "migration", here, host)
        else:
            self._begin(ident, "migrating", after, "completed", host)
            self.running[ident] = self._migrates(ident, "live-migration", here, host)

    def refusal(self, ident: str, host: str) -> str | None:
        """Why the scheduler does not give a server a host."""
        row, hypervisor = self.all[ident], self.hypervisors[self.uuids[host]]
        if host == row["OS-EXT-SRV-ATTR:host"]:
            return "it is there already"
        if (hypervisor["state"], hypervisor["status"]) != ("up", "enabled"):
            return "it takes no servers"
        zones = {each["host"]: each["zone"] for each in self.compute_services.values()}
        if row["pinned_availability_zone"] not in (None, zones[host]):
            return "it is in another zone"
        return (
            self._left_out(row, host)
            or self._parted(ident, host)
            or self.placement.refusal(self.uuids[host], *asked_of_placement(row))
        )

    def _left_out(self, row: Row, host: str) -> str | None:
        """Why its aggregates do not let a server onto a host: those of other projects or for
        certain traits, or the lack of one that its flavor asks for."""
        metadata = [each["metadata"] for each in self.aggregates if host in each["hosts"]]
        projects = {each["filter_tenant_id"] for each in metadata if "filter_tenant_id" in each}
        if projects and row["tenant_id"] not in projects:
            return "it is isolated for other projects"
        traits = set(asked_of_placement(row)[1])
        for name in (name for each in metadata for name in each if name.startswith("trait:")):
            if name.removeprefix("trait:") not in traits:
                return f"it is isolated by {name}"
        properties = (row["image"] or {}).get("properties", {})
        for name in (name for each in metadata for name in each if name in properties):
            values = ",".join(each[name] for each in metadata if name in each).split(",")
            if properties[name] not in values:
                return f"it is isolated for images by {name}"
        for name, value in row["flavor"]["extra_specs"].items():
            scope, _, key = name.partition(":")
            there = {each.get(key) for each in metadata}
            if scope == "aggregate_instance_extra_specs" and value not in there:
                return f"it is in no aggregate with {key} {value}"
        return None

    def _parted(self, ident: str, host: str) -> str | None:
        """Why a hard group does not let its member onto a host."""
        for group in self.groups:
            if ident not in group["members"]:
                continue
            others = [self.all[each] for each in group["members"] if each in self.all]
            homes = [each["OS-EXT-SRV-ATTR:host"] for each in others if each["id"] != ident]
            most = group.get("rules", {}).get("max_server_per_host", 1)
            if group["policy"] == "anti-affinity" and homes.count(host) >= most:
                return "it has other members of the group"
            if group["policy"] == "affinity" and homes and host not in homes:
                return "it has no member of the group"
        return None

    def _migrates(self, ident: str, kind: str, source: str, destination: str) -> Row:
        row = migration(len(self.migrations) + 1, ident, kind, source, destination)
        self.migrations.insert(0, row)
        return row

    def _begin(
        self,
        ident: str,
        task_state: str,
        after: Row,
        migrated: str | None = None,
        destination: str | None = None,
    ) -> None:
        """*migrated* is the status of its migration once that is over."""
        self.tasks[ident] = {"looks": 1, "after": after, "migrated": migrated, "holds": destination}
        self.touch(ident, **{"OS-EXT-STS:task_state": task_state})
        name = f"req-{len(self.log.setdefault(ident, []))}"
        begun = {"action": task_state, "request_id": name, "message": None, "events": []}
        self.log[ident].insert(0, begun)

    # Pages

    def _page(self, request: Request, key: str, rows: list[Row]) -> Response:
        """From the marker on; servers are rendered once, as there are so many."""
        marker = request.args.get("marker")
        first = 0
        if marker:
            index = next((at for at, row in enumerate(rows) if _marker(row) == marker), None)
            if index is None:
                raise Refusal(400, f"marker [{marker}] not found")
            first = index + 1
        chosen = rows[first : first + self.page]
        links = b"[]"
        if len(chosen) == self.page:
            links = b'[{"rel": "next", "href": "%s"}]' % request.base_url.encode()
        version = max(each for each in _SHOWN if each <= _asked(request))
        body = b",".join(
            self._render(row, version) if key == "servers" else _dumps(row) for row in chosen
        )
        name = key.encode()
        return Response(
            b'{"%s": [%s], "%s_links": %s}' % (name, body, name, links),
            mimetype="application/json",
            headers={"x-openstack-request-id": "req-emulated"},
        )

    def _render(self, row: Row, version: tuple[int, ...]) -> bytes:
        rendered = self._rendered.get((row["id"], version))
        if rendered is None:
            rendered = self._rendered[row["id"], version] = _dumps(shown(row, version))
        return rendered


_SHOWN = ((2, 1), (2, 96), (2, 98))
"""From these microversions on servers are shown in another way."""


_ALLOWED = {
    "os-migrateLive": ("active", "paused"),
    "migrate": ("active", "stopped"),
    "resize": ("active", "stopped"),
    "confirmResize": ("resized",),
    "os-stop": ("active",),
    "os-start": ("stopped",),
    "shelve": ("active", "paused", "stopped", "suspended"),
}


def _asked(request: Request) -> tuple[int, ...]:
    return _version(request.headers.get("OpenStack-API-Version", "compute 2.1").split()[1])


def _marker(row: Row) -> str:
    """A migration's is its uuid; what it has as its id is a number."""
    return str(row.get("uuid") or row["id"])


def _known(rows: Mapping[str, Row], ident: str, what: str) -> Row:
    if ident not in rows:
        raise Refusal(404, f"{what} {ident} could not be found.")
    return rows[ident]


def _dumps(row: Row) -> bytes:
    return json.dumps(row).encode()


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def _now() -> str:
    """To the second, as nova shows when a server has changed."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
