# SPDX-License-Identifier: Apache-2.0
"""Chooses the datasource of a strategy."""

import dataclasses
import functools
import threading
from collections.abc import Callable, Mapping, Sequence

from oslo_config import cfg
from oslo_log import log

from watcher.cloud.metrics import Metrics
from watcher.common import entry_points
from watcher.common.errors import Invalid, MetricsUnavailable, NotConfigured, WatcherError
from watcher.decision_engine.datasources import metric_map
from watcher.decision_engine.datasources.source import Datasource, DatasourceTools
from watcher.decision_engine.strategies.base import Strategy

LOG = log.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class DatasourceReport:
    """Which metrics of a strategy are available now."""

    source: str | None
    """The name of the datasource that would serve it; None if none fits."""
    answers: bool
    metrics: Mapping[str, bool]
    """The datasource's name of each metric, to whether it has any values of it."""
    problem: str = ""


class Datasources:
    """The datasources of an engine, each made when it is first needed, and kept.

    A cloud with *own* metrics uses no other datasource.
    """

    def __init__(self, conf: cfg.ConfigOpts, own: Metrics | None = None) -> None:
        self._conf, self._own = conf, own
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._made: dict[str, Datasource] = {}

    def stop(self) -> None:
        """End the waits before repeated queries."""
        self._stopping.set()

    def serving(self, strategy: type[Strategy]) -> Metrics:
        """The first datasource in the configured order that fits and answers.

        If several fit, each is asked once whether it answers; later, a datasource repeats
        its own queries.  NotConfigured if none fits, and MetricsUnavailable if none of
        those that fit answers, with the reason of each.
        """
        if self._own is not None:
            return self._own
        fit, problems = self._fit(strategy)
        if not fit:
            raise NotConfigured(_sentence(strategy, problems))
        if len(fit) == 1:
            return fit[0]
        for source in fit:
            try:
                source.check()
                return source
            except WatcherError as error:
                LOG.warning("Strategy %s: %s", strategy.name, error)
                problems[source.name] = str(error)
        raise MetricsUnavailable(_sentence(strategy, problems))

    def report(self, strategy: type[Strategy]) -> DatasourceReport:
        """The datasource that ``serving`` would choose now, with one quick request for each
        metric."""
        wanted = (*strategy.metrics, *strategy.optional_metrics)
        if self._own is not None:
            available = {metric: self._own.available(metric) for metric in wanted}
            return DatasourceReport(self._own.name, True, available)
        try:
            fit, problems = self._fit(strategy)
        except WatcherError as error:
            return DatasourceReport(None, False, dict.fromkeys(wanted, False), str(error))
        for source in fit:
            try:
                available = {
                    source.metrics.get(metric) or metric: source.available(metric)
                    for metric in wanted
                }
                return DatasourceReport(source.name, True, available)
            except WatcherError as error:
                problems[source.name] = str(error)
        sentence = _sentence(strategy, problems)
        if not fit:
            return DatasourceReport(None, False, dict.fromkeys(wanted, False), sentence)
        names = [fit[0].metrics.get(metric) or metric for metric in wanted]
        return DatasourceReport(fit[0].name, False, dict.fromkeys(names, False), sentence)

    def all(self) -> tuple[list[Metrics], dict[str, str]]:
        """The datasources that are configured and answer, and why the others are missing."""
        if self._own is not None:
            return [self._own], {}
        found: list[Metrics] = []
        problems: dict[str, str] = {}
        for name in self._conf.watcher_datasources.datasources:
            try:
                source = self._source(name)
                source.check()
                found.append(source)
            except WatcherError as error:
                problems[name] = str(error)
        return found, problems

    def _fit(self, strategy: type[Strategy]) -> tuple[list[Datasource], dict[str, str]]:
        """The datasources that have the metrics of the strategy, and why the others cannot be
        used."""
        fit, problems = [], {}
        for name in self._names(strategy):
            try:
                source = self._source(name)
            except WatcherError as error:
                problems[name] = str(error)
                continue
            missing = [metric for metric in strategy.metrics if not source.metrics.get(metric)]
            if missing:
                problems[name] = f"It has no {', '.join(missing)}."
            else:
                fit.append(source)
        return fit, problems

    def _names(self, strategy: type[Strategy]) -> Sequence[str]:
        # A strategy that declares no metrics has no such option.
        own = getattr(self._conf[f"watcher_strategies.{strategy.name}"], "datasources", None)
        names: Sequence[str] = self._conf.watcher_datasources.datasources if own is None else own
        if not names:
            raise NotConfigured("[watcher_datasources] datasources names none.")
        if {"prometheus", "aetos"} <= set(names):
            raise Invalid("datasources: prometheus and aetos exclude each other; name one of them.")
        return names

    def _source(self, name: str) -> Datasource:
        """NotConfigured if its options do not fit."""
        with self._lock:
            if name not in self._made:
                if name not in self.installed:
                    raise NotConfigured(f"Installed are only {', '.join(self.installed)}.")
                mapped = self._metric_map.get(name, {})
                tools = DatasourceTools(self._conf, mapped, self._stopping.wait)
                try:
                    self._made[name] = self.installed[name](tools)
                except WatcherError:
                    raise
                except entry_points.FAILURES as error:  # a plug-in of another package
                    raise NotConfigured(f"It cannot be used: {error!r}.") from error
            return self._made[name]

    @functools.cached_property
    def installed(self) -> Mapping[str, Callable[[DatasourceTools], Datasource]]:
        return entry_points.load("watcher_datasources", Datasource)

    @functools.cached_property
    def _metric_map(self) -> metric_map.MetricMap:
        return metric_map.load(self._conf.watcher_decision_engine.metric_map_path)


def _sentence(strategy: type[Strategy], problems: Mapping[str, str]) -> str:
    reasons = [
        problem if problem.startswith(f"Datasource {name} ") else f"{name}: {problem}"
        for name, problem in problems.items()
    ]
    return f"No datasource serves strategy {strategy.name}. {' '.join(reasons)}"
