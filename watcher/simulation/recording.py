# SPDX-License-Identifier: Apache-2.0
"""Records a cloud as it is now, in the format of a simulated cloud."""

import contextlib
import dataclasses
import datetime
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from watcher.cloud import Cloud
from watcher.cloud.compute import Host, Units
from watcher.cloud.metrics import Metrics
from watcher.cloud.needs import NOTHING
from watcher.cloud.nested import nested_of, with_nested
from watcher.common.errors import CloudRefused, NotConfigured, Unavailable
from watcher.conf.datasources import HOST_METRICS, SERVER_METRICS

PERIODS = {"instance_l3_cache_usage": (100, 200)}
"""The strategy that reads this metric compares two periods; its values are by period."""

_GRANULARITY = 300

Problem = Callable[[str], object]
Values = dict[str, dict[str, Any]]
"""Resource uuid to metric to value."""


def record(
    cloud: Cloud, sources: Sequence[Metrics], period: int, problem: Problem
) -> dict[str, Any]:
    """The cloud's services, and metrics aggregated over *period* seconds.

    Each metric is read from the first of *sources* that has it.  Services that the cloud does not
    have are left out, and so are metrics that no source has.  If block storage, bare metal or a
    source fails, it is left out as well, and *problem* gets a sentence.  NotConfigured,
    CloudUnavailable or CloudRefused of the compute service.
    """
    hosts = cloud.compute.hosts()
    hostnames = {host.hostname for host in hosts}
    nested = nested_of(hosts)
    servers = [
        with_nested(server, nested)
        for server in cloud.compute.servers()
        if server.host in hostnames
    ]
    power: dict[str, str] = {}
    with _optional("power of machines", problem):
        power = _power(cloud)
    storage: dict[str, Any] = {}
    with _optional("block storage", problem):
        storage = _storage(cloud)
    return {
        "hosts": [{**_fields(host), **_machine(host, power)} for host in hosts],
        "servers": [_fields(server) for server in servers],
        "server_groups": [_fields(group) for group in cloud.compute.server_groups()],
        "metrics": {
            "host": _values(sources, HOST_METRICS, period, "host_metric", hosts, problem),
            "instance": _values(sources, SERVER_METRICS, period, "server_metric", servers, problem),
        },
        **storage,
    }


def _values(
    sources: Sequence[Metrics],
    names: Collection[str],
    period: int,
    method: str,
    resources: Sequence[Any],
    problem: Problem,
) -> Values:
    values: Values = {}
    for name in names:
        for seconds in PERIODS.get(name, (period,)):
            with _optional(name, problem):
                read = _reader(sources, name, method)
                found = read(name, resources, seconds, "mean", _GRANULARITY)
                for uuid, value in found.items():
                    of_resource = values.setdefault(uuid, {})
                    if name in PERIODS:
                        of_resource.setdefault(name, {})[str(seconds)] = value
                    else:
                        of_resource[name] = value
    return values


def _reader(
    sources: Sequence[Metrics], name: str, method: str
) -> Callable[..., Mapping[str, float]]:
    for source in sources:
        if source.available(name):
            found: Callable[..., Mapping[str, float]] = getattr(source, method)
            return found
    raise NotConfigured(f"No datasource has {name}.")


@contextlib.contextmanager
def _optional(what: str, problem: Problem) -> Iterator[None]:
    """Go on without *what*; silently if the cloud does not have it at all."""
    try:
        yield
    except NotConfigured:
        pass
    except (Unavailable, CloudRefused) as error:
        problem(f"{what} is left out: {error}")


def _storage(cloud: Cloud) -> dict[str, Any]:
    storage = cloud.block_storage
    with_snapshots = set(storage.volumes_with_snapshots())
    return {
        "storage": {
            "nodes": [_fields(node) for node in storage.nodes()],
            "pools": [_fields(pool) for pool in storage.pools()],
            "types": [_fields(each) for each in storage.volume_types()],
            "volumes": [
                {**_fields(volume), "has_snapshots": volume.uuid in with_snapshots}
                for volume in storage.volumes()
            ],
        }
    }


def _power(cloud: Cloud) -> dict[str, str]:
    """Uuid or hostname of a host to the power state of its machine."""
    nodes = cloud.baremetal.nodes()
    return {node.host_uuid or node.hostname or "": node.power_state for node in nodes}


def _machine(host: Host, power: Mapping[str, str]) -> dict[str, str]:
    state = power.get(host.uuid) or power.get(host.hostname)
    return {"power": state} if state else {}


def _fields(value: Any) -> dict[str, Any]:
    """The fields of a dataclass as JSON; empty ones are left out."""
    fields = dataclasses.asdict(value)
    fields.pop("nested", None)  # servers have it among their needs
    if fields.get("needs") == dataclasses.asdict(NOTHING):
        del fields["needs"]
    return {
        name: _plain(each)
        for name, each in fields.items()
        if each not in (None, "", (), {}, frozenset())
    }


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, Units):
        return value._asdict()
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return sorted(value) if isinstance(value, frozenset) else value
