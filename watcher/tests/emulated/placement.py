# SPDX-License-Identifier: Apache-2.0
"""An emulated placement: providers with inventories, traits and allocations."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from werkzeug.exceptions import BadRequest, HTTPException
from werkzeug.wrappers import Request, Response

from watcher.tests.emulated.keystone import answer
from watcher.tests.emulated.provider_trees import Group, Tree

Inventories = Mapping[str, Mapping[str, Any]]
Amounts = Mapping[str, int]
_OLD_NAMES = re.compile("(resources|required|in_tree)([1-9][0-9]*)?|limit|group_policy")
_STANDARD = {
    *("VCPU", "PCPU", "VGPU", "MEM_ENCRYPTION_CONTEXT"),
    *("NET_BW_EGR_KILOBIT_PER_SEC", "NET_BW_IGR_KILOBIT_PER_SEC", "FPGA"),
    "NET_PACKET_RATE_KILOPACKET_PER_SEC",
}
"""Classes that placement knows though no provider has them."""


def inventory(total: int, reserved: int = 0, ratio: float = 1.0, **units: int) -> dict[str, Any]:
    """As nova makes them, one server may have all of it."""
    usual = {"min_unit": 1, "max_unit": total, "step_size": 1}
    return {"total": total, "reserved": reserved, "allocation_ratio": ratio, **usual, **units}


class Placement:
    """A WSGI application."""

    def __init__(self, newest: str = "1.39") -> None:
        self.newest = newest
        self.generations: dict[str, int] = {}
        self.traits: dict[str, set[str]] = {}
        self.parents: dict[str, str] = {}
        """Provider to the one that it is below."""
        self.sharing: dict[str, set[str]] = {}
        """Provider to the hosts that it shares its inventories with."""
        self.usages: dict[str, Counter[str]] = {}
        self._allocations: dict[str, dict[str, Amounts]] = {}
        """Consumer to provider to amounts."""
        self._inventories: dict[str, Inventories] = {}

    def put(
        self, provider: str, inventories: Inventories, traits: Iterable[str] = (), below: str = ""
    ) -> None:
        """Make a provider, or change what it has."""
        self._inventories[provider] = inventories
        self.traits[provider] = set(traits)
        if below:
            self.parents[provider] = below
        self.usages.setdefault(provider, Counter())
        self.generations[provider] = self.generations.get(provider, 0) + 1

    def has(self, provider: str, resource: str) -> bool:
        return resource in self._inventories[provider]

    def delete(self, provider: str) -> None:
        del self._inventories[provider], self.generations[provider]

    def root(self, provider: str) -> str:
        while provider in self.parents:
            provider = self.parents[provider]
        return provider

    def allocate(self, consumer: str, amounts: Mapping[str, Amounts]) -> None:
        """Give a consumer *amounts* by provider, and take away what it had.  Checks nothing.

        A provider that it gives up while it keeps others of the same tree has no new generation.
        """
        before = self._allocations.pop(consumer, {})
        kept = {self.root(each) for each in amounts}
        for sign, allocation in ((-1, before), (1, amounts)):
            for provider in allocation.keys() & self._inventories.keys():
                for name, amount in allocation[provider].items():
                    self.usages[provider][name] += sign * amount
                if sign > 0 or self.root(provider) not in kept:
                    self.generations[provider] += 1
        if amounts:
            self._allocations[consumer] = dict(amounts)

    def forget(self, consumer: str) -> None:
        """Delete the allocations of a consumer, which makes no new generations."""
        generations = dict(self.generations)
        self.allocate(consumer, {})
        self.generations = generations

    def divided(
        self, provider: str, groups: Mapping[str, Group], policy: str = "", in_tree: bool = False
    ) -> dict[str, Counter[str]] | str:
        """Provider to amounts for a new consumer on a host, or why it gets none there.  With
        *in_tree*, nothing of what others share with the host."""
        below = (each for each in self.parents if self.root(each) == provider)
        shared = (each for each, roots in self.sharing.items() if provider in roots)
        if provider not in self._inventories:
            return "no provider"
        if len([suffix for suffix in groups if suffix]) > 1 and not policy:
            return "no group_policy"
        tree = [provider, *below, *([] if in_tree else shared)]
        return Tree(tree, self._inventories, self.usages, self.traits).divided(groups, policy)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return self._answer(Request(environ))(environ, start_response)

    def _answer(self, request: Request) -> Response:
        try:
            return self._found(request)
        except HTTPException as error:
            detail = {"status": error.code, "detail": error.description}
            return answer({"errors": [detail]}, error.code or 500)

    def _found(self, request: Request) -> Response:
        parts = request.path.strip("/").split("/")
        if parts == [""]:
            version = {"id": "v1.0", "min_version": "1.0", "max_version": self.newest}
            link = {"rel": "self", "href": ""}
            return answer({"versions": [version | {"status": "CURRENT", "links": [link]}]})
        if parts == ["resource_providers"]:
            return answer({"resource_providers": [*map(self._row, self.generations)]})
        if parts == ["allocation_candidates"]:
            asked = request.headers["OpenStack-API-Version"].removeprefix("placement 1.")
            return answer(self._candidates(request.args, named_groups=int(asked) >= 33))
        if parts[1] not in self._inventories:
            error = {"status": 404, "detail": f"No resource provider {parts[1]} found."}
            return answer({"errors": [error]}, 404)
        shown = {
            "inventories": self._inventories.__getitem__,
            "usages": self.usages.__getitem__,
            "traits": lambda provider: sorted(self.traits[provider]),
            "allocations": self._consumers,
        }
        return answer(
            {
                "resource_provider_generation": self.generations[parts[1]],
                parts[2]: shown[parts[2]](parts[1]),
            }
        )

    def _row(self, provider: str) -> dict[str, Any]:
        return {
            "uuid": provider,
            "generation": self.generations[provider],
            "parent_provider_uuid": self.parents.get(provider),
            "root_provider_uuid": self.root(provider),
        }

    def _consumers(self, provider: str) -> dict[str, Any]:
        return {
            consumer: {"resources": allocation[provider]}
            for consumer, allocation in self._allocations.items()
            if provider in allocation
        }

    def _candidates(self, query: Mapping[str, str], named_groups: bool) -> dict[str, Any]:
        """Of one host alone, what is asked for within ``in_tree``; else of all hosts."""
        if query.keys() == {"resources"} and "," not in query["resources"]:
            return self.summaries(query["resources"])
        for name in query:
            if not named_groups and not _OLD_NAMES.fullmatch(name):
                raise BadRequest(f"Invalid query string parameters: '{name}' does not match")
        groups = self._groups(query)
        policy, named = query.get("group_policy", ""), query.get("in_tree")
        if len([suffix for suffix in groups if suffix]) > 1 and not policy:
            raise BadRequest('The "group_policy" parameter is required.')
        hosts = [named] if named else self._inventories.keys() - self.parents.keys()
        divided = {each: self.divided(each, groups, policy, bool(named)) for each in hosts}
        found = {each: of for each, of in divided.items() if not isinstance(of, str)}
        requests = [{"allocations": each} for each in found.values()]
        return {"allocation_requests": requests, "provider_summaries": {each: {} for each in found}}

    def _groups(self, query: Mapping[str, str]) -> dict[str, Group]:
        """Groups by suffix."""
        groups = defaultdict[str, Group](Group)
        for name, value in query.items():
            kind, suffix = (name[:9], name[9:]) if "resour" in name else (name[:8], name[8:])
            if kind == "resources" and not value:
                raise BadRequest("Badly formed resources parameter.")
            for each in value.split(",") if kind in ("resources", "required") else ():
                if kind == "resources":
                    resource, _, amount = each.partition(":")
                    groups[suffix].resources[resource] = self._checked(resource, amount)
                elif each.startswith("!"):
                    groups[suffix].forbidden.add(each[1:])
                else:
                    groups[suffix].required.add(each)
        if "in_tree" in query:
            groups.setdefault("", Group())
        if any(not group.resources for group in groups.values()):
            raise BadRequest("All request groups must specify resources.")
        return groups

    def _checked(self, resource: str, amount: str) -> int:
        if int(amount) < 1:
            raise BadRequest("Requested resource must be at least 1.")
        known = {name for each in self._inventories.values() for name in each}
        if resource not in known | _STANDARD:
            raise BadRequest(f"Invalid resource class in resources parameter: {resource}")
        return int(amount)

    def summaries(self, resources: str) -> dict[str, Any]:
        """The providers that have room, and those below them, whether they have room or not."""
        name, _, amount = resources.partition(":")
        tree = Tree([], self._inventories, self.usages, self.traits)
        fit = {each for each in self._inventories if not tree.lack(each, name, int(amount))}
        found = {
            uuid: {
                "resources": {
                    each: {
                        "capacity": int((has["total"] - has["reserved"]) * has["allocation_ratio"]),
                        "used": self.usages[uuid][each],
                    }
                    for each, has in inventories.items()
                },
                "traits": sorted(self.traits[uuid]),
            }
            for uuid, inventories in self._inventories.items()
            if self.root(uuid) in fit
        }
        requests = [{"allocations": {uuid: {"resources": {name: int(amount)}}}} for uuid in fit]
        return {"allocation_requests": requests, "provider_summaries": found}
