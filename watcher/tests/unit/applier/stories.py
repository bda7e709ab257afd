# SPDX-License-Identifier: Apache-2.0
"""A plan, a cloud and an applier for tests, without a wait in real time."""

import datetime
from typing import Any

from watcher.applier.actions.base import Action
from watcher.applier.actions.change_nova_service_state import ChangeNovaServiceState
from watcher.applier.actions.migrate import Migrate
from watcher.applier.actions.nop import Nop
from watcher.applier.actions.resize import Resize
from watcher.applier.actions.sleep import Sleep
from watcher.applier.actions.stop import Stop
from watcher.applier.interrupts import Interrupts
from watcher.common.states import ActionState, PlanState
from watcher.db import models, plan_claims, plan_execution
from watcher.db.leases import Holder
from watcher.db.models import ActionPlan
from watcher.db.session import Database
from watcher.notifications import Notifications
from watcher.simulation.cloud import SimulatedCloud
from watcher.simulation.scenario import Scenario
from watcher.tests import base, factories

NOW = datetime.datetime(2026, 11, 22, 12, 0, 0)
DURATION = datetime.timedelta(seconds=30)
TYPES: dict[str, type[Action]] = {
    kind.name: kind for kind in (ChangeNovaServiceState, Migrate, Nop, Resize, Sleep, Stop)
}
SIZE = {"vcpus": 8, "memory_mb": 8000, "disk_gb": 80}


def lease(name: str = "engine-1") -> Holder:
    return Holder(f"{name}:1:a", name, DURATION)


class SimulatedInterrupts(Interrupts):
    """Interrupts whose waits advance the clock of the simulated cloud only."""

    def __init__(self, story: "Story") -> None:
        super().__init__()
        self._story = story

    def wait(self, seconds: float) -> None:
        super().wait(0)
        self._story.pass_time(seconds)

    def wait_despite_cancel(self, seconds: float) -> None:
        super().wait_despite_cancel(0)
        self._story.pass_time(seconds)


class Story(base.TestCase):
    """Needs a ``database`` with the schema, which the other base of each test class brings."""

    database: Database

    def setUp(self) -> None:
        super().setUp()
        self.now = self.seconds = 0.0
        self.notifications = Notifications(self.conf, self.database)
        self.uuids = [models.new_uuid() for _ in range(4)]
        servers = [
            {
                "uuid": uuid,
                "name": uuid,
                "host": "a",
                "flavor": "m1",
                "migration_seconds": 30,
                **SIZE,
            }
            for uuid in self.uuids
        ]
        hosts = [
            {"hostname": name, "vcpus": 80, "memory_mb": 80000, "disk_gb": 800} for name in "ab"
        ]
        self.cloud = SimulatedCloud(
            Scenario.from_dict(
                {
                    "hosts": hosts,
                    "servers": servers,
                    "flavors": [{"id": name, "name": name, **SIZE} for name in ("m1", "m2")],
                    "switch_seconds": 20,
                }
            ),
            lambda: self.now,
        )

    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    def migration(self, number: int = 0, **parameters: Any) -> dict[str, Any]:
        return {
            "action_type": "migrate",
            "input_parameters": {
                "resource_id": self.uuids[number],
                "migration_type": "live",
                "source_node": "a",
                "destination_node": "b",
                **parameters,
            },
        }

    def add_plan(
        self, *actions: dict[str, Any], state: str = PlanState.PENDING, strategy: str = ""
    ) -> ActionPlan:
        """A plan of a strategy of that name, or of any; one by hand is not checked again."""
        with self.database.writer() as session:
            goal = factories.goal(session)
            row = factories.strategy(session, goal, **({"name": strategy} if strategy else {}))
            audit = factories.audit(session, goal, row)
            plan: ActionPlan = factories.action_plan(session, audit, row, state=state)
            for values in actions:
                values.setdefault("state", ActionState.PENDING)
                factories.action(session, plan, **values)
        return plan

    def hold(self, row: ActionPlan, by: Holder | None = None) -> plan_execution.HeldPlan:
        """Claim a plan, or take it over, and load it."""
        holder = by or lease()
        with self.database.writer() as session:
            claimed = plan_claims.claim(session, row.id, holder, NOW)
            if not claimed:
                assert plan_claims.take_over(
                    session,
                    row.id,
                    holder,
                    NOW + 2 * DURATION,
                    dict(plan_claims.of_all(session)).get(row.id),
                )
            return plan_execution.load(session, row.id, holder.engine)

    def plan_of(self, row: ActionPlan) -> ActionPlan:
        with self.database.reader() as session:
            return session.get_one(ActionPlan, row.id)

    def actions_of(self, row: ActionPlan) -> list[models.Action]:
        with self.database.reader() as session:
            query = session.query(models.Action).filter_by(action_plan_id=row.id)
            return query.order_by(models.Action.id).all()

    def states_of(self, row: ActionPlan) -> list[str | None]:
        return [action.state for action in self.actions_of(row)]

    def leases(self) -> list[str]:
        with self.database.reader() as session:
            return [row.engine for row in session.query(models.ActionPlanLease)]

    def set_state(self, row: ActionPlan | models.Action, state: str) -> None:
        with self.database.writer() as session:
            session.get_one(type(row), row.id).state = state

    def cancelling(self, row: ActionPlan, at: int) -> Interrupts:
        """Interrupts of a plan that a user cancels at a time of the cloud's clock."""
        interrupts = SimulatedInterrupts(self)
        wait = interrupts.wait

        def wait_and_see(seconds: float) -> None:
            if self.now >= at:
                self.set_state(row, PlanState.CANCELLING)
                interrupts.cancel()
            wait(seconds)

        interrupts.wait = wait_and_see  # type: ignore[method-assign]
        return interrupts
