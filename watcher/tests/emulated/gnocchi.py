# SPDX-License-Identifier: Apache-2.0
"""What of gnocchi's API (4.7) a reader of metrics uses, errors included."""

import dataclasses
import datetime
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from oslo_utils import timeutils
from werkzeug.wrappers import Request, Response

from watcher.tests.emulated.keystone import answer

METHODS = ("mean", "max", "min", "count", "rate:mean")


@dataclasses.dataclass(frozen=True)
class Metric:
    points: Sequence[tuple[float, float, float]]
    """(age in seconds, granularity in seconds, value), the same for each method."""
    granularities: Sequence[int] = (300,)
    methods: Sequence[str] = METHODS


@dataclasses.dataclass(frozen=True)
class Resource:
    id: str
    metrics: Mapping[str, Metric]
    type: str = "instance"
    original_resource_id: str = ""


class Gnocchi:
    """A WSGI application."""

    def __init__(self, resources: Sequence[Resource], max_limit: int = 1000) -> None:
        self.resources, self._max_limit = resources, max_limit
        self.now: Callable[[], datetime.datetime] = timeutils.utcnow

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        routes = {
            ("POST", "/v1/aggregates"): self.aggregates,
            ("GET", "/v1/metric"): self._metrics,
        }
        route = routes.get((request.method, request.path))
        response: Any = route(request) if route else Response(status=404)
        return response(environ, start_response)

    def aggregates(self, request: Request) -> Response:
        body = request.get_json()
        _, name, method = body["operations"]
        ((attribute, wanted),) = body["search"]["in"].items()
        names = set(wanted)
        granularity = request.args.get("granularity", type=int)
        ages = self._ages(request.args["start"], request.args.get("stop"))
        found = [
            each
            for each in self.resources
            if body["resource_type"] in ("generic", each.type)
            and name in each.metrics
            and getattr(each, attribute) in names
        ]
        if not found:
            return _error(404, f"Metric ['{name}'] does not exist")
        if any(method not in each.metrics[name].methods for each in found):
            return _error(404, f"{{'cause': 'Metrics with unknown aggregation', '{method}'}}")
        if granularity and any(
            granularity not in each.metrics[name].granularities for each in found
        ):
            cause = "'cause': 'Metrics cannot be aggregated'"
            return _error(400, f"{{{cause}, 'reason': 'Granularities are missing'}}")
        found_points: dict[str, Any] = {"measures": {}}
        for each in found:
            points = [
                [self._granule(age, size), size, value]
                for age, size, value in each.metrics[name].points
                if self._granule(ages[0], size) <= self._granule(age, size)
                and self._granule(age, size) < self._granule(ages[1], 1)
                and granularity in (None, size)
            ]
            found_points["measures"][each.id] = {name: {method: points}}
        if request.args.get("details") == "true":
            found_points["references"] = [
                {"id": each.id, "original_resource_id": each.original_resource_id} for each in found
            ]
        return answer(found_points)

    def _ages(self, start: str, stop: str | None) -> tuple[float, float]:
        """How long ago a time began and ended; without an end it goes on."""
        if relative := re.fullmatch(r"-(\d+)s", start):
            return float(relative[1]), -1e6
        begin, end = (datetime.datetime.fromisoformat(each) for each in (start, stop or ""))
        now = self.now()
        return (now - begin).total_seconds(), (now - end).total_seconds()

    def _granule(self, age: float, size: float) -> str:
        """When the granule began that has a measure of this age."""
        now = self.now().replace(tzinfo=datetime.timezone.utc)
        begun = (now.timestamp() - age) // size * size
        return datetime.datetime.fromtimestamp(begun, datetime.timezone.utc).isoformat()

    def _metrics(self, request: Request) -> Response:
        name, marker = request.args.get("name"), request.args.get("marker", "")
        metrics = [
            _shown(each, metric)
            for each in sorted(self.resources, key=lambda resource: resource.id)
            for metric in each.metrics
            if name in (None, metric)
        ]
        limit = min(int(request.args.get("limit", self._max_limit)), self._max_limit)
        return answer([each for each in metrics if each["id"] > marker][:limit])


def _shown(resource: Resource, name: str) -> dict[str, Any]:
    metric = resource.metrics[name]
    lengths = [str(datetime.timedelta(seconds=size)) for size in metric.granularities]
    return {
        "id": f"{resource.id}/{name}",
        "name": name,
        "resource_id": resource.id,
        "archive_policy": {
            "aggregation_methods": metric.methods,
            "definition": [{"granularity": length} for length in lengths],
        },
    }


def _error(status: int, sentence: str) -> Response:
    sentence = sentence.replace("'", "&#x27;")
    page = f"<html><title>{status}</title><body>Sorry.<br /><br />{sentence}</body></html>"
    return Response(page, status, mimetype="text/html")
