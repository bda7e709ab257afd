# SPDX-License-Identifier: Apache-2.0
from sqlalchemy import update

from watcher.common.errors import Conflict, Invalid, NotFound
from watcher.common.states import ActionState, PlanState
from watcher.db import actions, models
from watcher.tests import base, factories


class TestSkip(base.DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        with self.database.writer() as session:
            strategy = factories.strategy(session, factories.goal(session))
            plan = factories.action_plan(
                session, factories.audit(session, strategy=strategy), strategy
            )
            action = factories.action(session, plan)
            self.plan_id, self.uuid = plan.id, action.uuid

    def put(self, plan_state, action_state):
        with self.database.writer() as session:
            session.get(models.ActionPlan, self.plan_id).state = plan_state
            action = actions.get(session, self.uuid)
            action.state, action.status_message = action_state, None

    def do(self, what, reason=None):
        with self.database.writer() as session:
            what(session, actions.get(session, self.uuid), reason)
        with self.database.reader() as session:
            action = actions.get(session, self.uuid)
            return action.state, action.status_message

    def test_a_pending_action_of_a_plan_that_has_not_begun(self):
        for plan_state in (PlanState.RECOMMENDED, PlanState.PENDING):
            self.put(plan_state, ActionState.PENDING)
            self.assertEqual(
                (ActionState.SKIPPED, "Action skipped by user."), self.do(actions.skip)
            )

    def test_the_reason_is_given(self):
        self.put(PlanState.RECOMMENDED, ActionState.PENDING)
        expected = (ActionState.SKIPPED, "Action skipped by user. Reason: too hot")
        self.assertEqual(expected, self.do(actions.skip, "too hot"))
        self.assertEqual((ActionState.SKIPPED, "Action skipped by user."), self.do(actions.skip))
        self.put(PlanState.ONGOING, ActionState.SKIPPED)
        self.assertEqual(expected, self.do(actions.explain, "too hot"))

    def test_no_other_action_is_skipped(self):
        for plan_state in PlanState.ALL:
            for action_state in ActionState.ALL:
                if action_state == ActionState.SKIPPED or (
                    action_state == ActionState.PENDING
                    and plan_state in (PlanState.RECOMMENDED, PlanState.PENDING)
                ):
                    continue
                self.put(plan_state, action_state)
                self.assertRaises(Conflict, self.do, actions.skip)
                self.assertRaises(Conflict, self.do, actions.explain, "why")

    def test_a_late_change_gets_the_present_state(self):
        with self.database.writer() as session:
            action = actions.get(session, self.uuid)
            start = update(models.ActionPlan).values(state=PlanState.ONGOING)
            session.execute(start.execution_options(synchronize_session=False))
            error = self.assertRaises(Conflict, actions.skip, session, action, None)
        self.assertIn("its plan ONGOING", str(error))

    def test_a_reason_that_does_not_fit(self):
        self.put(PlanState.RECOMMENDED, ActionState.PENDING)
        error = self.assertRaises(Invalid, self.do, actions.skip, "x" * 224)
        self.assertIn("223 characters", str(error))
        self.assertEqual(255, len(self.do(actions.skip, "x" * 223)[1]))

    def test_an_unknown_action(self):
        with self.database.reader() as session:
            self.assertRaises(NotFound, actions.get, session, models.new_uuid())
