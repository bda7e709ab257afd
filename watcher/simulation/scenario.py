# SPDX-License-Identifier: Apache-2.0
"""The file that describes a simulated cloud, YAML or JSON.

::

    generate: {hosts: 40, servers: 600, seed: 7}
    migration_seconds: 2
    switch_seconds: 1
    surges:
      - {after_seconds: 5, hosts: [compute-0003], cpu: 95}
    alarms:
      - {name: hot, metric: host_cpu_usage, threshold: 80, audit: react}

Instead of ``generate``, or beside it, ``hosts`` and ``servers`` (or ``instances``) list them one by
one with the fields of ``cloud.compute`` (what servers need beside amounts is in their
``extra_specs`` and ``image_properties``), and ``metrics`` has ``host`` and ``instance``, each
``{uuid: {metric: value}}``. A server's ``host`` is a hostname or a uuid; ``cpu`` (percent) and
``ram`` (MB) in it are short for its metrics, ``migration_seconds`` and ``migration_fails`` say how
its migrations and resizes go; ``switch_seconds`` is what every stop and start takes.  Servers move
only where ``places``, their ``server_groups`` and the room on hosts let them be.  With
``loads_follow: false`` hosts keep their loads as if no server had ever moved, as with real metrics
that measure the wrong object.  ``storage`` is described in ``block_storage``, ``power`` of a host
in ``baremetal``.
"""

import dataclasses
import json
import math
import site
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from watcher.cloud.compute import RESOURCES, Aggregate, Flavor, Host, Server, ServerGroup, Units
from watcher.cloud.needs import Needs
from watcher.common.errors import Invalid, NotFound
from watcher.simulation import generator
from watcher.simulation.baremetal import KEYS, Machine
from watcher.simulation.fields import (
    fitting,
    made,
    measured,
    moment,
    refuse_repeated,
    refuse_unknown,
    uuid_of,
)

Values = dict[str, dict[str, Any]]
"""Metric to resource uuid to value; a value by period is ``{"300": value}``."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ALIASES = {"vcpu_reserved": "vcpus_reserved"}
_HARDWARE = {"generate", "hosts", "servers", "instances", "server_groups", "flavors", "storage"}
_METRICS = {"metrics", "loads_follow", "surges", "alarms"}
_TIMES = {"migration_seconds", "switch_seconds"}
_IGNORED = {"meta", "inputs"}


def example_file() -> str:
    """The demonstration's cloud, from the source tree or from where it is installed."""
    roots = (Path(__file__).parents[2], Path(sysconfig.get_path("data")), Path(site.getuserbase()))
    for root in roots:
        path = root / "etc" / "watcher" / "demo-cloud.yaml"
        if path.exists():
            return str(path)
    raise NotFound(f"The example demo-cloud.yaml is in none of {', '.join(map(str, roots))}.")


@dataclasses.dataclass(frozen=True)
class Course:
    """How long the migrations of one server take, and whether they fail."""

    seconds: float
    fails: bool = False


@dataclasses.dataclass(frozen=True)
class Surge:
    """A time in which some servers need *cpu* percent of their vCPUs."""

    after_seconds: float
    cpu: float
    servers: frozenset[str]
    """Uuids.  The load stays with the server, wherever it moves."""
    seconds: float = math.inf


@dataclasses.dataclass(frozen=True)
class AlarmRule:
    """An alarm on a host metric: it fires while any host is beyond the threshold."""

    name: str
    threshold: float
    audit: str
    """Name or uuid of the audit whose webhook is posted to."""
    metric: str = "host_cpu_usage"
    comparison: str = "gt"
    """``gt``, ``ge``, ``lt`` or ``le``."""
    repeat_actions: bool = False
    """Post at each evaluation while it fires, not only when it begins to."""
    evaluation_seconds: float = 1.0
    severity: str = "low"


