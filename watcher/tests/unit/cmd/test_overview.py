# SPDX-License-Identifier: Apache-2.0
"""watcher-status show."""

import contextlib
import datetime
import io
import json
import types

from oslo_utils import timeutils

from watcher.cmd import overview
from watcher.common.states import ActionState, AuditType, PlanState
from watcher.db import models, services
from watcher.tests import factories
from watcher.tests.base import DatabaseTestCase


class ShowTestCase(DatabaseTestCase):
    def show(self, as_json: bool = False) -> str:
        out = io.StringIO()
        self.conf.command = types.SimpleNamespace(json=as_json)
        with contextlib.redirect_stdout(out):
            self.assertEqual(0, overview.run(self.conf))
        return out.getvalue()

    def fill(self) -> models.ActionPlan:
        now = timeutils.utcnow()
        with self.database.writer() as session:
            services.beat(session, "watcher-applier", "node-1", now)
            old = now - datetime.timedelta(hours=1)
            read_at = {"compute": old - datetime.timedelta(seconds=60), "baremetal": old}
            services.beat(session, "watcher-decision-engine", "node-2", old, read_at)
            strategy = factories.strategy(session, factories.goal(session))
            audit = factories.audit(
                session, strategy=strategy, audit_type=AuditType.EVENT, name="hot"
            )
            plan = factories.action_plan(session, audit, strategy, state=PlanState.ONGOING)
            factories.action(session, plan, state=ActionState.SUCCEEDED)
            factories.action(session, plan, state=ActionState.ONGOING)
        return plan

    def test_a_screen(self) -> None:
        plan = self.fill()
        shown = self.show()
        self.assertRegex(shown, r"watcher-applier +node-1 +ACTIVE +seen \d")
        self.assertRegex(shown, r"watcher-decision-engine +node-2 +FAILED +seen 3\d\d\d")
        self.assertRegex(
            shown, r"baremetal model read 36\d\d.* s ago\n +compute model read 36[6-9]\d"
        )
        self.assertIn("0 events that no run acts on yet\n", shown)
        self.assertIn("1 ONGOING\n", shown)
        self.assertIn(f"{plan.uuid} ONGOING of hot: 1 of 2 actions ended", shown)

    def test_the_same_as_json(self) -> None:
        plan = self.fill()
        shown = json.loads(self.show(as_json=True))
        self.assertEqual(["ACTIVE", "FAILED"], [each["status"] for each in shown["services"]])
        self.assertEqual(
            [[], ["baremetal", "compute"]], [[*each["models"]] for each in shown["services"]]
        )
        self.assertEqual({"waiting": 0, "oldest": 0.0}, shown["events"])
        self.assertEqual({"ONGOING": 1}, shown["plans"])
        (under_way,) = shown["plans_under_way"]
        self.assertEqual(
            (plan.uuid, "hot", 2, 1),
            tuple(under_way[key] for key in ("uuid", "audit", "actions", "actions_ended")),
        )

    def test_nothing_yet(self) -> None:
        shown = self.show()
        self.assertIn("Services: none was ever seen\n", shown)
        self.assertIn("Action plans: none\n", shown)

    def test_many_plans_stay_a_screen(self) -> None:
        plan = self.fill()
        with self.database.writer() as session:
            audit = session.get_one(models.Audit, plan.audit_id)
            strategy = session.get_one(models.Strategy, plan.strategy_id)
            for _ in range(11):
                factories.action_plan(session, audit, strategy, state=PlanState.PENDING)
        self.assertIn("and 2 more; --json has all of them", self.show())
        self.assertEqual(12, len(json.loads(self.show(as_json=True))["plans_under_way"]))

    def test_a_database_without_tables(self) -> None:
        models.Base.metadata.drop_all(self.database.engine)
        error = io.StringIO()
        with contextlib.redirect_stderr(error):
            self.assertEqual(1, overview.run(self.conf))
        self.assertIn("run watcher-db-manage upgrade", error.getvalue())
