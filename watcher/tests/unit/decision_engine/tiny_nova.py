# SPDX-License-Identifier: Apache-2.0
"""A nova of a few hosts that says what it does, in the form of recorded notifications."""

import copy
import dataclasses
import datetime
import json
from pathlib import Path
from typing import Any

from watcher.cloud.compute import Host, Server
from watcher.cloud.needs import Needs
from watcher.decision_engine.collectors.compute_readings import GONE
from watcher.rpc.listener import CloudNotification
from watcher.tests.unit.decision_engine.clusters import host, uid

RECORDED = json.loads(
    (Path(__file__).parents[2] / "data" / "nova" / "life-of-a-server.json").read_text()
)
"""All that nova 33 said of one server from its creation to its deletion, on four hosts."""

SPECS = {"hw:cpu_policy": "dedicated"}

BEGIN = datetime.datetime(2026, 1, 1)
_TEMPLATES = {message["event_type"]: message for message in RECORDED}


def heard(message: dict[str, Any]) -> CloudNotification:
    """A recorded message as the listener hands it on."""
    return CloudNotification(
        message["publisher_id"],
        message["event_type"],
        message["payload"],
        datetime.datetime.fromisoformat(message["metadata"]["timestamp"]),
    )


class TinyNova:
    """Each change takes a second and sends a notification."""

    def __init__(self, hosts: int = 3) -> None:
        self.now = BEGIN
        self.hosts = {f"h{number}": host(f"h{number}") for number in range(hosts)}
        self.servers: dict[str, Server] = {}
        self.changed: dict[str, datetime.datetime] = {}
        self.notifications: list[CloudNotification] = []

    def changed_servers(self, since: datetime.datetime) -> list[Server]:
        return [self.servers[uuid] for uuid, when in self.changed.items() if when >= since]

    def live_servers(self) -> list[Server]:
        return [each for each in self.servers.values() if each.state not in GONE]

    def create(self, name: str, on: str, pinned_az: str = "", from_volume: bool = False) -> None:
        if uid(name) not in self.servers and on in self.hosts:
            new = Server(
                uid(name),
                name,
                on,
                vcpus=2,
                memory_mb=512,
                disk_gb=3 if from_volume else 13,
                project_id="p1",
                created=BEGIN,
                flavor="small",
                extra_specs=SPECS,
                needs=Needs.of(2, SPECS),
                pinned_az=pinned_az,
            )
            self._become(new, "instance.create.end")

    def live_migrate(self, name: str, to: str) -> None:
        self._change(name, "instance.live_migration_post_dest.end", host=to)

    def cold_migrate(self, name: str, to: str) -> None:
        self._change(name, "instance.resize.end", host=to, task_state="resize_migrated")
        self._change(name, "instance.resize_finish.end", state="resized", task_state=None)
        self._change(name, "instance.resize_confirm.end", state="active")

    def resize(self, name: str, vcpus: int) -> None:
        self._change(
            name,
            "instance.resize_finish.end",
            vcpus=vcpus,
            flavor=f"of-{vcpus}",
            needs=Needs.of(vcpus, SPECS),
        )

    def rename(self, name: str, metadata: dict[str, str]) -> None:
        self._change(name, "instance.update", name=f"{name}-new", metadata=metadata)

    def power_off(self, name: str) -> None:
        self._change(name, "instance.power_off.end", state="stopped")

    def lock(self, name: str) -> None:
        self._change(name, "instance.lock.end", locked=True)

    def shelve(self, name: str) -> None:
        self._change(name, "instance.shelve_offload.end", host="", state="shelved_offloaded")

    def soft_delete(self, name: str) -> None:
        self._change(name, "instance.soft_delete.end", state="soft-delete")

    def restore(self, name: str) -> None:
        if uid(name) in self.servers and self.servers[uid(name)].state == "soft-delete":
            self._become(
                dataclasses.replace(self.servers[uid(name)], state="active"), "instance.restore.end"
            )

    def delete(self, name: str) -> None:
        self._change(name, "instance.update", state="deleted")
        if uid(name) in self.servers and self.servers[uid(name)].state == "deleted":
            self._become(self.servers[uid(name)], "instance.delete.end")

    def disable(self, hostname: str, reason: str | None) -> None:
        self._serve(hostname, status="disabled" if reason else "enabled", disabled_reason=reason)

    def force_down(self, hostname: str, down: bool) -> None:
        self._serve(hostname, state="down" if down else "up")

    def add_host(self, hostname: str) -> None:
        if hostname not in self.hosts:
            self.hosts[hostname] = host(hostname)
            self._tell_service(self.hosts[hostname], "service.create")

    def remove_host(self, hostname: str) -> None:
        if hostname in self.hosts and hostname not in {each.host for each in self.live_servers()}:
            self._tell_service(self.hosts.pop(hostname), "service.delete")

    def _change(self, of: str, event: str, **changes: Any) -> None:
        server = self.servers.get(uid(of))
        movable = server is not None and server.state not in GONE | {"shelved_offloaded"}
        if movable and changes.get("host", "") in {"", *self.hosts}:
            self._become(dataclasses.replace(server, **changes), event)

    def _become(self, server: Server, event: str) -> None:
        self.now += datetime.timedelta(seconds=1)
        self.servers[server.uuid] = server
        self.changed[server.uuid] = self.now
        message = copy.deepcopy(_TEMPLATES.get(event, _TEMPLATES["instance.power_on.end"]))
        data = message["payload"]["nova_object.data"]
        data.update(
            uuid=server.uuid,
            display_name=server.name,
            host=server.host or None,
            state=server.state,
            task_state=server.task_state,
            tenant_id=server.project_id,
            metadata=server.metadata,
            locked=server.locked,
            created_at=f"{server.created:%Y-%m-%dT%H:%M:%SZ}",
            image_uuid="an-image" if server.disk_gb == 13 else "",
        )
        data["flavor"]["nova_object.data"].update(
            name=server.flavor,
            vcpus=server.vcpus,
            memory_mb=server.memory_mb,
            root_gb=10,
            ephemeral_gb=1,
            swap=1025,
            extra_specs=server.extra_specs,
        )
        self._tell(message, event)

    def _serve(self, hostname: str, **changes: Any) -> None:
        if hostname in self.hosts:
            self.hosts[hostname] = dataclasses.replace(self.hosts[hostname], **changes)
            self._tell_service(self.hosts[hostname], "service.update")

    def _tell_service(self, host: Host, event: str) -> None:
        self.now += datetime.timedelta(seconds=1)
        message = copy.deepcopy(_TEMPLATES["service.update"])
        message["payload"]["nova_object.data"].update(
            host=host.hostname,
            disabled=host.status == "disabled",
            disabled_reason=host.disabled_reason,
            forced_down=host.state == "down",
            last_seen_up=f"{self.now:%Y-%m-%dT%H:%M:%SZ}",
        )
        self._tell(message, event)

    def _tell(self, message: dict[str, Any], event: str) -> None:
        message["metadata"]["timestamp"] = str(self.now)
        message["event_type"] = event
        self.notifications.append(heard(message))
