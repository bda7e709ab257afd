# SPDX-License-Identifier: Apache-2.0
"""What consumers hear of an audit from its creation to the end of its plan."""

import collections
import re
import threading
from typing import Any

import webob
from oslo_messaging.notify import _impl_test
from oslo_utils import timeutils
from sqlalchemy import select

from watcher.applier.service import Applier
from watcher.cloud import Cloud
from watcher.common.states import ActionState, AuditState, AuditType, PlanState
from watcher.db import action_plans, audits
from watcher.db.models import ActionPlan, Audit, Strategy
from watcher.decision_engine.catalog import Catalog
from watcher.decision_engine.service import DecisionEngine
from watcher.notifications import Notifications
from watcher.rpc.doorbell import LocalDoorbell
from watcher.tests import base, factories
from watcher.tests.unit.api.fakes import build_api

"""How long a busy machine is given for what takes a moment."""

CONFIG = """
[DEFAULT]
transport_url = fake://

[watcher_decision_engine]
poll_interval = 3600

[watcher_applier]
poll_interval = 3600

[oslo_messaging_notifications]
driver = test
"""
"""Without polls the doorbells alone set the pace, so the order of events is the one order."""


HELLO = {"action_type": "nop", "input_parameters": {"message": "hello"}}
HELLO_AGAIN = {"action_type": "nop", "input_parameters": {"message": "hello again"}}


