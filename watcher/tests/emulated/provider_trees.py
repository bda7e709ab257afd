# SPDX-License-Identifier: Apache-2.0
"""How placement divides what is asked for among the providers of one host."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any


@dataclasses.dataclass
class Group:
    """What is asked for together: with a suffix of one provider, else of any of the tree."""

    resources: dict[str, int] = dataclasses.field(default_factory=dict)
    required: set[str] = dataclasses.field(default_factory=set)
    forbidden: set[str] = dataclasses.field(default_factory=set)


@dataclasses.dataclass(frozen=True)
class Tree:
    """A host's provider, those below it, and those that share with it."""

    providers: Sequence[str]
    inventories: Mapping[str, Mapping[str, Mapping[str, Any]]]
    usages: Mapping[str, Mapping[str, int]]
    traits: Mapping[str, Collection[str]]

    def divided(self, groups: Mapping[str, Group], policy: str) -> dict[str, Counter[str]] | str:
        """Provider to amounts, or why there is no such division."""
        own, parts = groups.get("", Group()), []
        for name, amount in own.resources.items():
            parts.append(self._possible({name: amount}, lambda provider: None))
        named = {suffix: group for suffix, group in groups.items() if suffix and group.resources}
        for group in named.values():
            parts.append(self._possible(group.resources, self._traits_of(group)))
        if lacking := next((each for each in parts if isinstance(each, str)), None):
            return lacking
        wanted = [
            *({n: a} for n, a in own.resources.items()),
            *(g.resources for g in named.values()),
        ]
        why = "no division"
        for chosen in itertools.product(*parts):
            shares: dict[str, Counter[str]] = {}
            for provider, amounts in zip(chosen, wanted, strict=True):
                shares.setdefault(provider, Counter()).update(amounts)
            ours, theirs = chosen[: len(own.resources)], chosen[len(own.resources) :]
            refused = self._refused(own, ours, theirs, policy) or self._over(shares)
            if not refused:
                return shares
            why = refused
        return why

    def _refused(
        self, own: Group, ours: Sequence[str], theirs: Sequence[str], policy: str
    ) -> str | None:
        traits = {trait for provider in ours for trait in self.traits[provider]}
        if own.required - traits:
            return f"no trait {min(own.required - traits)}"
        if own.forbidden & traits:
            return f"trait {min(own.forbidden & traits)}"
        if policy == "isolate" and len({*theirs}) < len(theirs):
            return "groups on one provider"
        return None

    def _traits_of(self, group: Group) -> Callable[[str], str | None]:
        def lack(provider: str) -> str | None:
            traits = {*self.traits[provider]}
            wrong = (group.required - traits) | (group.forbidden & traits)
            return f"trait {min(wrong)}" if wrong else None

        return lack

    def _possible(
        self, amounts: Mapping[str, int], also: Callable[[str], str | None]
    ) -> list[str] | str:
        """The providers that could give all of *amounts*, or why one could not."""
        lacks = {
            provider: next(
                filter(None, [self.lack(provider, *each) for each in amounts.items()]), None
            )
            or also(provider)
            for provider in self.providers
        }
        found = [provider for provider, lack in lacks.items() if lack is None]
        return found or next(iter(lacks.values())) or "nothing"

    def _over(self, shares: Mapping[str, Mapping[str, int]]) -> str | None:
        """Whether groups together ask a provider for too much; a unit's steps count for each."""
        lacks = (
            self.lack(provider, name, amount, step=False)
            for provider, amounts in shares.items()
            for name, amount in amounts.items()
        )
        return next(filter(None, lacks), None)

    def lack(self, provider: str, name: str, amount: int, step: bool = True) -> str | None:
        has = self.inventories[provider].get(name)
        if has is None:
            return f"no {name}"
        if amount < has.get("min_unit", 1) or amount > has.get("max_unit", has["total"]):
            return f"{amount} {name} is no amount for one consumer"
        if step and amount % has.get("step_size", 1):
            return f"{amount} {name} is no multiple"
        capacity = (has["total"] - has["reserved"]) * has["allocation_ratio"]
        if self.usages[provider].get(name, 0) + amount > capacity:
            return f"{name} has {capacity}, {self.usages[provider][name]} are used"
        return None
