# SPDX-License-Identifier: Apache-2.0
"""Metrics from InfluxDB, through Grafana's proxy for data sources."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from oslo_log import log

from watcher.cloud.compute import Host, Server
from watcher.common.errors import NotConfigured
from watcher.conf.datasources import METRICS
from watcher.decision_engine.datasources.queries import (
    QUICK,
    Failed,
    Queries,
    Send,
    number,
)
from watcher.decision_engine.datasources.source import DatasourceTools, aggregate_of, own_name

LOG = log.getLogger(__name__)

T = TypeVar("T")

CHUNK = 250_000
"""Characters of queries in one request."""

_SHORT = 2000
"""The length of a query that fits into a URL everywhere."""


@dataclasses.dataclass(frozen=True)
class MetricQuery:
    """The database of a metric, and the query for it."""

    project: str
    db: str
    attribute: str | None
    """The attribute of a host or server that the query uses as its name."""
    query: str
    """One InfluxQL statement with placeholders."""

    def statement(
        self, metric: str, resource: Host | Server, aggregate: str, how: tuple[int, int, str]
    ) -> str:
        """The query about *resource*; *how* is period, granularity and retention period.

        NotConfigured if the query or the attribute does not fit.
        """
        named = getattr(resource, self.attribute, None) if self.attribute else ""
        if named is None:
            raise NotConfigured(
                f"[grafana_client] attribute_map: {metric}: a {type(resource).__name__.lower()} "
                f"has no '{self.attribute}'."
            )
        # In a string of InfluxQL: a server may have any name.
        quoted = str(named).replace("\\", "\\\\").replace("'", "\\'")
        try:
            return self.query.format(aggregate, quoted, *how)
        except (IndexError, KeyError, ValueError, AttributeError) as error:
            raise NotConfigured(
                f"[grafana_client] query_map: {metric}: placeholders are {{0}} to {{4}}, "
                f"other braces are doubled; this one does not fit: {error!r}."
            ) from error


class Grafana:
    """Reads many resources in one request, with one InfluxQL statement for each."""

    name = "grafana"

    def __init__(self, tools: DatasourceTools) -> None:
        self._conf = tools.conf
        timeout = tools.conf.grafana_client.http_timeout or None
        self.queries = Queries(self.name, self._connect(), tools.conf, tools.wait, timeout)
        self._sources = _sources(tools)
        self.metrics: Mapping[str, str] = {name: name for name in self._sources}
        self._periods = _lengths(tools.conf.grafana_translators.retention_periods)

    def _connect(self) -> Send:
        options = self._conf.grafana_client
        if not options.token:
            raise NotConfigured("[grafana_client] token is not set.")
        url = urlsplit(options.base_url or "")
        if not (url.scheme and url.netloc and url.path):
            raise NotConfigured(
                "[grafana_client] base_url is not a URL with scheme, host and path."
            )
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {options.token}"
        base = options.base_url.rstrip("/") + "/"

        return lambda method, path, **request: session.request(method, base + path, **request)

    def check(self) -> None:
        for source in self._sources.values():
            self._ask("answer", source, "SHOW DATABASES", _databases, **QUICK)
            return

    def available(self, metric: str) -> bool:
        """Whether its database exists; only a query about a resource shows what is in it."""
        source = self._sources.get(metric)
        if source is None:
            return False
        return source.db in self._ask(metric, source, "SHOW DATABASES", _databases, **QUICK)

    def host_metric(
        self,
        name: str,
        resources: Sequence[Host] | Sequence[Server],
        period: int,
        aggregate: str,
        granularity: int,
    ) -> Mapping[str, float]:
        aggregate_of(aggregate)  # InfluxDB has all of them, count too
        source = self._sources[own_name(self, name)]
        how = (int(period), int(granularity) or 1, _retention(self._periods, period))
        statements = [source.statement(name, each, aggregate, how) for each in resources]
        read = functools.partial(_column, name=aggregate)
        chunks = list(_chunks(statements))

        def ask(chunk: tuple[int, int]) -> Mapping[int, float]:
            return self._ask(name, source, ";".join(statements[slice(*chunk)]), read)

        return {
            resources[start + position].uuid: value
            for (start, _), values in zip(chunks, self.queries.together(ask, chunks), strict=True)
            for position, value in values.items()
        }

    server_metric = host_metric
    """The queries in the options name what they are about."""

    def _ask(
        self,
        about: str,
        source: MetricQuery,
        query: str,
        read: Callable[[Any], T],
        **how: Any,
    ) -> T:
        asked = {"db": source.db, "epoch": "ms", "q": query}
        short = len(query) <= _SHORT
        how["params" if short else "data"] = asked
        method, path = "GET" if short else "POST", f"{source.project}/query"
        return self.queries.ask(about, read, method, path, **how)


def _sources(tools: DatasourceTools) -> Mapping[str, MetricQuery]:
    """The query of each metric that options and metric map file describe completely."""
    options = tools.conf.grafana_client
    found = {}
    for metric in {**dict.fromkeys(METRICS), **options.query_map, **tools.metric_map}:
        facts = {
            "project": options.project_id_map.get(metric),
            "db": options.database_map.get(metric),
            "translator": options.translator_map.get(metric),
            "attribute": options.attribute_map.get(metric),
            "query": options.query_map.get(metric),
        }
        facts |= tools.metric_map.get(metric) or {}
        if all(facts[key] for key in ("project", "db", "query")) and (
            facts["translator"] == "influxdb"
        ):
            query = str(facts["query"]).strip().rstrip(";")
            found[metric] = MetricQuery(
                str(facts["project"]), str(facts["db"]), facts["attribute"], query
            )
    return found


def _lengths(periods: Mapping[str, Any]) -> Mapping[str, int]:
    try:
        if periods:
            return {name: int(seconds) for name, seconds in periods.items()}
    except ValueError:
        pass
    raise NotConfigured("[grafana_translators] retention_periods is not {name: seconds}.")


def _retention(periods: Mapping[str, int], period: int) -> str:
    """The shortest retention period that is longer than *period*, else the longest."""
    longer = [name for name, seconds in periods.items() if seconds > period]
    if longer:
        return min(longer, key=lambda name: periods[name])
    longest = max(periods, key=lambda name: periods[name])
    LOG.warning("No retention period is longer than %d s; %s is asked", period, longest)
    return longest


def _chunks(statements: Sequence[str]) -> Iterator[tuple[int, int]]:
    """(start, end) of the statements of each request, as many as fit."""
    start = length = 0
    for position, statement in enumerate(statements):
        if length and length + len(statement) > CHUNK:
            yield start, position
            start, length = position, 0
        length += len(statement) + 1
    if statements:
        yield start, len(statements)


def _column(answer: Any, name: str) -> dict[int, float]:
    """Position of a statement to the value in the column *name* of its first row."""
    values = {}
    for position, result in _results(answer):
        if result.get("series"):
            series = result["series"][0]
            cell = series["values"][0][series["columns"].index(name)]
            value = None if cell is None else number(cell)
            if value is not None:
                values[position] = value
    return values


def _databases(answer: Any) -> set[str]:
    return {
        str(row[0])
        for _, result in _results(answer)
        for series in result.get("series", ())
        for row in series["values"]
    }


def _results(answer: Any) -> Iterator[tuple[int, Any]]:
    """(position of the statement, its result).  Failed if a statement has none."""
    for position, result in enumerate(answer["results"]):
        if "error" in result:
            raise Failed(f"InfluxDB said: {result['error']}", again=False)
        yield result.get("statement_id", position), result
