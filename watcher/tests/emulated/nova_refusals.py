# SPDX-License-Identifier: Apache-2.0
"""What nova's API, conductor and scheduler refuse."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from watcher.tests.emulated.nova_requests import asked_of_placement, isolating_traits
from watcher.tests.emulated.placement import Placement

Row = dict[str, Any]

RUNNING, PAUSED = 1, 3
"""Power states."""


def refused_live(row: Row, version: tuple[int, ...]) -> str | None:
    """Why a server is not migrated live, wherever to."""
    specs = row["flavor"]["extra_specs"]
    properties = (row["image"] or {}).get("properties", {})
    wanted = {name.replace("hw:", "hw_", 1): value for name, value in specs.items()}
    wanted = properties | wanted
    if wanted.get("hw_mem_encryption") == "true":
        return "SEV"
    if "hw_tpm_version" in wanted and specs.get("hw:tpm_secret_security") != "host":
        return "vTPM"
    if "pci_passthrough:alias" in specs and version < (2, 100):
        return "PCI devices"
    if "hw:pmem" in specs and version < (2, 88):
        return "vPMEM"
    if row["OS-EXT-STS:power_state"] not in (RUNNING, PAUSED):
        return f"power state {row['OS-EXT-STS:power_state']}"
    return None


class Cloud:
    """The state that the scheduler looks at."""

    aggregates: Sequence[Row]
    groups: Sequence[Row]
    hypervisors: Mapping[str, Row]
    compute_services: Mapping[str, Row]
    all: Mapping[str, Row]
    uuids: Mapping[str, str]
    holds: Mapping[str, str]
    left: Mapping[str, set[str]]
    tasks: Mapping[str, Row]
    placement: Placement

    limits_tenants = False
    """``[scheduler] limit_tenants_to_placement_aggregate``"""

    def refusal(
        self,
        ident: str,
        host: str,
        live: bool = False,
        shown: bool = False,
        named: bool = False,
    ) -> str | None:
        """Why a server does not get a host.  With *shown*, only if what nova shows says so; if it
        is *named*, nova asks placement for that tree of providers."""
        row, hypervisor = self.all[ident], self.hypervisors[self.uuids[host]]
        here = row["OS-EXT-SRV-ATTR:host"]
        if host == here:
            return "it is there already"
        if (hypervisor["state"], hypervisor["status"]) != ("up", "enabled"):
            return "it takes no servers"
        zones = {each["host"]: each["zone"] for each in self.compute_services.values()}
        if row["pinned_availability_zone"] not in (None, zones[host]):
            return "it is in another zone"
        return (
            next(self._left_out(row, host, shown), None)
            or next(self._parted(ident, host), None)
            or self._unlike(here, hypervisor, live)
            or self._no_room(row, host, shown, named)
        )

    def _no_room(self, row: Row, host: str, shown: bool, named: bool) -> str | None:
        found = self.placement.divided(self.uuids[host], *asked_of_placement(row, shown), named)
        return found if isinstance(found, str) else None

    def _unlike(self, here: str | None, there: Row, live: bool) -> str | None:
        if not live or here is None:
            return None
        source = self.hypervisors[self.uuids[here]]
        if source["hypervisor_type"] != there["hypervisor_type"]:
            return "it has another hypervisor"
        if source["hypervisor_version"] > there["hypervisor_version"]:
            return "its hypervisor is too old"
        traits = self.placement.traits
        lacking = traits[source["id"]] - traits[there["id"]]
        if any(each.startswith("HW_CPU_X86_AVX") for each in lacking):
            return "its CPU lacks features"
        return None

    def _left_out(self, row: Row, host: str, shown: bool) -> Iterator[str]:
        """Why its aggregates do not let a server onto a host: those of other projects or for
        certain traits, or the lack of one that its flavor asks for."""
        metadata = [each["metadata"] for each in self.aggregates if host in each["hosts"]]
        projects = {
            each
            for aggregate in metadata
            for key, value in aggregate.items()
            if key.startswith("filter_tenant_id")
            for each in map(str.strip, value.split(","))
        }
        if projects and row["tenant_id"] not in projects:
            yield "it is isolated for other projects"
        own = [
            each
            for each in self.aggregates
            for key, value in each["metadata"].items()
            if key.startswith("filter_tenant_id") and value == row["tenant_id"]
        ]
        homes = {name for each in own for name in each["hosts"]}
        # If its own host is none of these either, the option is not in sight.
        knowable = not shown or row["OS-EXT-SRV-ATTR:host"] in homes
        if self.limits_tenants and own and host not in homes and knowable:
            yield "it is in no aggregate of the project"
        traits = isolating_traits(row)
        for name in (name for each in metadata for name in each if name.startswith("trait:")):
            if name.removeprefix("trait:") not in traits:
                yield f"it is isolated by {name}"
        properties = (row["image"] or {}).get("properties", {})
        for name in (name for each in metadata for name in each if name in properties):
            values = ",".join(each[name] for each in metadata if name in each).split(",")
            if properties[name] not in values:
                yield f"it is isolated for images by {name}"
        for name, value in row["flavor"]["extra_specs"].items():
            scope, _, key = name.partition(":")
            there = {each.get(key) for each in metadata}
            if scope == "aggregate_instance_extra_specs" and value not in there:
                yield f"it is in no aggregate with {key} {value}"

    def _parted(self, ident: str, host: str) -> Iterator[str]:
        """Why a hard group does not let its member onto a host.

        For affinity nova also counts the host of the server itself, and for anti-affinity a
        member that moves, has not confirmed its move, or has moved live a moment ago, on both of
        its hosts.
        """
        for group in self.groups:
            if ident not in group["members"]:
                continue
            # A soft-deleted member counts.
            known = (each for each in group["members"] if each in self.all)
            members = [each for each in known if self.all[each]["status"] != "DELETED"]
            homes = {each: self._homes(each) for each in members}
            there = [
                each
                for each in members
                if each != ident and host in homes[each] | self.left.get(each, set())
            ]
            most = group.get("rules", {}).get("max_server_per_host", 1)
            if group["policy"] == "anti-affinity" and len(there) >= most:
                yield "it has other members of the group"
            if group["policy"] == "affinity" and host not in {
                self.all[each]["OS-EXT-SRV-ATTR:host"] for each in members
            }:
                yield "it has no member of the group"

    def _homes(self, ident: str) -> set[str | None]:
        task = self.tasks.get(ident) or {}
        return {
            self.all[ident]["OS-EXT-SRV-ATTR:host"], self.holds.get(ident), task.get("holds"),
        }  # fmt: skip
