# SPDX-License-Identifier: Apache-2.0
import datetime
from typing import Any

from watcher.common.states import ActionState, PlanState
from watcher.db import moves
from watcher.tests import factories
from watcher.tests.base import DatabaseTestCase

NOW = datetime.datetime(2026, 1, 1)
REFUSED = "Action 7 failed in pre_condition: Destination host h2 must be enabled and up."
STAYED = "Action 7 failed in execute: Server s1 stayed on host h1: the migration failed."


class SinceTest(DatabaseTestCase):
    def since(self, **values: Any) -> list[tuple[str, bool]]:
        """(server, whether it succeeded) of the moves of a plan with one action."""
        parameters = {"resource_id": "s1", "source_node": "h1"}
        with self.database.writer() as session:
            goal = factories.goal(session)
            strategy = factories.strategy(session, goal)
            audit = factories.audit(session, goal, strategy)
            plan = factories.action_plan(
                session, audit, strategy, state=PlanState.FAILED, updated_at=NOW
            )
            values = {"action_type": "migrate", "updated_at": NOW} | values
            factories.action(session, plan, input_parameters=parameters, **values)
        with self.database.reader() as session:
            return [(each.server, each.succeeded) for each in moves.since(session, NOW)]

    def test_a_migration_that_was_made(self) -> None:
        self.assertEqual([("s1", True)], self.since(state=ActionState.SUCCEEDED))

    def test_a_migration_that_failed(self) -> None:
        self.assertEqual(
            [("s1", False)], self.since(state=ActionState.FAILED, status_message=STAYED)
        )

    def test_a_migration_that_failed_without_a_message(self) -> None:
        self.assertEqual([("s1", False)], self.since(state=ActionState.FAILED))

    def test_a_migration_that_the_cloud_was_not_asked_for(self) -> None:
        self.assertEqual([], self.since(state=ActionState.FAILED, status_message=REFUSED))
        self.assertEqual([], self.since(state=ActionState.SKIPPED))

    def test_what_is_no_migration(self) -> None:
        self.assertEqual([], self.since(state=ActionState.SUCCEEDED, action_type="nop"))
