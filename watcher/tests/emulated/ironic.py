# SPDX-License-Identifier: Apache-2.0
"""An emulated ironic, and an emulated MAAS, around simulated machines."""

from collections.abc import Iterable, Mapping
from typing import Any

from werkzeug.wrappers import Request, Response

from watcher.cloud.baremetal import BaremetalNode
from watcher.common.errors import NotFound
from watcher.simulation.baremetal import SimulatedBaremetal
from watcher.tests.emulated.keystone import answer

PAGE = 2


class Ironic:
    """A WSGI application; *extra* is the field of that name, by the node's name."""

    def __init__(
        self, machines: SimulatedBaremetal, extra: Mapping[str, Any] | None = None
    ) -> None:
        self._machines, self._extra = machines, extra or {}
        self.power_states: dict[str, str | None] = {}
        """By the node's name, what is shown instead of ``power on`` and ``power off``."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        try:
            response = self._answer(request)
        except NotFound as error:
            response = answer(
                {"error_message": {"faultcode": "Client", "faultstring": str(error)}}, 404
            )
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        path = request.path.removeprefix("/v1").rstrip("/")
        if not path:
            return self._version(request)
        assert request.headers["X-OpenStack-Ironic-API-Version"] == "1.8"
        _, _, *rest = path.split("/")
        if not rest:
            return self._nodes(request)
        node = self._machines.node(rest[0])
        if rest[1:] == ["states", "power"]:
            assert request.method == "PUT"
            state = request.get_json()["target"].removeprefix("power ")
            self._machines.set_power(node.uuid, state)
            return Response(status=202)
        return answer(self._shown(node, request))

    def _version(self, request: Request) -> Response:
        version = {
            "id": "v1",
            "status": "CURRENT",
            "min_version": "1.1",
            "version": "1.90",
            "links": [{"rel": "self", "href": request.url_root + "v1/"}],
        }
        return answer({"id": "v1", "version": version, "versions": [version]})

    def _nodes(self, request: Request) -> Response:
        nodes, marker = list(self._machines.nodes()), request.args.get("marker")
        first = 1 + [node.uuid for node in nodes].index(marker) if marker else 0
        page: dict[str, Any] = {
            "nodes": [self._shown(node, request) for node in nodes[first : first + PAGE]]
        }
        if first + PAGE < len(nodes):
            page["next"] = "elsewhere"
        return answer(page)

    def _shown(self, node: BaremetalNode, request: Request) -> dict[str, Any]:
        row = {
            "uuid": node.uuid,
            "name": node.name,
            "power_state": self.power_states.get(node.name, f"power {node.power_state}"),
            "target_power_state": "power of some kind" if node.switches else None,
            "maintenance": node.maintenance,
            "maintenance_reason": node.maintenance_reason,
            "extra": self._extra.get(node.name, {}),
        }
        return {name: row[name] for name in request.args["fields"].split(",")}


class Maas:
    """A WSGI application that lets in who signs in the way of RFC 5849 with this key."""

    key = "consumer:token:se/cret"

    def __init__(self, machines: SimulatedBaremetal, domain: str) -> None:
        self._machines, self._domain = machines, domain
        self.nonces: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        return self._answer(request)(environ, start_response)

    def _answer(self, request: Request) -> Response:
        if not self._is_signed(request.headers["Authorization"]):
            return Response("Authorization Error: Invalid API key.", 401)
        path = request.path.removeprefix("/MAAS/api/2.0/machines/").rstrip("/")
        if not path:
            return answer([self._shown(node) for node in self._machines.nodes()])
        try:
            node = self._machines.node(path)
        except NotFound:
            return Response("No Machine matches the given query.", 404)
        if request.method == "POST":
            self._machines.set_power(node.uuid, request.args["op"].removeprefix("power_"))
        return answer(self._shown(node))

    def _is_signed(self, header: str) -> bool:
        kind, _, rest = header.partition(" ")
        fields = dict(each.split("=", 1) for each in rest.split(", "))
        fields = {name: value.strip('"') for name, value in fields.items()}
        self.nonces.append(fields["oauth_nonce"])
        return kind == "OAuth" and (
            fields["oauth_version"],
            fields["oauth_signature_method"],
            fields["oauth_consumer_key"],
            fields["oauth_token"],
            fields["oauth_signature"],
            fields["oauth_timestamp"],
        ) == ("1.0", "PLAINTEXT", "consumer", "token", "%26se%252Fcret", "1234")

    def _shown(self, node: BaremetalNode) -> dict[str, Any]:
        return {
            "system_id": node.uuid,
            "hostname": node.name,
            "fqdn": f"{node.name}.{self._domain}",
            "power_state": node.power_state,
        }
