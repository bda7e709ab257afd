# SPDX-License-Identifier: Apache-2.0
"""Prometheus' API for instant queries.  It computes nothing: values are what a query finds."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from werkzeug.wrappers import Request, Response

from watcher.tests.emulated.keystone import answer


class Prometheus:
    """A WSGI application.

    *values* maps a metric to its values by the label that queries group by.
    """

    def __init__(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        self.values = values
        self.queries: list[str] = []
        self.times: list[str | None] = []
        """For which time each query was made; None: now."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        if request.path != "/api/v1/query" or request.method != "POST":
            response: Any = Response(status=404)
        else:
            self.times.append(request.form.get("time"))
            response = self._query(request.form["query"])
        return response(environ, start_response)

    def show_cpu_use(self, servers: Mapping[str, Any], used: Mapping[str, float]) -> None:
        """Every server of nova, by uuid, uses as much of its vCPUs, in per cent, as its host."""
        self.values = {
            "ceilometer_cpu": {
                uuid: used[row["OS-EXT-SRV-ATTR:host"]] * row["flavor"]["vcpus"]
                for uuid, row in list(servers.items())
            },
            "node_cpu_seconds_total": used,
        }

    def _query(self, query: str) -> Response:
        self.queries.append(query)
        if query == "vector(1)":
            return _vector([({}, 1)])
        present = re.fullmatch(r'count\(last_over_time\(\{__name__="(.+)"\}\[1h\]\)\)', query)
        if present:
            return _vector([({}, 1)] if present[1] in self.values else [])
        grouped = re.search(r"by \((\w+)\)", query)
        metric = next((name for name in self.values if re.search(rf"\b{name}\b", query)), None)
        if grouped is None:
            sentence = {"status": "error", "errorType": "bad_data", "error": "parse error"}
            return answer(sentence, 400)
        wanted = re.search(r'=~"([^"]*)"', query)
        names = frozenset(wanted[1].split("|")) if wanted else None
        return _vector(
            [
                ({grouped[1]: name}, value)
                for name, value in self.values.get(metric or "", {}).items()
                if names is None or name in names
            ]
        )


def _vector(series: list[tuple[dict[str, str], Any]]) -> Response:
    result = [{"metric": labels, "value": [1795366146.276, str(value)]} for labels, value in series]
    return answer({"status": "success", "data": {"resultType": "vector", "result": result}})


def section(url: str) -> str:
    """The part of a configuration file that lets an engine use the Prometheus at *url*."""
    host, port = urlsplit(url).netloc.split(":")
    return f"[prometheus_client]\nhost = {host}\nport = {port}\n"
