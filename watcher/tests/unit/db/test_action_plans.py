# SPDX-License-Identifier: Apache-2.0
import datetime

from sqlalchemy import func, select

from watcher.common.errors import Invalid, NotFound
from watcher.common.states import ActionState, PlanState
from watcher.db import action_plans, actions
from watcher.db.action_plans import PlannedAction
from watcher.db.models import Action, ActionPlan, EfficacyIndicator, PlanReasons
from watcher.tests import base, factories

NOW = datetime.datetime(2026, 3, 1, 12, 0, 0)


class TestCreate(base.DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        with self.database.writer() as session:
            strategy = factories.strategy(session, factories.goal(session))
            audit = factories.audit(session, strategy=strategy)
            self.strategy_id, self.audit_id = strategy.id, audit.id

    def create(self, **values):
        arguments = {
            "audit_id": self.audit_id,
            "strategy_id": self.strategy_id,
            "state": PlanState.RECOMMENDED,
            "global_efficacy": [],
            "indicators": [],
            "actions": [],
            "now": NOW,
        }
        with self.database.writer() as session:
            return action_plans.create(session, **(arguments | values)).id

    def test_everything_that_belongs_to_it_is_written(self):
        first = PlannedAction("u1", "nop", {"message": "a"}, [], "A good reason.")
        second = PlannedAction("u2", "sleep", {"duration": 3.2}, ["u1"])
        plan_id = self.create(
            global_efficacy=[{"name": "ratio", "value": 50.0}],
            indicators=[
                {"name": "moves", "description": "How many", "unit": None, "value": 2},
                {
                    "name": "deviation",
                    "description": "How uneven",
                    "unit": "%",
                    "value": 0.25,
                },
            ],
            actions=[first, second],
            summary={"hosts in use": {"before": 2, "after": 1}},
        )
        with self.database.reader() as session:
            plan = session.scalars(select(ActionPlan).where(ActionPlan.id == plan_id)).one()
            rows = session.scalars(select(Action).order_by(Action.id)).all()
            indicators = session.scalars(
                select(EfficacyIndicator).order_by(EfficacyIndicator.id)
            ).all()
            texts = actions.reasons(session, rows)
            summaries = action_plans.summaries(session, [plan])
        self.assertEqual({"u1": "A good reason."}, texts)
        summary = {"hosts in use": {"before": 2, "after": 1}}
        self.assertEqual({plan_id: (summary, None)}, summaries)
        self.assertEqual(PlanState.RECOMMENDED, plan.state)
        self.assertEqual(NOW, plan.created_at)
        self.assertEqual([{"name": "ratio", "value": 50.0}], plan.global_efficacy)
        self.assertEqual(["u1", "u2"], [action.uuid for action in rows])
        self.assertEqual(["u1"], rows[1].parents)
        self.assertEqual({"duration": 3.2}, rows[1].input_parameters)
        self.assertEqual({ActionState.PENDING}, {action.state for action in rows})
        self.assertEqual([2.0, 0.25], [indicator.number for indicator in indicators])
        self.assertEqual(2, len({indicator.uuid for indicator in indicators}))

    def test_an_empty_plan_is_a_plan(self):
        self.create(state=PlanState.SUCCEEDED)
        with self.database.reader() as session:
            self.assertEqual(0, session.scalar(select(func.count(Action.id))))
            self.assertEqual(0, session.scalar(select(func.count(PlanReasons.action_plan_id))))
            self.assertEqual(PlanState.SUCCEEDED, session.scalars(select(ActionPlan.state)).one())

    def test_plans_that_waited_for_too_long_are_cancelled(self):
        day = datetime.timedelta(days=1)
        old, young = self.create(state=PlanState.PENDING), self.create(state=PlanState.PENDING)
        recommended = self.create()
        with self.database.writer() as session:
            session.get(ActionPlan, young).updated_at = NOW + day
            factories.action(
                session, session.get(ActionPlan, old), state=ActionState.PENDING, parents=[]
            )
        with self.database.writer() as session:
            later = NOW + day + datetime.timedelta(minutes=1)
            self.assertIn(old, action_plans.cancel_overdue(session, later - day, later))
            self.assertEqual({}, action_plans.cancel_overdue(session, later - day, later))
        self.assertEqual(
            {
                old: PlanState.CANCELLED,
                young: PlanState.PENDING,
                recommended: PlanState.RECOMMENDED,
            },
            self.states(),
        )
        with self.database.reader() as session:
            message = session.get(ActionPlan, old).status_message
            self.assertIn(f"since {NOW:%Y-%m-%d %H:%M} UTC", message)
            states = session.scalars(select(Action.state).where(Action.action_plan_id == old))
            self.assertEqual({ActionState.CANCELLED}, set(states))

    def test_only_recommended_plans_of_the_audit_are_replaced(self):
        recommended, pending = self.create(), self.create(state=PlanState.PENDING)
        with self.database.writer() as session:
            other = factories.audit(session, goal=factories.goal(session))
        elsewhere = self.create(audit_id=other.id)
        with self.database.writer() as session:
            replaced = action_plans.replace_recommended(
                session, self.audit_id, PlanState.SUPERSEDED, NOW
            )
        self.assertEqual([recommended], replaced)
        self.assertEqual(
            {
                recommended: PlanState.SUPERSEDED,
                pending: PlanState.PENDING,
                elsewhere: PlanState.RECOMMENDED,
            },
            self.states(),
        )

    def test_the_actions_of_a_cancelled_plan_are_cancelled(self):
        plan = self.create(actions=[PlannedAction("u1", "nop", {}, [])])
        with self.database.writer() as session:
            action_plans.replace_recommended(session, self.audit_id, PlanState.CANCELLED, NOW)
        with self.database.reader() as session:
            states = session.scalars(select(Action.state).where(Action.action_plan_id == plan))
            self.assertEqual({ActionState.CANCELLED}, set(states))

    def test_a_recommended_plan_is_replaced_by_no_other_state(self):
        plan = self.create()
        with self.database.writer() as session:
            replaced = action_plans.replace_recommended(
                session, self.audit_id, PlanState.ONGOING, NOW
            )
        self.assertEqual([], replaced)
        self.assertEqual({plan: PlanState.RECOMMENDED}, self.states())

    def test_old_recommended_plans_expire(self):
        old = self.create(now=NOW - datetime.timedelta(hours=25))
        young = self.create(now=NOW)
        running = self.create(now=NOW - datetime.timedelta(hours=25), state=PlanState.ONGOING)
        with self.database.writer() as session:
            expired = action_plans.expire(session, NOW - datetime.timedelta(hours=24), NOW)
        self.assertEqual([old], expired)
        self.assertEqual(
            {
                old: PlanState.SUPERSEDED,
                young: PlanState.RECOMMENDED,
                running: PlanState.ONGOING,
            },
            self.states(),
        )

    def states(self):
        with self.database.reader() as session:
            return dict(session.execute(select(ActionPlan.id, ActionPlan.state)).all())


class TestByUser(base.DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        with self.database.writer() as session:
            strategy = factories.strategy(session, factories.goal(session))
            plan = factories.action_plan(
                session, factories.audit(session, strategy=strategy), strategy
            )
            for state in (ActionState.PENDING, ActionState.SKIPPED):
                factories.action(session, plan, state=state)
            session.add(EfficacyIndicator(action_plan_id=plan.id, name="n", data=1.0))
            self.uuid = plan.uuid

    def put(self, state):
        with self.database.writer() as session:
            action_plans.get(session, self.uuid).state = state

    def change(self, state):
        with self.database.writer() as session:
            action_plans.change_state(session, action_plans.get(session, self.uuid), state)

    def delete(self):
        with self.database.writer() as session:
            action_plans.delete(session, action_plans.get(session, self.uuid), NOW)

    def states(self):
        with self.database.reader() as session:
            return (
                session.scalars(select(ActionPlan.state)).one(),
                session.scalars(select(Action.state).order_by(Action.id)).all(),
            )

    def test_what_a_user_may_do_to_a_state(self):
        allowed = {
            (PlanState.RECOMMENDED, PlanState.PENDING),
            (PlanState.RECOMMENDED, PlanState.CANCELLED),
            (PlanState.PENDING, PlanState.CANCELLED),
            (PlanState.ONGOING, PlanState.CANCELLING),
        }
        for before in PlanState.ALL:
            for after in PlanState.ALL:
                self.put(before)
                if (before, after) in allowed:
                    self.change(after)
                    self.assertEqual(after, self.states()[0])
                else:
                    error = self.assertRaises(Invalid, self.change, after)
                    self.assertIn("State transition not allowed", str(error))
        self.assertRaises(Invalid, self.change, "BORED")

    def test_a_late_change_gets_the_present_state(self):
        with self.database.writer() as session:
            plan = action_plans.get(session, self.uuid)
            action_plans.change_state(session, plan, PlanState.CANCELLED)
            again = (session, plan, PlanState.CANCELLED)
            error = self.assertRaises(Invalid, action_plans.change_state, *again)
            self.assertIn("not allowed: CANCELLED -> CANCELLED", str(error))
            action_plans.delete(session, plan, NOW)
            self.assertRaises(NotFound, action_plans.delete, session, plan, NOW)

    def test_cancelling_a_plan_cancels_the_actions_that_wait(self):
        self.change(PlanState.CANCELLED)
        expected = (PlanState.CANCELLED, [ActionState.CANCELLED, ActionState.SKIPPED])
        self.assertEqual(expected, self.states())

    def test_stopping_a_plan_under_way_leaves_the_actions_to_the_applier(self):
        self.put(PlanState.ONGOING)
        self.change(PlanState.CANCELLING)
        expected = (PlanState.CANCELLING, [ActionState.PENDING, ActionState.SKIPPED])
        self.assertEqual(expected, self.states())

    def test_a_plan_under_way_stays(self):
        for state in PlanState.UNDER_WAY:
            self.put(state)
            error = self.assertRaises(Invalid, self.delete)
            self.assertIn("Couldn't delete when state is", str(error))

    def test_a_plan_takes_all_that_belongs_to_it_along(self):
        self.delete()
        self.assertEqual((PlanState.DELETED, [ActionState.DELETED] * 2), self.states())
        with self.database.reader() as session:
            for row in (Action, ActionPlan, EfficacyIndicator):
                for id_, deleted, deleted_at in session.execute(
                    select(row.id, row.deleted, row.deleted_at)
                ):
                    self.assertEqual((id_, NOW), (deleted, deleted_at))
            self.assertRaises(NotFound, action_plans.get, session, self.uuid)
