# SPDX-License-Identifier: Apache-2.0
"""An emulated placement: providers with inventories, traits and allocations."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from werkzeug.exceptions import BadRequest, HTTPException
from werkzeug.wrappers import Request, Response

from watcher.tests.emulated.keystone import answer

Inventories = Mapping[str, Mapping[str, Any]]
Amounts = Mapping[str, int]


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

    def delete(self, provider: str) -> None:
        del self._inventories[provider], self.generations[provider]

    def allocate(self, consumer: str, amounts: Mapping[str, Amounts]) -> None:
        """Give a consumer *amounts* by provider, and take away what it had.  Checks nothing."""
        before = self._allocations.pop(consumer, {})
        for sign, allocation in ((-1, before), (1, amounts)):
            for provider in allocation.keys() & self._inventories.keys():
                for name, amount in allocation[provider].items():
                    self.usages[provider][name] += sign * amount
                self.generations[provider] += 1
        if amounts:
            self._allocations[consumer] = dict(amounts)

    def refusal(
        self, provider: str, amounts: Amounts, traits: Iterable[str], extra: Amounts
    ) -> str | None:
        """Why a tree of providers does not give a new consumer *amounts* of its root, and
        *extra* of any one of it.  ``!`` before a trait forbids it."""
        if provider not in self._inventories:
            return None
        found = [self._lack(provider, name, amount) for name, amount in amounts.items() if amount]
        tree = [provider, *(each for each, root in self.parents.items() if root == provider)]
        for name, amount in extra.items():
            lacks = [self._lack(each, name, amount) for each in tree]
            found.append(next(filter(None, lacks), None) if all(lacks) else None)
        for trait in traits:
            forbidden, name = trait.startswith("!"), trait.lstrip("!")
            if (name in self.traits[provider]) == forbidden:
                found.append(f"trait {trait}")
        return next(filter(None, found), None)

    def _lack(self, provider: str, name: str, amount: int) -> str | None:
        has = self._inventories[provider].get(name)
        if has is None:
            return f"no {name}"
        if amount < has.get("min_unit", 1) or amount > has.get("max_unit", has["total"]):
            return f"{amount} {name} is no amount for one consumer"
        if amount % has.get("step_size", 1):
            return f"{amount} {name} is no multiple"
        capacity = (has["total"] - has["reserved"]) * has["allocation_ratio"]
        if self.usages[provider][name] + amount > capacity:
            return f"{name} has {capacity}, {self.usages[provider][name]} are used"
        return None

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
            rows = [
                {"uuid": each, "generation": number} for each, number in self.generations.items()
            ]
            return answer({"resource_providers": rows})
        if parts == ["allocation_candidates"]:
            return answer(self._candidates(request.args))
        if parts[1] not in self._inventories:
            error = {"status": 404, "detail": f"No resource provider {parts[1]} found."}
            return answer({"errors": [error]}, 404)
        shown = {
            "inventories": self._inventories,
            "usages": self.usages,
            "traits": {each: sorted(traits) for each, traits in self.traits.items()},
        }
        return answer(
            {
                "resource_provider_generation": self.generations[parts[1]],
                parts[2]: shown[parts[2]][parts[1]],
            }
        )

    def _candidates(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Of one host alone, what is asked for within ``in_tree``; else of all hosts."""
        if "in_tree" not in query:
            return self.summaries(query["resources"])
        amounts: dict[str, int] = {}
        traits: list[str] = []
        for name, value in query.items():
            if name.startswith("resources"):
                pairs = (each.split(":") for each in value.split(","))
                amounts |= {resource: int(amount) for resource, amount in pairs}
                if min(amounts.values()) < 1:
                    raise BadRequest("Requested resource must be at least 1.")
            elif name == "required":
                traits = value.split(",")
        provider = query["in_tree"]
        own = {name: amounts.pop(name) for name in list(amounts) if name in OF_HOSTS}
        refused = self.refusal(provider, own, traits, amounts)
        found = [] if refused else [{"allocations": {provider: {"resources": own}}}]
        return {"allocation_requests": found, "provider_summaries": {}}

    def summaries(self, resources: str) -> dict[str, Any]:
        name, _, amount = resources.partition(":")
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
            if self._lack(uuid, name, int(amount)) is None
        }
        requests = [{"allocations": {uuid: {"resources": {name: int(amount)}}}} for uuid in found]
        return {"allocation_requests": requests, "provider_summaries": found}


OF_HOSTS = ("VCPU", "PCPU", "MEMORY_MB", "DISK_GB")