@dataclasses.dataclass(frozen=True)
class Scenario:
    """The initial state of a cloud, and what happens to it."""

    hosts: list[Host]
    servers: list[Server]
    host_metrics: Values
    server_metrics: Values
    migration_seconds: float
    courses: dict[str, Course]
    """The courses of migrations that differ from the default, by uuid of the server."""
    surges: list[Surge]
    alarms: list[AlarmRule]
    groups: list[ServerGroup] = dataclasses.field(default_factory=list)
    flavors: list[Flavor] = dataclasses.field(default_factory=list)
    storage: Mapping[str, Any] | None = None
    """The content for ``SimulatedStorage``; None: there is no block storage."""
    machines: list[Machine] = dataclasses.field(default_factory=list)
    switch_seconds: float = 3.0
    """How long a server takes to stop or to start."""
    loads_follow: bool = True
    """Whether the metrics of hosts follow the servers that move."""

    @classmethod
    def from_file(cls, path: str | Path) -> "Scenario":
        """Invalid, with the name of the field, if the file does not fit."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise Invalid(f"simulation: {path} cannot be read: {error.strerror}.") from error
        try:
            # YAML reads JSON too, but takes a minute for megabytes.
            is_json = text.lstrip().startswith("{")
            content = json.loads(text) if is_json else yaml.load(text, _LOADER)
        except (ValueError, yaml.YAMLError) as error:
            raise Invalid(f"simulation: {path} is neither YAML nor JSON: {error}") from error
        return cls.from_dict(content)

    @classmethod
    def from_dict(cls, content: Any) -> "Scenario":
        if not isinstance(content, Mapping):
            raise Invalid("simulation: the file must be one mapping, with hosts and servers.")
        refuse_unknown("simulation", content, _HARDWARE | _METRICS | _TIMES | _IGNORED)
        with fitting("simulation"):
            return cls._made(content)

    @classmethod
    def _made(cls, content: Mapping[str, Any]) -> "Scenario":
        if "generate" in content:
            content = _with_generated(content)
        hosts = [_host(entry) for entry in content.get("hosts", ())]
        refuse_repeated("hosts: hostname", [host.hostname for host in hosts])
        refuse_repeated("hosts: uuid", [host.uuid for host in hosts])
        names = {host.uuid: host.hostname for host in hosts}
        names.update((host.hostname, host.hostname) for host in hosts)
        metrics = content.get("metrics", {})
        server_metrics = _by_metric(metrics.get("instance", {}))
        seconds = float(content.get("migration_seconds", 10))
        entries = _with_uuids([*content.get("instances", ()), *content.get("servers", ())])
        servers = [_server(entry, names, server_metrics) for entry in entries]
        courses = {
            server.uuid: Course(
                float(entry.get("migration_seconds", seconds)), bool(entry.get("migration_fails"))
            )
            for server, entry in zip(servers, entries, strict=True)
            if "migration_seconds" in entry or "migration_fails" in entry
        }
        return cls(
            hosts,
            servers,
            _by_metric(metrics.get("host", {})),
            server_metrics,
            seconds,
            courses,
            [_surge(entry, servers) for entry in content.get("surges", ())],
            [made(AlarmRule, "alarms", entry) for entry in content.get("alarms", ())],
            [_group(entry, servers) for entry in content.get("server_groups", ())],
            [made(Flavor, "flavors", entry) for entry in content.get("flavors", ())],
            content.get("storage"),
            [Machine.of_host(each) for each in content.get("hosts", ()) if "power" in each],
            float(content.get("switch_seconds", cls.switch_seconds)),
            bool(content.get("loads_follow", True)),
        )


def _with_generated(content: Mapping[str, Any]) -> dict[str, Any]:
    size = made(generator.CloudSize, "generate", content["generate"])
    hosts, servers = generator.generate(size)
    return {
        **content,
        "hosts": [*hosts, *content.get("hosts", ())],
        "servers": [*servers, *content.get("servers", ())],
    }


def _host(entry: Mapping[str, Any]) -> Host:
    fields = {_ALIASES.get(key, key): value for key, value in entry.items() if key not in KEYS}
    fields.setdefault("uuid", uuid_of(fields.get("hostname", "")))
    units = fields.get("units", {})
    refuse_unknown("hosts: units", units, set(RESOURCES))
    fields["units"] = {name: _units(each) for name, each in units.items()}
    refuse_unknown("hosts: used", fields.get("used", {}), set(RESOURCES))
    refuse_unknown("hosts: nested", fields.get("nested", {}), set())  # it is in needs of servers
    fields["traits"] = frozenset(fields.get("traits", ()))
    fields["aggregates"] = [_aggregate(each) for each in fields.get("aggregates", ())]
    return made(Host, "hosts", fields)


def _units(entry: Any) -> Units:
    try:
        units = Units(**entry)
    except TypeError as error:
        raise Invalid(f"hosts: units {entry} must have least, most or step.") from error
    if any(each is not None and (type(each) is not int or each < 1) for each in units):
        raise Invalid(f"hosts: units {entry} must be whole numbers from 1 on.")
    return units


def _aggregate(entry: Any) -> Aggregate:
    """``[id, name]`` and perhaps metadata, or a mapping."""
    try:
        return Aggregate(**entry) if isinstance(entry, Mapping) else Aggregate(*entry)
    except TypeError as error:
        raise Invalid(f"hosts: aggregate {entry} must have an id and a name.") from error


def _with_uuids(entries: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Servers, each with a uuid of its own; several may have one name, as in nova."""
    known: list[Mapping[str, Any]] = []
    namesakes: Counter[Any] = Counter()
    for entry in entries:
        name = entry.get("name", "")
        number = "" if "uuid" in entry or not namesakes[name] else f" {namesakes[name]}"
        namesakes[name] += "uuid" not in entry
        known.append({"uuid": uuid_of(f"{name}{number}"), **entry})
    refuse_repeated("servers: uuid", [entry["uuid"] for entry in known])
    return known


