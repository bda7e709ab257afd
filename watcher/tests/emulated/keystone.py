# SPDX-License-Identifier: Apache-2.0
"""An emulated keystone: password tokens and a catalog."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from oslo_config import cfg
from werkzeug.wrappers import Request, Response

from watcher.conf import clients

PASSWORD = "secret"
TOKEN = "a-token"


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response in JSON, with a request id."""
    response = Response(json.dumps(body), status, mimetype="application/json", headers=headers)
    response.headers["x-openstack-request-id"] = "req-emulated"
    return response


class Keystone:
    """A WSGI application.  ``catalog`` is service type to URL, and may change at any time."""

    def __init__(self, catalog: Mapping[str, str] = {}) -> None:
        self.catalog = dict(catalog)
        self.issued = 0
        """How many tokens were."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        return self._answer(request)(environ, start_response)

    def _answer(self, request: Request) -> Response:
        if request.path.rstrip("/") == "/v3":
            link = {"rel": "self", "href": request.url_root + "v3/"}
            version = {"id": "v3.14", "status": "stable", "links": [link]}
            return answer({"version": version})
        if request.path == "/v3/auth/tokens" and request.method == "POST":
            return self._token(request)
        return answer({"error": {"code": 404, "message": "Not here."}}, 404)

    def _token(self, request: Request) -> Response:
        user = request.get_json()["auth"]["identity"]["password"]["user"]
        if user["password"] != PASSWORD:
            message = "The request you have made requires authentication."
            return answer({"error": {"code": 401, "message": message}}, 401)
        self.issued += 1
        token = {
            "methods": ["password"],
            "expires_at": "2999-01-01T00:00:00.000000Z",
            "issued_at": "2020-01-01T00:00:00.000000Z",
            "user": {"id": "u", "name": "watcher", "domain": {"id": "default", "name": "Default"}},
            "project": {
                "id": "service",
                "name": "service",
                "domain": {"id": "default", "name": "Default"},
            },
            "roles": [{"id": "admin", "name": "admin"}],
            "catalog": [self._entry(*each) for each in self.catalog.items()],
        }
        return answer({"token": token}, 201, {"x-subject-token": TOKEN})

    def _entry(self, service_type: str, url: str) -> dict[str, Any]:
        endpoints = [
            {
                "id": f"{service_type}-{interface}",
                "interface": interface,
                "region": "RegionOne",
                "region_id": "RegionOne",
                "url": url,
            }
            for interface in ("public", "internal")
        ]
        return {"id": service_type, "name": service_type, "type": service_type} | {
            "endpoints": endpoints
        }


def configure(conf: cfg.ConfigOpts, url: str, group: str = clients.AUTH) -> None:
    """Let *conf* use the emulated keystone at *url*."""
    from keystoneauth1 import loading

    clients.register(conf)
    conf.register_opts(loading.get_auth_plugin_conf_options("password"), group=group)
    for name, value in _credentials(url).items():
        conf.set_override(name, value, group=group)
    conf.set_override("api_query_max_retries", 1, group="collector")  # nobody shall wait for it


def section(url: str) -> str:
    """The part of a configuration file that lets services use the emulated keystone at *url*."""
    lines = [f"{name} = {value}" for name, value in _credentials(url).items()]
    return "\n".join([f"[{clients.AUTH}]", *lines, ""])


def _credentials(url: str) -> Mapping[str, str]:
    return {
        "auth_type": "password",
        "auth_url": f"{url}/v3",
        "username": "watcher",
        "password": PASSWORD,
        "project_name": "service",
        "user_domain_id": "default",
        "project_domain_id": "default",
    }
