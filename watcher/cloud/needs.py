# SPDX-License-Identifier: Apache-2.0
"""The needs of servers apart from amounts, by extra specs and image properties."""

import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import Any

_TRAIT = re.compile(r"trait:(\w+)")
_RESOURCE = re.compile(r"resources:(\w+)")
_GROUP = re.compile(r"(resources|trait)([\w-]+):(\w+)")
_CPUS = ("VCPU", "PCPU")

_UNJUDGED = re.compile(
    r"hw[:_](numa_|mem_page_size|mem_encryption|cpu_thread_policy|cpu_realtime|emulator_threads"
    r"|cpu_sockets|pci_numa|pmem|tpm_|maxphysaddr|locked_memory)"
    r"|pci_passthrough:|accel:|capabilities:|group_policy"
    r"|hw_(machine_type|firmware_type|architecture)|os_secure_boot|os:secure_boot|hypervisor_type"
)
"""Names of extra specs and image properties that depend on what placement does not show, or that
nova translates itself."""


@dataclasses.dataclass(frozen=True, slots=True)
class Needs:
    """One object for all servers of a flavor and an image."""

    pcpus: int = 0
    """How many of its vCPUs are dedicated (PCPU): the others are shared (VCPU)."""
    required: frozenset[str] = frozenset()
    """Traits that its host must have."""
    forbidden: frozenset[str] = frozenset()
    """Traits that its host must not have."""
    unjudged: tuple[str, ...] = ()
    """Names of what only nova and placement can judge, sorted."""
    resources: tuple[tuple[str, str], ...] = ()
    """Further parameters of the query to placement, beside vCPUs, memory and disk: names and
    values."""
    properties: tuple[tuple[str, str], ...] = dataclasses.field(default=(), compare=False)
    """Of the image: names and values, by which aggregates may exclude it."""

    @classmethod
    def of(
        cls, vcpus: int, specs: Mapping[str, Any], properties: Mapping[str, Any] | None = None
    ) -> "Needs":
        """From the extra specs of a flavor of so many *vcpus*, and the properties of an image."""
        if not specs and not properties:
            return NOTHING
        return _needs(vcpus, _items(specs), _items(properties or {}))


NOTHING = Needs()


def _items(values: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    return frozenset((name, str(value)) for name, value in values.items())


@functools.lru_cache(maxsize=4096)
def _needs(
    vcpus: int, specs: frozenset[tuple[str, str]], properties: frozenset[tuple[str, str]]
) -> Needs:
    wanted = {**dict(properties), **dict(specs)}
    traits = {
        match[1]: value.lower() for name, value in wanted.items() if (match := _TRAIT.match(name))
    }
    classes = {match[1]: value for name, value in specs if (match := _RESOURCE.fullmatch(name))}
    unjudged = {name for name in wanted if _UNJUDGED.match(name) or _GROUP.fullmatch(name)}
    unjudged |= {f"resources:{name}" for name in classes if name not in _CPUS}
    pcpus = _dedicated(vcpus, wanted, classes)
    if pcpus and not _is_number(classes.get("PCPU")):
        unjudged.add("hw:cpu_policy")  # with it, nova places the server in one NUMA node
    return Needs(
        pcpus,
        frozenset(name for name, value in traits.items() if value == "required"),
        frozenset(name for name, value in traits.items() if value == "forbidden"),
        tuple(sorted(unjudged)),
        _query(specs, classes),
        tuple(sorted(properties)),
    )


def _dedicated(vcpus: int, wanted: Mapping[str, str], classes: Mapping[str, str]) -> int:
    if _is_number(classes.get("PCPU")):
        return min(vcpus, int(classes["PCPU"]))
    policy = wanted.get("hw:cpu_policy", wanted.get("hw_cpu_policy"))
    if policy == "dedicated":
        return vcpus
    if policy != "mixed":
        return 0
    mask = wanted.get("hw:cpu_dedicated_mask", wanted.get("hw:cpu_realtime_mask", ""))
    return len(_cpus_of(mask, vcpus))


def _cpus_of(mask: str, vcpus: int) -> set[int]:
    """The CPUs of a list such as ``0-3,^1``; a list that only excludes is applied to all CPUs."""
    chosen: set[int] = set()
    excluded: set[int] = set()
    for part in filter(None, mask.replace(" ", "").split(",")):
        first, _, last = part.removeprefix("^").partition("-")
        if _is_number(first) and _is_number(last or first):
            cpus = range(int(first), int(last or first) + 1)
            (excluded if part.startswith("^") else chosen).update(cpus)
    return (chosen or set(range(vcpus))) - excluded


def _query(
    specs: frozenset[tuple[str, str]], classes: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    """The parameters for further resource classes, and for groups of them."""
    lists: dict[str, list[str]] = {}
    for name, value in sorted(classes.items()):
        if name not in _CPUS:
            lists.setdefault("resources", []).append(f"{name}:{value}")
    for name, value in sorted(specs):
        match = _GROUP.fullmatch(name)
        if match and match[1] == "resources":
            lists.setdefault(f"resources{match[2]}", []).append(f"{match[3]}:{value}")
        elif match:
            sign = "!" if value == "forbidden" else ""
            lists.setdefault(f"required{match[2]}", []).append(sign + match[3])
    query = {name: ",".join(values) for name, values in lists.items()}
    query |= {name: value for name, value in specs if name == "group_policy"}
    return tuple(sorted(query.items()))


def _is_number(text: str | None) -> bool:
    return text is not None and text.isdecimal()
