# SPDX-License-Identifier: Apache-2.0
"""The names of hosts in datasources: with or without a domain, nova's or the hypervisor's."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Generic, TypeVar

from oslo_log import log

from watcher.cloud.compute import Host

LOG = log.getLogger(__name__)

T = TypeVar("T")


class HostValues(dict[str, T], Generic[T]):
    """Values by the uuid of a host."""

    unmatched: Collection[str] = ()
    """The names in the datasource that match none of the hosts, if some host has no value."""


def of_host(host: Host) -> list[str]:
    """All names that it may have, the most certain first."""
    full = [host.hostname, host.hypervisor_hostname or host.hostname]
    return list(dict.fromkeys([*full, *map(_short, full)]))


def matched(source: str, hosts: Sequence[Host], values: Mapping[str, T]) -> HostValues[T]:
    """The *values* by uuid; the argument has them by the name of a host in the datasource.

    A match of the whole name counts before one without a domain.  A name that fits several hosts is
    left out, and so is a host that several names fit.  The log names examples of what is left out.
    """
    by_name: dict[str, set[str]] = defaultdict(set)
    for name in values:
        by_name[_short(name)].add(name)
    found: dict[str, str] = {}
    for host in hosts:
        whole = [name for name in of_host(host) if name in values]
        fit = whole[:1] or {each for name in of_host(host) for each in by_name.get(name, ())}
        if len(fit) == 1:
            found[host.uuid] = next(iter(fit))
        elif fit:
            LOG.warning("%s: host %s may be any of %s", source, host.hostname, sorted(fit))
    taken = Counter(found.values())
    found = {uuid: name for uuid, name in found.items() if taken[name] == 1}
    lacking = [host for host in hosts if host.state == "up" and host.uuid not in found]
    by_uuid = HostValues({uuid: values[name] for uuid, name in found.items()})
    if lacking:
        by_uuid.unmatched = values.keys() - taken.keys()
        report(source, lacking, by_uuid.unmatched)
    return by_uuid


def unknown(called: Collection[str], hosts: Sequence[Host]) -> list[str]:
    """The names *called* that none of *hosts* has, in order."""
    known = {name for host in hosts for name in of_host(host)}
    return sorted(each for each in called if known.isdisjoint((each, _short(each))))


def pairs(hosts: Sequence[Host]) -> dict[str, str]:
    """Two names of a host, joined as ceilometer does, to its uuid; names of several hosts are left
    out."""
    uuids: dict[str, set[str]] = defaultdict(set)
    for host in hosts:
        called = of_host(host)
        for one, other in itertools.product(called, called):
            uuids[f"{one}_{other}"].add(host.uuid)
    return {key: next(iter(each)) for key, each in uuids.items() if len(each) == 1}


def report(source: str, hosts: Sequence[Host], unmatched: Collection[str] = ()) -> None:
    """Log that *hosts* have no value, which names were looked for, and which names in the
    datasource are *unmatched*."""
    up = [host for host in hosts if host.state == "up"]
    if up:
        LOG.warning(
            "%s: %d hosts have no value, such as %s%s",
            source,
            len(up),
            " or ".join(of_host(up[0])),
            f"; {len(unmatched)} names match no host, such as {min(unmatched)}"
            if unmatched
            else "",
        )


def _short(name: str) -> str:
    return name.partition(".")[0]