class Observed(Notifications):
    """Lets a test wait for the last notifications of an audit and of a plan."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.ended, self.audit_changed = threading.Event(), threading.Event()

    def send(self, event_type: str, *ids: int, **values: Any) -> None:
        super().send(event_type, *ids, **values)
        if event_type == "audit.update":
            self.audit_changed.set()
        elif re.fullmatch(r"action_plan\.(execution\.(end|error)|cancel\.end)", event_type):
            self.ended.set()


class HearingTestCase(base.DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        path = f"{self.directory}/watcher.conf"
        with open(path, "w") as config:
            config.write(CONFIG)
        self.conf(["--config-file", path], default_config_files=[])
        _impl_test.reset()
        self.notifications = Observed(self.conf, self.database)

    def heard(self) -> dict[str, list[tuple[str, str | None]]]:
        """The notifications of each object, by UUID: event type, and old state of an update."""
        self.notifications.stop()
        heard = collections.defaultdict(list)
        for _, message, _, _ in _impl_test.NOTIFICATIONS:
            data = message["payload"]["watcher_object.data"]
            update = data.get("state_update", {}).get("watcher_object.data", {})
            heard[data["uuid"]].append((message["event_type"], update.get("old_state")))
        return heard


class TestWholeFlow(HearingTestCase):
    def start(self, service: DecisionEngine | Applier) -> None:
        self.addCleanup(service.stop)
        service.start()

    def recommend(self, *actions: dict[str, Any]) -> Audit:
        """An audit that has run and found that *actions* are to be carried out."""
        audit = self.audit({"actions": actions})
        rung, applier = threading.Event(), LocalDoorbell()
        applier.connect(rung.set)
        self.start(DecisionEngine(self.conf, self.database, Cloud(), applier, self.notifications))
        self.assertTrue(rung.wait(base.TIMEOUT))
        return audit

    def carry_out(self) -> None:
        """What the applier does with the plan, to its end."""
        self.start(Applier(self.conf, self.database, Cloud(), LocalDoorbell(), self.notifications))
        self.assertTrue(self.notifications.ended.wait(base.TIMEOUT))

    def audit(self, parameters: dict[str, Any]) -> Audit:
        """An audit whose plan is carried out without asking."""
        now = timeutils.utcnow()
        catalog = Catalog(self.conf)
        self.database.write(lambda session: catalog.sync(session, now))
        with self.database.writer() as session:
            row = session.scalars(select(Strategy).where(Strategy.name == "actuator")).one()
            audit = Audit(
                name="flow",
                audit_type=AuditType.ONESHOT,
                goal_id=row.goal_id,
                strategy_id=row.id,
                parameters=parameters,
                auto_trigger=True,
            )
            audits.create(session, audit, now)
        self.notifications.send("audit.create", audit.id)
        return audit

    def plan(self) -> ActionPlan:
        with self.database.reader() as session:
            return session.scalars(select(ActionPlan)).one()

    def test_a_plan_that_succeeds(self) -> None:
        audit = self.recommend(HELLO, HELLO_AGAIN)
        self.carry_out()
        heard = self.heard()
        self.assertEqual(
            [
                ("audit.create", None),
                ("audit.update", AuditState.PENDING),
                ("audit.strategy.start", None),
                ("audit.strategy.end", None),
                ("audit.planner.start", None),
                ("audit.planner.end", None),
                ("audit.update", AuditState.ONGOING),
            ],
            heard.pop(audit.uuid or ""),
        )
        self.assertEqual(
            [
                ("action_plan.create", None),
                ("action_plan.update", PlanState.PENDING),
                ("action_plan.execution.start", None),
                ("action_plan.update", PlanState.ONGOING),
                ("action_plan.execution.end", None),
            ],
            heard.pop(self.plan().uuid or ""),
        )
        self.assertEqual(2, len(heard))
        for events in heard.values():
            self.assertEqual(
                [
                    ("action.create", None),
                    ("action.update", ActionState.PENDING),
                    ("action.execution.start", None),
                    ("action.update", ActionState.ONGOING),
                    ("action.execution.end", None),
                ],
                events,
            )

    def test_an_audit_that_may_not_run(self) -> None:
        audit = self.audit({"actions": []})
        with self.database.writer() as session:
            factories.action_plan(
                session, audit, session.get_one(Strategy, audit.strategy_id), state="ONGOING"
            )
        engine = DecisionEngine(
            self.conf, self.database, Cloud(), LocalDoorbell(), self.notifications
        )
        self.start(engine)
        self.assertTrue(self.notifications.audit_changed.wait(base.TIMEOUT))
        self.assertEqual(
            [("audit.create", None), ("audit.update", AuditState.PENDING)],
            self.heard()[audit.uuid or ""],
        )

    def test_a_plan_that_fails(self) -> None:
        self.recommend({"action_type": "migrate", "resource_id": "x", "input_parameters": {}})
        self.carry_out()
        heard = self.heard()
        self.assertEqual(
            [("action_plan.update", PlanState.ONGOING), ("action_plan.execution.error", None)],
            heard[self.plan().uuid or ""][-2:],
        )
        self.assertIn(("action.execution.error", None), [events[-1] for events in heard.values()])

    def test_a_plan_that_is_cancelled(self) -> None:
        self.recommend(HELLO, HELLO_AGAIN)
        with self.database.writer() as session:
            plan = action_plans.get(session, self.plan().uuid or "")
            plan.state = PlanState.CANCELLING
        self.carry_out()
        heard = self.heard()
        self.assertEqual(
            [
                ("action_plan.create", None),
                ("action_plan.cancel.start", None),
                ("action_plan.update", PlanState.CANCELLING),
                ("action_plan.cancel.end", None),
            ],
            heard[plan.uuid or ""],
        )
        actions = [events for events in heard.values() if events[0][0] == "action.create"]
        self.assertEqual(2, len(actions))
        for events in actions:
            self.assertEqual(
                [
                    ("action.create", None),
                    ("action.cancel.start", None),
                    ("action.update", ActionState.PENDING),
                    ("action.cancel.end", None),
                ],
                events,
            )


class TestRequests(HearingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.conf.set_override("enable_authentication", False)
        self.api = build_api(self.conf, self.database, self.notifications)

    def request(self, method: str, path: str, body: Any = None) -> Any:
        request = webob.Request.blank(f"/v1/{path}", method=method)
        request.headers["OpenStack-API-Version"] = "infra-optim latest"
        if body is not None:
            request.content_type, request.json = "application/json", body
        answer = request.get_response(self.api)
        self.assertLess(answer.status_int, 300, answer.text)
        return answer.json if answer.body else None

    def patch_state(self, path: str, state: str) -> None:
        self.request("PATCH", path, [{"op": "replace", "path": "/state", "value": state}])

    def test_an_audit_from_creation_to_deletion(self) -> None:
        with self.database.writer() as session:
            factories.goal(session, name="dummy")
        uuid = self.request("POST", "audits", {"audit_type": "EVENT", "goal": "dummy"})["uuid"]
        self.request(
            "PATCH", f"audits/{uuid}", [{"op": "replace", "path": "/name", "value": "other"}]
        )
        self.patch_state(f"audits/{uuid}", AuditState.CANCELLED)
        self.request("DELETE", f"audits/{uuid}")
        self.assertEqual(
            {
                uuid: [
                    ("audit.create", None),
                    ("audit.update", None),
                    ("audit.update", AuditState.PENDING),
                    ("audit.delete", None),
                ]
            },
            self.heard(),
        )

    def test_a_plan_that_a_user_does_not_want(self) -> None:
        with self.database.writer() as session:
            goal = factories.goal(session)
            strategy = factories.strategy(session, goal)
            plan = factories.action_plan(
                session, factories.audit(session, goal, strategy), strategy
            )
            action, other = (factories.action(session, plan) for _ in range(2))
        self.patch_state(f"actions/{other.uuid}", ActionState.SKIPPED)
        self.patch_state(f"action_plans/{plan.uuid}", PlanState.CANCELLED)
        self.request("DELETE", f"action_plans/{plan.uuid}")
        moved = ("action.update", ActionState.PENDING)
        self.assertEqual(
            {
                action.uuid: [moved, ("action.delete", None)],
                other.uuid: [moved, ("action.delete", None)],
                plan.uuid: [
                    ("action_plan.update", PlanState.RECOMMENDED),
                    ("action_plan.delete", None),
                ],
            },
            self.heard(),
        )
