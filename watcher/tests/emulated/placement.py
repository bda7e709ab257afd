# SPDX-License-Identifier: Apache-2.0
"""An emulated placement: resource providers and their inventories."""

from collections.abc import Iterable, Mapping
from typing import Any

from werkzeug.wrappers import Request, Response

from watcher.tests.emulated.keystone import answer

Inventories = Mapping[str, Mapping[str, Any]]


def inventory(total: int, reserved: int = 0, ratio: float = 1.0) -> dict[str, Any]:
    return {"total": total, "reserved": reserved, "allocation_ratio": ratio}


class Placement:
    """A WSGI application."""

    def __init__(self) -> None:
        self.generations: dict[str, int] = {}
        self._inventories: dict[str, Inventories] = {}

    def put(self, provider: str, inventories: Inventories) -> None:
        """Make a provider, or change what it has."""
        self._inventories[provider] = inventories
        self.generations[provider] = self.generations.get(provider, 0) + 1

    def delete(self, provider: str) -> None:
        del self._inventories[provider], self.generations[provider]

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return self._answer(Request(environ))(environ, start_response)

    def _answer(self, request: Request) -> Response:
        parts = request.path.strip("/").split("/")
        if parts == [""]:
            version = {"id": "v1.0", "min_version": "1.0", "max_version": "1.39"}
            link = {"rel": "self", "href": ""}
            return answer({"versions": [version | {"status": "CURRENT", "links": [link]}]})
        if parts == ["resource_providers"]:
            rows = [
                {"uuid": each, "generation": number} for each, number in self.generations.items()
            ]
            return answer({"resource_providers": rows})
        if parts[1] not in self._inventories:
            error = {"status": 404, "detail": f"No resource provider {parts[1]} found."}
            return answer({"errors": [error]}, 404)
        return answer(
            {
                "resource_provider_generation": self.generations[parts[1]],
                "inventories": self._inventories[parts[1]],
            }
        )
