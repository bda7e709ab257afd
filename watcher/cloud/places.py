# SPDX-License-Identifier: Apache-2.0
"""Where the filters of nova's scheduler let a server be, apart from room and groups."""

from collections import defaultdict
from collections.abc import Collection
from typing import Final

from watcher.cloud.compute import Host, Server

UNITS: Final = ("vCPUs", "MiB", "GB", "dedicated CPUs")
"""Words for the amounts of servers, in the order of ``RESOURCES``."""

_SPEC, _TENANTS, _TRAIT = "aggregate_instance_extra_specs:", "filter_tenant_id", "trait:"


def why_not_placed(server: Server, host: Host, keys: Collection[str]) -> str | None:
    """Why a server may not be on a host, apart from room; *keys* are those of aggregates."""
    if server.pinned_az and server.pinned_az != host.zone:
        return f"is not in zone {server.pinned_az}"
    has: dict[str, set[str]] = defaultdict(set)
    for key, value in (pair for each in host.aggregates for pair in each.metadata.items()):
        has[_TENANTS if key.startswith(_TENANTS) else key] |= {*map(str.strip, value.split(","))}
    needs, traits = server.needs, host.traits
    asked = {key.removeprefix(_TRAIT) for key in has if key.startswith(_TRAIT)}
    if lacking := needs.required - traits | needs.forbidden & traits | asked - needs.required:
        return f"does not fit what the server needs of trait {min(lacking)}"
    rows = zip(UNITS, server.amounts, host.inventories, strict=True)
    if refused := [f"{amount} {unit}" for unit, amount, row in rows if not row.allows(amount)]:
        return f"gives no server {refused[0]}"
    if has[_TENANTS] and server.project_id not in has[_TENANTS]:
        return "is reserved to other projects"
    if images := [(key, it) for key, it in needs.properties if it not in has.get(key, {it})]:
        return f"is in no aggregate for images with {' '.join(images[0])}"
    for spec, value in server.extra_specs.items():
        if spec.startswith(_SPEC) or spec in keys:
            name, wanted = spec.removeprefix(_SPEC), {*map(str.strip, value.split("<or>"))}
            if not has[name] & (wanted - {""} if value.startswith("<or>") else {value}):
                return f"is in no aggregate with {name} {value}"
    return None
