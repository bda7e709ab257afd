# SPDX-License-Identifier: Apache-2.0
"""An emulated nova: what Watcher asks of it, with state, and fast at 20,000 servers."""

import datetime
import json
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from watcher.tests.emulated.keystone import answer
from watcher.tests.emulated.nova_refusals import Cloud, refused_live
from watcher.tests.emulated.nova_requests import asked_of_placement
from watcher.tests.emulated.nova_rows import (
    BESIDES,
    Row,
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
    "soft-delete": "SOFT_DELETED",
}
_GONE = ("DELETED", "SOFT_DELETED")
"""Servers with such a status are in no list but that of deleted ones, or of changes."""


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Nova(Cloud):
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
        self._shares: dict[tuple[str, str], tuple[Any, Mapping[str, Mapping[str, int]]]] = {}
        self.hold: set[str] = set()
        self.tasks: dict[str, Row] = {}
        """Server uuid to what it will be once its task is over, with ``looks`` left."""
        self.holds: dict[str, str] = {}
        """Server uuid to the host that it can go back to."""
        self.left: dict[str, set[str]] = {}
        """Server uuid to the hosts that it has left live: the scheduler counts it there until the
        hosts next tell it of their servers, after 120 s by default."""
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
            "hypervisor_version": 8002000,
            "status": "enabled",
            "state": "up",
            "local_gb": 1000,
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
        for key in [key for key in self._shares if key[0] == ident and key[1] not in uuids]:
            del self._shares[key]
        held: dict[str, Counter[str]] = {}
        for host in uuids:
            for provider, amounts in self._share(ident, host).items():
                held.setdefault(provider, Counter()).update(amounts)
        if held:
            self.placement.allocate(ident, held)
        else:  # so nova does for a server that is deleted or leaves its host
            self.placement.forget(ident)

    def _share(self, ident: str, uuid: str) -> Mapping[str, Mapping[str, int]]:
        """What a server has of a host, by provider; all of the host itself if a user forced it
        onto the host."""
        asked = asked_of_placement(self.all[ident])
        known = self._shares.get((ident, uuid))
        if known is None or known[0] != asked:
            found = self.placement.divided(uuid, *asked)
            if isinstance(found, str):
                found = {uuid: Counter[str]()}
                for group in asked[0].values():
                    found[uuid].update(group.resources)
            known = self._shares[ident, uuid] = asked, found
        return known[1]

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
        gone = {ident for ident, row in self.all.items() if row["status"] in _GONE}
        rows = [
            group | {"members": [each for each in group["members"] if each not in gone]}
            for group in self.groups[first : first + self.page]
        ]
        return answer({"server_groups": rows})

    def _servers(self, request: Request) -> Response:
        rows = self.all.values()
        since = request.args.get("changes-since")
        if since:
            chosen = [row for row in rows if row["updated"] >= since]
        else:
            hides = request.args.get("deleted") != "True"
            chosen = [row for row in rows if (row["status"] in _GONE) != hides]
        status = request.args.get("status")
        if status:
            chosen = [row for row in chosen if row["status"] == status]
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
        of_it = [group["id"] for group in self.groups if ident in group["members"]]
        more = {"server_groups": of_it} if _asked(request) >= (2, 71) else {}
        return answer({"server": shown(row, _asked(request)) | more})

    def finish(self, ident: str) -> None:
        """End a server's task."""
        task = self.tasks.pop(ident)
        live = self.running.pop(ident, None)
        self._mark(ident, task["migrated"])
        if live and task["migrated"] == "completed" and ident not in self.fails:
            self.left.setdefault(ident, set()).add(self.all[ident]["OS-EXT-SRV-ATTR:host"])
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
        row, live = self.all[ident], action == "os-migrateLive"
        self._refuse_kind(row, live)
        here = row["OS-EXT-SRV-ATTR:host"]
        if self.hypervisors[self.uuids[here]]["state"] != "up":
            self.refused.append(f"{row['name']}: {here} is down")
            raise Refusal(400, f"Compute service of {here} is unavailable at this time.")
        host = self._picked(ident, live) if host is None else self._checked(ident, host, live)
        after = {"OS-EXT-SRV-ATTR:host": host}
        if live:
            self._begin(ident, "migrating", after, "completed", host)
            self.running[ident] = self._migrates(ident, "live-migration", here, host)
        else:
            after |= {"OS-EXT-STS:vm_state": "resized"}
            self._begin(ident, "resize_migrating", after, "finished", host)
            self._migrates(ident, "migration", here, host)

    def _refuse_kind(self, row: Row, live: bool) -> None:
        cyborg = any("OWNER_CYBORG" in port.required for port in row["ports"])
        if cyborg or "accel:device_profile" in row["flavor"]["extra_specs"]:
            self.refused.append(f"{row['name']}: it has accelerators")
            raise Refusal(403, "Feature not supported with instances that have accelerators.")
        why = refused_live(row, _version(self.newest)) if live else None
        if why:
            self.refused.append(f"{row['name']}: not live with {why}")
            raise Refusal(409, f"Operation 'live-migration' not supported: {why}.")

    def _picked(self, ident: str, live: bool) -> str:
        """A host that the scheduler picks."""
        names = {row["service"]["host"]: row["id"] for row in self.hypervisors.values()}
        whys = {name: self.refusal(ident, name, live) for name in names}
        if host := next((name for name, why in whys.items() if why is None), None):
            return host
        if all(self.refusal(ident, name, live, shown=True) for name in names):
            self.refused.append(f"{self.all[ident]['name']} to any host: {whys}")
        raise Refusal(400, "No valid host was found.")

    def _checked(self, ident: str, host: str, live: bool) -> str:
        """A host that is named, if the scheduler allows it."""
        if host not in (row["service"]["host"] for row in self.hypervisors.values()):
            raise Refusal(400, f"Compute host {host} could not be found.")
        if refusal := self.refusal(ident, host, live, named=True):
            if self.refusal(ident, host, live, shown=True, named=True):
                self.refused.append(f"{self.all[ident]['name']} to {host}: {refusal}")
            raise Refusal(400, "No valid host was found.")
        return host

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
