# SPDX-License-Identifier: Apache-2.0
"""The goals, strategies, scoring engines and planners of this engine.

All come from entry points, whose names they have.  ``sync`` writes them to the database,
from where the API shows them.
"""

import datetime
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from oslo_config import cfg
from sqlalchemy.orm import Session

from watcher.common import entry_points
from watcher.common.errors import NotFound
from watcher.conf.datasources import DATASOURCES_OF_STRATEGY
from watcher.db import installed, models
from watcher.decision_engine.goals import Goal
from watcher.decision_engine.planners import Planner
from watcher.decision_engine.scoring import ScoringContainer, ScoringEngine
from watcher.decision_engine.strategies.base import Strategy

P = TypeVar("P")

STRATEGIES = "watcher_strategies"


class Catalog:
    """The plug-ins, sorted by name; their options are registered on *conf*."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self.goals: Mapping[str, type[Goal]] = entry_points.load("watcher_goals", Goal)
        self.planners: Mapping[str, type[Planner]] = entry_points.load("watcher_planners", Planner)
        self.strategies = _strategies(self.goals, self.planners)
        self.scoring_engines = scoring_engines(entry_points.report)
        for group, options in _options(self.goals, self.strategies, self.planners).items():
            conf.register_group(cfg.OptGroup(group))
            conf.register_opts(options, group=group)

    def strategy_for(self, goal: str, strategy: str | None = None) -> type[Strategy]:
        """The strategy of that name; without a name, the first strategy of the goal, by name,
        that may be chosen by its goal.  NotFound."""
        if strategy is not None:
            return _named("strategy", strategy, self.strategies)
        for candidate in self.strategies.values():
            if candidate.goal == goal and candidate.chosen_by_goal:
                return candidate
        raise NotFound(f"goal: no strategy for the goal '{goal}' is installed.")

    def strategy_of(self, audit: models.Audit) -> type[Strategy]:
        """The strategy of an audit, or one of its goal.  NotFound."""
        return self.strategy_for(audit.goal.name, audit.strategy.name if audit.strategy else None)

    def planner(self, name: str) -> Planner:
        """The planner of that name, made with its options.  NotFound."""
        planner = _named("planner", name, self.planners)
        return planner(self._conf[f"watcher_planners.{name}"])

    def scoring_engine(self, name: str) -> ScoringEngine:
        """The scoring engine of that name.  NotFound."""
        return _named("scoring engine", name, self.scoring_engines)

    def sync(self, session: Session, now: datetime.datetime) -> None:
        """Make the rows in the database equal to the plug-ins.  Call it through ``Database.write``.

        A plug-in that is installed but does not load keeps its row, so that its audits exist when
        the plug-in is repaired.
        """
        goal_values = {
            name: {
                "display_name": goal.display_name,
                "efficacy_specification": goal.efficacy.stored(),
            }
            for name, goal in self.goals.items()
        }
        goals = installed.write(session, models.Goal, goal_values)
        strategy_values = {
            name: {
                "display_name": strategy.display_name,
                "goal_id": goals[strategy.goal].id,
                "parameters_spec": dict(strategy.schema),
            }
            for name, strategy in self.strategies.items()
        }
        strategies = installed.write(session, models.Strategy, strategy_values)
        engine_values = {
            name: {"description": engine.description, "metainfo": engine.metainfo}
            for name, engine in self.scoring_engines.items()
        }
        engines = installed.write(session, models.ScoringEngine, engine_values)
        gone = _others(goals, entry_points.names("watcher_goals"))
        removed = {goal.id for goal in gone}
        kept = entry_points.names(STRATEGIES)
        kept -= {name for name, row in strategies.items() if row.goal_id in removed}
        installed.remove(session, _others(strategies, kept), now)
        installed.remove(session, gone, now)
        installed.remove(session, _others(engines, self.scoring_engines), now)
        installed.end_what_is_left(session, now)


def _others(rows: Mapping[str, P], names: Collection[str]) -> list[P]:
    return [row for name, row in rows.items() if name not in names]


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """The options of all plug-ins; an entry point of oslo.config's sample generator."""
    goals, planners = (
        entry_points.load("watcher_goals", Goal),
        entry_points.load("watcher_planners", Planner),
    )
    options = _options(goals, _strategies(goals, planners), planners)
    return sorted((group, opts) for group, opts in options.items() if opts)


def _options(
    goals: Mapping[str, type[Goal]],
    strategies: Mapping[str, type[Strategy]],
    planners: Mapping[str, type[Planner]],
) -> dict[str, list[cfg.Opt]]:
    return {
        **{f"watcher_planners.{name}": list(each.options) for name, each in planners.items()},
        **{f"watcher_goals.{name}": list(goal.options) for name, goal in goals.items()},
        **{f"watcher_strategies.{name}": _options_of(each) for name, each in strategies.items()},
    }


def _options_of(strategy: type[Strategy]) -> list[cfg.Opt]:
    measures = strategy.metrics or strategy.optional_metrics
    return [*strategy.options, *([DATASOURCES_OF_STRATEGY] if measures else ())]


def _strategies(
    goals: Mapping[str, type[Goal]], planners: Mapping[str, type[Planner]]
) -> Mapping[str, type[Strategy]]:
    strategies: dict[str, type[Strategy]] = {}
    for name, strategy in entry_points.load(STRATEGIES, Strategy).items():
        why = why_unusable(strategy, goals, planners)
        if why:
            entry_points.report(STRATEGIES, name, why)
        else:
            strategies[name] = strategy
    return strategies


def why_unusable(
    strategy: type[Strategy], goals: Collection[str], planners: Collection[str]
) -> str | None:
    """Why a valid strategy cannot be used: its goal or planner does not exist.  None if it can."""
    if strategy.goal not in goals:
        return f"There is no goal {strategy.goal}."
    if strategy.planner not in planners:
        return f"There is no planner {strategy.planner}."
    return None


def scoring_engines(report: Callable[[str, str, str], None]) -> Mapping[str, ScoringEngine]:
    """The scoring engines by name; *report* gets namespace and name of each plug-in that is left
    out, and why."""
    engines: dict[str, ScoringEngine] = {}
    for namespace, kind in (
        ("watcher_scoring_engines", ScoringEngine),
        ("watcher_scoring_engine_containers", ScoringContainer),
    ):
        found = entry_points.survey(namespace, kind)
        for name, why in found.unfit.items():
            report(namespace, name, why)
        for name, plugin in found.fit.items():
            try:
                made = plugin()
                more = [made] if kind is ScoringEngine else made.engines()
                engines.update((engine.name, engine) for engine in more)
            except entry_points.FAILURES as error:  # a plug-in of another package
                report(namespace, name, f"It cannot be made: {error!r}.")
    return dict(sorted(engines.items()))


def _named(kind: str, name: str, plugs: Mapping[str, P]) -> P:
    if name not in plugs:
        raise NotFound(f"{kind}: there is no '{name}'; installed are {', '.join(plugs)}.")
    return plugs[name]
