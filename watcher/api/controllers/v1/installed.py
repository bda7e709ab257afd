# SPDX-License-Identifier: Apache-2.0
"""/v1/goals, /v1/strategies and /v1/scoring_engines: the plug-ins that are installed."""

from typing import Any

from watcher.api.controllers.v1.read import ReadResource
from watcher.api.fields import record, related
from watcher.api.resource import Request, get
from watcher.db import installed
from watcher.db.models import Goal, ScoringEngine, Strategy


class Goals(ReadResource):
    singular, plural = "goal", "goals"
    columns = "uuid name display_name efficacy_specification"
    marker = staticmethod(str)
    one, page = staticmethod(installed.goal), staticmethod(installed.goals)

    def more(self, request: Request, row: Goal) -> dict[str, Any]:
        return {**record(row)}


class Strategies(ReadResource):
    singular, plural = "strategy", "strategies"
    columns = "uuid name display_name"
    filters = {"goal": str}
    marker = staticmethod(str)
    one, page = staticmethod(installed.strategy), staticmethod(installed.strategies)

    @get("{ident}/state")
    def state(self, request: Request, ident: str) -> list[dict[str, Any]]:
        """The requirements of the strategy and whether the decision engine finds them met."""
        self.authorize(request, "strategy:state")
        with self.database.reader() as session:
            name = installed.strategy(session, ident).name
        requirements = self.engine_client.strategy_info(name)
        return [*requirements, {"type": "Name", "state": name, "mandatory": "", "comment": ""}]

    def short(self, request: Request, row: Strategy) -> dict[str, Any]:
        return {**super().short(request, row), **related("goal", row.goal)}

    def more(self, request: Request, row: Strategy) -> dict[str, Any]:
        return {"parameters_spec": row.parameters_spec or {}}


class ScoringEngines(ReadResource):
    singular, plural = "scoring_engine", "scoring_engines"
    columns = "uuid name description"
    marker = staticmethod(str)
    one, page = staticmethod(installed.scoring_engine), staticmethod(installed.scoring_engines)

    def more(self, request: Request, row: ScoringEngine) -> dict[str, Any]:
        return {"metainfo": row.metainfo}
