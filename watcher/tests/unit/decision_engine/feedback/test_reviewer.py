# SPDX-License-Identifier: Apache-2.0
"""Plans of a simulated cloud, carried out and looked at one window later."""

from oslo_utils import fixture as time_fixture
from oslo_utils import timeutils
from sqlalchemy import select

from watcher.common.errors import MetricsUnavailable
from watcher.common.states import ActionState, AuditType, PlanState
from watcher.db import audits, claims, reviews, runs
from watcher.db.models import Action, ActionPlan, Audit, Review, Strategy
from watcher.decision_engine.feedback import reviewer
from watcher.decision_engine.feedback.reviewer import Reviewer
from watcher.decision_engine.inputs import Sources
from watcher.decision_engine.runner import Runner
from watcher.notifications import Notifications
from watcher.simulation.cloud import SimulatedCloud
from watcher.simulation.scenario import Scenario
from watcher.tests import factories
from watcher.tests.base import DatabaseTestCase
from watcher.tests.unit.decision_engine.runner_case import HOLDER, Ringing

WINDOW = 720 + 300


def scenario(vcpus=16, **changes):
    """Eight hosts, of which three do nothing and one has much to do."""
    hosts = [
        {"hostname": f"h{number}", "vcpus": vcpus, "memory_mb": 65536, "disk_gb": 1000}
        for number in range(8)
    ]
    servers = [
        {
            "name": f"s{number}",
            "host": f"h{number % 5}",
            "vcpus": 2,
            "memory_mb": 2048,
            "disk_gb": 10,
            "cpu": 90 if number % 5 == 2 else 30,
        }
        for number in range(40)
    ]
    return {"hosts": hosts, "servers": servers, "migration_seconds": 1, **changes}


class ReviewerTest(DatabaseTestCase):
    CLOUD = {}
    STRATEGY = "workload_stabilization"

    def setUp(self):
        super().setUp()
        self.time = self.useFixture(time_fixture.TimeFixture())
        self.began = timeutils.utcnow()
        self.conf.set_override("move_margin", 0, group="optimization")
        self.conf.set_override("server_rest", 0, group="optimization")
        self.cloud = SimulatedCloud(
            Scenario.from_dict(scenario(**self.CLOUD)),
            lambda: (timeutils.utcnow() - self.began).total_seconds(),
        )
        sources = Sources.of(self.conf, self.cloud.cloud)
        self.database.write(lambda session: sources.catalog.sync(session, timeutils.utcnow()))
        notifications = Notifications(self.conf, self.database)
        self.datasources = sources.datasources
        self.runner = Runner(sources, self.database, Ringing(), notifications)
        self.engines = [Reviewer(sources, self.database, notifications) for _ in range(2)]
        self.audit = self.add_audit(auto_trigger=True)

    def add_audit(self, **values):
        with self.database.writer() as session:
            strategy = session.scalars(select(Strategy).where(Strategy.name == self.STRATEGY)).one()
            return factories.audit(session, None, strategy, audit_type=AuditType.EVENT, **values)

    def make_plan(self, audit=None):
        now = timeutils.utcnow()
        audit = audit or self.audit
        with self.database.writer() as session:
            run = runs.enqueue(session, audit.id, now, now)
            claimed = claims.claim(session, run.id, HOLDER, now)
        self.runner.run(claimed)
        with self.database.reader() as session:
            plan = session.scalars(select(ActionPlan).order_by(ActionPlan.id.desc())).first()
            actions = session.scalars(select(Action).where(Action.action_plan_id == plan.id)).all()
        return plan, actions

    def carry_out(self, plan, actions, failed=0):
        """Do as the applier does; the last so many actions fail."""
        for number, action in enumerate(actions):
            succeeds = number < len(actions) - failed
            if action.action_type == "migrate" and succeeds:
                parameters = action.input_parameters
                self.cloud.live_migrate(parameters["resource_id"], parameters["destination_node"])
            with self.database.writer() as session:
                state = ActionState.SUCCEEDED if succeeds else ActionState.FAILED
                session.get_one(Action, action.id).state = state
        self.time.advance_time_seconds(2)
        state = PlanState.FAILED if failed else PlanState.SUCCEEDED
        with self.database.writer() as session:
            session.get_one(ActionPlan, plan.id).state = state
            reviews.plan_ended(session, plan.id, state, timeutils.utcnow())

    def look(self, seconds=WINDOW, engine=0):
        self.time.advance_time_seconds(seconds)
        self.engines[engine].look(timeutils.utcnow())

    def review_of(self, plan):
        with self.database.reader() as session:
            return session.get_one(Review, plan.id)

    def reviewed(self, **how):
        """The review of a plan from its run to the look afterwards."""
        plan, actions = self.make_plan()
        self.assertNotEqual([], actions)
        self.carry_out(plan, actions, **how)
        self.look()
        self.put_back()
        return self.review_of(plan)

    def put_back(self):
        """Let the next plan find the same to do, unless the cloud is in order by now."""

    def the_audit(self):
        with self.database.reader() as session:
            return session.get_one(Audit, self.audit.id)


