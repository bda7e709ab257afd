# SPDX-License-Identifier: Apache-2.0
"""The needs of servers apart from amounts, by extra specs and image properties."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from watcher.cloud.extra_specs import ALWAYS, Wanted


@dataclasses.dataclass(frozen=True, slots=True)
class Needs:
    """One object for all servers of a flavor and an image."""

    pcpus: int = 0
    """How many dedicated CPUs (PCPU) it takes."""
    required: frozenset[str] = frozenset()
    """Traits that its host must have."""
    forbidden: frozenset[str] = frozenset()
    """Traits that its host must not have."""
    unjudged: tuple[str, ...] = ()
    """Names of what only nova and placement can judge, sorted."""
    resources: tuple[tuple[str, str], ...] = ()
    """Further parameters of the query to placement, beside vCPUs, memory and disk: names and
    values."""
    vcpus: int | None = None
    """How many shared CPUs (VCPU) it takes; None: those of the flavor that are not dedicated.
    The extra specs of a flavor may replace its amounts."""
    memory_mb: int | None = None
    """None: that of the flavor, as for *disk_gb*."""
    disk_gb: int | None = None
    live_since: str = ALWAYS
    """The microversion of the first nova that migrates it live; empty: none does."""
    is_fixed: bool = False
    """Whether nova does not migrate it in any way."""
    properties: tuple[tuple[str, str], ...] = dataclasses.field(default=(), compare=False)
    """Names and values of the image's properties, by which aggregates may exclude the image."""

    @classmethod
    def of(
        cls, vcpus: int, specs: Mapping[str, Any], properties: Mapping[str, Any] | None = None
    ) -> "Needs":
        """The needs of a flavor with *vcpus* and *specs*, and of an image with *properties*."""
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
    wanted = Wanted(vcpus, dict(specs), dict(properties))
    amounts = wanted.amounts
    return Needs(
        pcpus=amounts.get("PCPU", 0),
        required=frozenset(name for name in wanted.traits if not name.startswith("!")),
        forbidden=frozenset(name[1:] for name in wanted.traits if name.startswith("!")),
        unjudged=tuple(sorted(wanted.unjudged)),
        resources=tuple(sorted(wanted.query.items())),
        vcpus=amounts.get("VCPU"),
        memory_mb=amounts.get("MEMORY_MB"),
        disk_gb=amounts.get("DISK_GB"),
        live_since=wanted.live_since,
        is_fixed=wanted.is_fixed,
        properties=tuple(sorted(properties)),
    )
