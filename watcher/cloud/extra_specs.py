# SPDX-License-Identifier: Apache-2.0
"""What nova asks of placement for the extra specs of a flavor and the properties of an image."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property

_KEY = re.compile(r"(resources|trait)([\w-]{1,64})?:(\w+)")
_CPUS = ("VCPU", "PCPU")
OF_FLAVOR = (*_CPUS, "MEMORY_MB", "DISK_GB")
ALWAYS = "2.1"
_SIGNS = {"required": "", "forbidden": "!"}

_UNJUDGED = re.compile(
    r"hw[:_](numa_|mem_page_size|mem_encryption|cpu_thread_policy|cpu_realtime|emulator_threads"
    r"|cpu_sockets|pci_numa|pmem|tpm_|maxphysaddr|locked_memory)"
    r"|pci_passthrough:|accel:|capabilities:|group_policy"
    r"|hw_(machine_type|firmware_type|architecture)|os_secure_boot|os:secure_boot|hypervisor_type"
)
"""Names of extra specs and image properties that depend on what placement does not show, or that
nova translates itself."""

_TRAITS = {
    "cpu_thread_policy": {"require": "HW_CPU_HYPERTHREADING", "isolate": "!HW_CPU_HYPERTHREADING"},
    "maxphysaddr_mode": {
        "passthrough": "COMPUTE_ADDRESS_SPACE_PASSTHROUGH",
        "emulate": "COMPUTE_ADDRESS_SPACE_EMULATED",
    },
    "pci_numa_affinity_policy": {"socket": "COMPUTE_SOCKET_PCI_NUMA_AFFINITY"},
    "tpm_version": {"1.2": "COMPUTE_SECURITY_TPM_1_2", "2.0": "COMPUTE_SECURITY_TPM_2_0"},
    "firmware_stateless": {"true": "COMPUTE_SECURITY_STATELESS_FIRMWARE"},
    "sound_model": {"virtio": "COMPUTE_SOUND_MODEL_VIRTIO"},
    "virtio_packed_ring": {"true": "COMPUTE_NET_VIRTIO_PACKED"},
    "ephemeral_encryption": {"true": "COMPUTE_EPHEMERAL_ENCRYPTION"},
}
"""Name after ``hw:`` or ``hw_`` to value to the trait that nova then requires or, after ``!``,
forbids."""
_SECURE = {"required": "COMPUTE_SECURITY_UEFI_SECURE_BOOT"}
_TPM_MODELS = {"tpm-crb": "COMPUTE_SECURITY_TPM_CRB"}
_SEV = {"amd-sev-es": "HW_CPU_X86_AMD_SEV_ES"}


class Wanted:
    """The extra specs of a flavor of so many *vcpus*, and the properties of an image."""

    def __init__(self, vcpus: int, specs: Mapping[str, str], properties: Mapping[str, str]) -> None:
        self._vcpus, self._specs, self._properties = vcpus, specs, properties
        self._lists: dict[str, list[str]] = defaultdict(list)
        self._sums: Counter[str] = Counter()
        self.traits: set[str] = set()
        """Those that the host must have; after ``!``, those that it must not have."""
        for name, value in sorted(specs.items()):
            if match := _KEY.fullmatch(name):
                self._add(match[1], match[2] or "", match[3], value)
        self.traits |= {
            *self._translated(),
            *(
                name.removeprefix("trait:")
                for name, value in properties.items()
                if name.startswith("trait:") and value == "required"
            ),
        }

    def _add(self, kind: str, group: str, name: str, value: str) -> None:
        if kind == "trait" and value in _SIGNS:
            trait = _SIGNS[value] + name
            if group:
                self._lists[f"required{group}"].append(trait)
            else:
                self.traits.add(trait)
        elif kind == "resources" and value.isdecimal():
            self._sums[name] += int(value)
            if int(value) and (group or name not in OF_FLAVOR):
                self._lists[f"resources{group}"].append(f"{name}:{value}")

    @cached_property
    def policy(self) -> str | None:
        """How its CPUs are chosen: ``dedicated``, ``mixed``, ``shared`` or None."""
        return self.get("cpu_policy")

    @property
    def amounts(self) -> dict[str, int]:
        """The amounts of the resources of ``VCPU``, ``PCPU``, ``MEMORY_MB`` and ``DISK_GB`` that
        differ from those of the flavor, in all groups together."""
        amounts = {name: self._sums[name] for name in OF_FLAVOR if name in self._sums}
        dedicated = {"dedicated": self._vcpus, "mixed": len(self._mask())}.get(self.policy or "")
        if dedicated is not None:
            isolated = self.get("emulator_threads_policy") == "isolate"
            amounts["PCPU"] = dedicated + isolated
            amounts["VCPU"] = self._vcpus - dedicated
        elif "PCPU" in amounts:
            amounts.setdefault("VCPU", 0)
        return amounts

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the query to placement for further resource classes, and for groups
        of them."""
        query = {name: ",".join(values) for name, values in self._lists.items()}
        policy = self._specs.get("group_policy")
        return query | ({"group_policy": policy} if policy in ("none", "isolate") else {})

    @property
    def unjudged(self) -> set[str]:
        """Names of what only nova and placement can judge."""
        found = {name for name in (*self._specs, *self._properties) if _UNJUDGED.match(name)}
        for name in self._specs:
            if (match := _KEY.fullmatch(name)) and (
                match[2] or (match[1] == "resources" and match[3] not in OF_FLAVOR)
            ):
                found.add(name)
        if self.amounts.get("PCPU"):  # then nova places the server in one NUMA node
            found.add("hw:cpu_policy" if self.policy else "resources:PCPU")
        return found

    @property
    def live_since(self) -> str:
        """The microversion of the first nova that migrates such servers live; empty: none does."""
        if self.is_fixed or self._encrypted:
            return ""
        if self.get("tpm_version") and self._specs.get("hw:tpm_secret_security") != "host":
            return ""
        if self._specs.get("pci_passthrough:alias"):
            return "2.100"  # from there on some devices migrate with their servers
        return "2.88" if self._specs.get("hw:pmem") else ALWAYS

    @property
    def is_fixed(self) -> bool:
        """Whether nova does not migrate such servers in any way."""
        return bool(self._specs.get("accel:device_profile"))

    def get(self, name: str, prefix: str = "hw") -> str | None:
        """The value of an extra spec or, if there is none, of the image property of that name."""
        wanted = self._specs.get(f"{prefix}:{name}")
        return self._properties.get(f"{prefix}_{name}") if wanted is None else wanted

    @property
    def _encrypted(self) -> bool:
        return (self.get("mem_encryption") or "").lower() in ("true", "1", "yes", "on")

    def _translated(self) -> Iterator[str]:
        """The traits that nova adds, and to the lists the resources that it adds."""
        for name, by_value in _TRAITS.items():
            if trait := by_value.get((self.get(name) or "").lower()):
                yield trait
        if trait := _SECURE.get(self.get("secure_boot", "os") or ""):
            yield trait
        if self.get("tpm_version"):
            yield _TPM_MODELS.get(self.get("tpm_model") or "", "COMPUTE_SECURITY_TPM_TIS")
        if self._encrypted:
            yield _SEV.get(self.get("mem_encryption_model") or "", "HW_CPU_X86_AMD_SEV")
            self._add("resources", "", "MEM_ENCRYPTION_CONTEXT", "1")
        labels = filter(None, map(str.strip, self._specs.get("hw:pmem", "").upper().split(",")))
        names = (re.sub(r"[^A-Z0-9]+", "_", label) for label in labels)
        for name, count in sorted(Counter(names).items()):
            self._add("resources", "", f"CUSTOM_PMEM_NAMESPACE_{name}", str(count))

    def _mask(self) -> set[int]:
        """The dedicated CPUs of a server that has some."""
        mask = self._specs.get("hw:cpu_dedicated_mask")
        realtime = self._properties.get("hw_cpu_realtime_mask")
        return _cpus_of(
            mask or realtime or self._specs.get("hw:cpu_realtime_mask", ""), self._vcpus
        )


def _cpus_of(mask: str, vcpus: int) -> set[int]:
    """The CPUs of a list such as ``0-3,^1``; a list that only excludes is applied to all CPUs."""
    chosen: set[int] = set()
    excluded: set[int] = set()
    for part in filter(None, mask.replace(" ", "").split(",")):
        first, _, last = part.removeprefix("^").partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            cpus = range(int(first), int(last or first) + 1)
            (excluded if part.startswith("^") else chosen).update(cpus)
    return (chosen or set(range(vcpus))) - excluded