class HonestTest(ReviewerTest):
    def test_what_came_true_stands_beside_the_promise(self):
        review = self.reviewed()
        self.assertAlmostEqual(1.0, review.kept, 6)
        self.assertEqual("The plan kept 100% of what it promised.", review.message)
        self.assertIsNotNone(review.reviewed_at)
        figure = review.promise["figure"]
        self.assertAlmostEqual(review.promise["after"], review.realised[figure], 6)
        self.assertTrue(self.the_audit().auto_trigger)

    def test_no_look_before_the_window_has_passed(self):
        plan, actions = self.make_plan()
        self.carry_out(plan, actions)
        self.look(WINDOW - 3)
        self.assertIsNone(self.review_of(plan).reviewed_at)

    def test_an_empty_plan_has_no_review(self):
        self.reviewed()
        plan, actions = self.make_plan()
        self.assertEqual([], actions)
        with self.database.reader() as session:
            self.assertIsNone(session.get(Review, plan.id))

    def test_of_a_plan_that_failed_the_moves_that_were_made_count(self):
        review = self.reviewed(failed=1)
        self.assertAlmostEqual(1.0, review.kept, 6)

    def test_a_move_by_others_breaks_no_promise(self):
        plan, actions = self.make_plan()
        self.carry_out(plan, actions)
        self.time.advance_time_seconds(10)
        back = actions[0].input_parameters
        self.cloud.live_migrate(back["resource_id"], back["source_node"])
        self.look(2 * WINDOW)
        self.assertAlmostEqual(1.0, self.review_of(plan).kept, 1)

    def test_a_server_that_is_gone_breaks_no_promise(self):
        plan, actions = self.make_plan()
        self.carry_out(plan, actions)
        self.assertEqual(40, len(self.cloud.servers()))
        self.cloud.change(actions[0].input_parameters["resource_id"], state="deleted", host="")
        self.look()
        self.assertGreater(self.review_of(plan).kept, 0.9)

    def test_two_engines_make_one_review(self):
        plan, actions = self.make_plan()
        self.carry_out(plan, actions)
        self.look()
        first = self.review_of(plan)
        self.look(engine=1)
        self.assertEqual(first.reviewed_at, self.review_of(plan).reviewed_at)
        self.assertEqual(1, self.review_of(plan).attempt)