def _group(entry: Any, servers: Sequence[Server]) -> ServerGroup:
    """Its members are uuids, or names that one server alone has."""
    group = made(ServerGroup, "server_groups", entry)
    names = Counter(server.name for server in servers)
    uuids = {server.name: server.uuid for server in servers if names[server.name] == 1}
    uuids |= {server.uuid: server.uuid for server in servers}
    return dataclasses.replace(group, members=[uuids.get(each, each) for each in group.members])


def _server(entry: Mapping[str, Any], hostnames: Mapping[str, str], metrics: Values) -> Server:
    fields = {key: value for key, value in entry.items() if not key.startswith("migration_")}
    host = fields.get("host")
    if host and host not in hostnames:
        raise Invalid(f"servers: {fields['uuid']} is on host '{host}', which is not there.")
    fields["host"] = hostnames.get(host or "", "")
    for key, metric in (("cpu", "instance_cpu_usage"), ("ram", "instance_ram_usage")):
        if key in fields and (value := measured(f"{key} of a server", fields.pop(key))) is not None:
            metrics.setdefault(metric, {})[fields["uuid"]] = value
    fields["created"] = moment(fields.get("created"))
    properties, needs = fields.pop("image_properties", {}), fields.pop("needs", None)
    server = made(Server, "servers", fields)
    if needs is None:
        known = Needs.of(server.vcpus, server.extra_specs, properties)
    else:
        known = made(Needs, "servers: needs", {key: _fixed(needs[key]) for key in needs})
    # Servers share the text, as those that are read from nova do: a model is faster with that.
    return dataclasses.replace(server, needs=known, state=sys.intern(server.state))


def _fixed(value: Any) -> Any:
    """Lists of what a server needs, as sets that can be compared."""
    if not isinstance(value, list):
        return value
    pairs = value and isinstance(value[0], list)
    return tuple(map(tuple, value)) if pairs else frozenset(value)


def _surge(entry: Mapping[str, Any], servers: Iterable[Server]) -> Surge:
    """A surge names servers or hosts; a host stands for the servers that begin on it."""
    fields = dict(entry)
    hosts = set(fields.pop("hosts", ()))
    names = set(fields.get("servers", ()))
    fields["servers"] = frozenset(
        server.uuid
        for server in servers
        if server.state == "active"
        and (server.host in hosts or server.uuid in names or server.name in names)
    )
    return made(Surge, "surges", fields)


def _by_metric(resources: Mapping[str, Mapping[str, Any]]) -> Values:
    values: Values = {}
    for uuid, metrics in resources.items():
        for metric, given in metrics.items():
            if (value := measured(f"{metric} of {uuid}", given)) is not None:
                values.setdefault(metric, {})[uuid] = value
    return values
