# SPDX-License-Identifier: Apache-2.0
"""What nova asks of placement for a server: groups of resources and traits."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from watcher.tests.emulated.provider_trees import Group

Row = dict[str, Any]

_KEY = re.compile(r"^(resources|trait)([a-zA-Z0-9_-]{1,64})?:(.*)$")


def asked_of_placement(row: Row, shown: bool = False) -> tuple[dict[str, Group], str]:
    """Groups by suffix, and the policy of groups.  With *shown*, only by what nova and placement
    show of the server: not by the traits of its image."""
    flavor, image = row["flavor"], row["image"] or {}
    specs, properties = flavor["extra_specs"], image.get("properties", {})
    groups: dict[str, Group] = {"": Group()}
    for key, value in specs.items():
        if match := _KEY.match(key):
            group = groups.setdefault(match[2] or "", Group())
            if match[1] == "resources":
                group.resources[match[3]] = int(value)
            elif value == "required":
                group.required.add(match[3])
            else:
                group.forbidden.add(match[3])
    if not shown:
        groups[""].required.update(
            name[6:]
            for name, value in properties.items()
            if name.startswith("trait:") and value == "required"
        )
    _translate(groups[""], flavor, properties)
    _fill(groups, flavor, bool(image))
    for group in groups.values():
        for name in [name for name, amount in group.resources.items() if not amount]:
            del group.resources[name]
    ports = {f"_port{number}": group for number, group in enumerate(row["ports"])}
    return groups | ports, specs.get("group_policy", "none" if ports else "")


def isolating_traits(row: Row) -> set[str]:
    """The traits that open isolated aggregates to a server."""
    groups, _ = asked_of_placement(row | {"ports": ()})
    return {trait for group in groups.values() for trait in group.required}


def _translate(group: Group, flavor: Row, properties: Mapping[str, str]) -> None:
    """Add what further extra specs and image properties stand for."""
    specs = flavor["extra_specs"]

    def wanted(name: str) -> str:
        return str(specs.get(f"hw:{name}") or properties.get(f"hw_{name}") or "")

    policy = wanted("cpu_policy")
    if policy in ("dedicated", "mixed"):
        dedicated = flavor["vcpus"] if policy == "dedicated" else _dedicated(flavor)
        if policy == "mixed":
            group.resources["VCPU"] = flavor["vcpus"] - dedicated
        isolated = wanted("emulator_threads_policy") == "isolate"
        group.resources["PCPU"] = dedicated + isolated
    if wanted("cpu_thread_policy") == "require":
        group.required.add("HW_CPU_HYPERTHREADING")
    elif wanted("cpu_thread_policy") == "isolate":
        group.forbidden.add("HW_CPU_HYPERTHREADING")
    if wanted("mem_encryption") == "true":
        group.resources["MEM_ENCRYPTION_CONTEXT"] = 1
        group.required.add("HW_CPU_X86_AMD_SEV")
    if wanted("tpm_version") == "2.0":
        group.required.update({"COMPUTE_SECURITY_TPM_TIS", "COMPUTE_SECURITY_TPM_2_0"})
    for name, amount in Counter(filter(None, wanted("pmem").split(","))).items():
        group.resources[f"CUSTOM_PMEM_NAMESPACE_{name.upper()}"] = amount


def _dedicated(flavor: Row) -> int:
    mask = flavor["extra_specs"]["hw:cpu_dedicated_mask"]
    excluded = [int(each[1:]) for each in mask.split(",") if each.startswith("^")]
    return flavor["vcpus"] - len(excluded) if excluded else len(mask.split(","))


def _fill(groups: Mapping[str, Group], flavor: Row, has_image: bool) -> None:
    """Add what the flavor has itself, unless its extra specs have replaced that."""
    given = {name for group in groups.values() for name in group.resources}
    for name, amount in _amounts(flavor, has_image):
        if name not in given and not (name == "VCPU" and "PCPU" in given):
            groups[""].resources[name] = amount


def _amounts(flavor: Row, has_image: bool) -> Iterator[tuple[str, int]]:
    disk = (flavor["disk"] if has_image else 0) + flavor["ephemeral"] - (-flavor["swap"] // 1024)
    yield from (("VCPU", flavor["vcpus"]), ("MEMORY_MB", flavor["ram"]), ("DISK_GB", disk))