class LyingTest(ReviewerTest):
    CLOUD = {"loads_follow": False}

    def put_back(self):
        for each in self.cloud.scenario.servers:
            self.cloud.change(each.uuid, host=each.host, state=each.state)

    def test_it_is_found_out_within_three_plans(self):
        kept = [self.reviewed().kept for _ in range(3)]
        self.assertEqual([], [each for each in kept if each is None or each >= 0.5])
        audit = self.the_audit()
        self.assertFalse(audit.auto_trigger)
        self.assertEqual(reviews.DISTRUSTED, audit.status_message)

    def test_the_next_run_says_it_again_and_starts_nothing(self):
        for _ in range(3):
            self.reviewed()
        plan, _ = self.make_plan()
        self.assertEqual(PlanState.RECOMMENDED, plan.state)
        self.assertIn("kept less than half", plan.status_message)
        self.assertEqual(reviews.DISTRUSTED, self.the_audit().status_message)

    def test_a_run_under_way_starts_nothing_either(self):
        self.conf.set_override("broken_promises", 1, group="optimization")
        first, actions = self.make_plan()
        self.carry_out(first, actions)
        now = timeutils.utcnow()
        with self.database.writer() as session:
            run = runs.enqueue(session, self.audit.id, now, now)
            claimed = claims.claim(session, run.id, HOLDER, now)
        self.look()
        self.runner.run(claimed)
        with self.database.reader() as session:
            plan = session.scalars(select(ActionPlan).order_by(ActionPlan.id.desc())).first()
        self.assertEqual(PlanState.RECOMMENDED, plan.state)

    def test_it_is_trusted_again_when_a_user_sets_auto_trigger(self):
        for _ in range(3):
            self.reviewed()
        with self.database.writer() as session:
            audit = audits.get(session, self.audit.uuid)
            audits.change(session, audit, {"auto_trigger": True}, timeutils.utcnow())
        self.assertIsNone(self.the_audit().status_message)
        for _ in range(2):
            self.reviewed()
        self.assertTrue(self.the_audit().auto_trigger)
        self.reviewed()
        self.assertFalse(self.the_audit().auto_trigger)

    def test_a_plan_of_the_time_before_is_forgiven(self):
        plan, actions = self.make_plan()
        with self.database.writer() as session:
            reviews.forgive(session, self.audit.id)
        self.carry_out(plan, actions)
        self.look()
        review = self.review_of(plan)
        self.assertLess(review.kept, 0.5)
        self.assertFalse(review.counts)

    def test_the_option_switches_it_off(self):
        self.conf.set_override("broken_promises", 0, group="optimization")
        for _ in range(4):
            self.reviewed()
        self.assertTrue(self.the_audit().auto_trigger)


class FailureTest(ReviewerTest):
    def setUp(self):
        super().setUp()
        self.plan, actions = self.make_plan()
        self.carry_out(self.plan, actions)

    def fail_with(self, error):
        def host_metric(*arguments, **how):
            raise error

        self.patch(self.cloud.loads, "host_metric", host_metric)

    def test_a_passing_one_is_tried_again_and_again(self):
        self.fail_with(MetricsUnavailable("Gnocchi does not answer."))
        self.look()
        self.assertIsNone(self.review_of(self.plan).reviewed_at)
        self.look(59)
        self.assertEqual(1, self.review_of(self.plan).attempt)
        for seconds in (1, 120, 240, 480):
            self.assertIsNone(self.review_of(self.plan).reviewed_at)
            self.look(seconds)
        review = self.review_of(self.plan)
        self.assertEqual((reviewer.ATTEMPTS, None), (review.attempt, review.kept))
        self.assertIn("could not be measured: Gnocchi does not answer.", review.message)

    def test_a_lasting_one_ends_it(self):
        self.fail_with(ZeroDivisionError("oh"))
        self.look()
        self.assertIn("ZeroDivisionError: oh", self.review_of(self.plan).message)

    def test_what_kills_engines_ends(self):
        for _ in range(reviewer.ATTEMPTS):
            self.time.advance_time_seconds(WINDOW)
            with self.database.writer() as session:
                now = timeutils.utcnow()
                self.assertIsNotNone(reviews.claim(session, self.plan.id, reviewer.LEASE, now))
        self.look()
        self.assertIn("died 5 times in a row", self.review_of(self.plan).message)


class FigureTest(ReviewerTest):
    STRATEGY = "vm_workload_consolidation"
    CLOUD = {"vcpus": 32}

    def test_the_hosts_in_use(self):
        review = self.reviewed()
        self.assertEqual("hosts in use", review.promise["figure"])
        self.assertEqual(1.0, review.kept)
        self.assertEqual(review.promise["after"], review.realised["hosts in use"])
        self.assertTrue(review.counts)

    def test_of_a_plan_that_was_not_whole_it_counts_for_nothing(self):
        review = self.reviewed(failed=1)
        self.assertFalse(review.counts)
        self.assertIn("not all of its actions", review.message)

    def test_after_moves_by_others_it_counts_for_nothing(self):
        plan, actions = self.make_plan()
        self.carry_out(plan, actions)
        migrations = [each for each in actions if each.action_type == "migrate"]
        back = migrations[0].input_parameters
        self.cloud.live_migrate(back["resource_id"], "h7")
        self.look()
        review = self.review_of(plan)
        self.assertLess(review.kept, 1)
        self.assertFalse(review.counts)
        self.assertIn("other migrations", review.message)
