# SPDX-License-Identifier: Apache-2.0
"""The needs of servers apart from amounts, by extra specs and image properties."""

import dataclasses
import functools
import itertools
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from watcher.cloud.extra_specs import ALWAYS, OF_FLAVOR, Wanted

OF_CYBORG = "OWNER_CYBORG"
"""The trait of providers that are devices of cyborg."""


class Holding(NamedTuple):
    """What a server has of a provider below that of its host, such as a network device."""

    amounts: tuple[tuple[str, int], ...]
    """By resource class."""
    traits: tuple[str, ...]
    """Those of the provider."""


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

    def with_holdings(self, holdings: tuple[Holding, ...]) -> "Needs":
        """These needs, and what else a server has: its ports need that, or its devices.

        Which of the provider's traits they need is not known, so they are taken to need all.
        """
        return _with_holdings(self, self.properties, holdings)


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


def amounts_in(values: str) -> dict[str, int]:
    """The amounts in a list such as ``VCPU:1,VGPU:2``."""
    pairs = (each.split(":") for each in values.split(","))
    return {name: int(amount) for name, amount in pairs}


@functools.lru_cache(maxsize=4096)
def _with_holdings(
    needs: Needs, _properties: tuple[tuple[str, str], ...], holdings: tuple[Holding, ...]
) -> Needs:
    """*_properties* distinguishes needs that are equal without them."""
    query, unjudged = dict(needs.resources), {*needs.unjudged}
    known = Counter[str]()
    for name, values in query.items():
        known.update(amounts_in(values) if name.startswith("resources") else {})
    taken = {name.removeprefix("resources").removeprefix("required") for name in query}
    numbers = (number for number in map(str, itertools.count(1)) if number not in taken)
    for amounts, traits in holdings:
        more = Counter({name: amount for name, amount in amounts if name not in OF_FLAVOR})
        known, more = known - more, more - known
        if more:
            number = next(numbers)
            query[f"resources{number}"] = ",".join(f"{name}:{more[name]}" for name in sorted(more))
            query |= {f"required{number}": ",".join(traits)} if traits else {}
            query.setdefault("group_policy", "none")  # as nova does
            unjudged.update(more)
    return dataclasses.replace(
        needs,
        unjudged=tuple(sorted(unjudged)),
        resources=tuple(sorted(query.items())),
        is_fixed=needs.is_fixed or any(OF_CYBORG in each.traits for each in holdings),
    )
