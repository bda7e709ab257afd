# SPDX-License-Identifier: Apache-2.0
"""The doorbells that requests ring, and the rows that are committed by then."""

import json
import os

import webob
from sqlalchemy import select

from watcher.common.states import AuditState, RunState
from watcher.db.models import Audit, AuditRun, Webhook
from watcher.tests import base
from watcher.tests.functional import stories

HEADERS = {"OpenStack-API-Version": "infra-optim latest"}


class DoorbellTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.api = stories.Plans()
        self.api.start_fixture()
        self.addCleanup(self.api.stop_fixture)

    def call(self, method, path, body=None, status=200):
        request = webob.Request.blank(f"/v1/{path}", method=method, headers=HEADERS)
        if body is not None:
            request.content_type = "application/json"
            request.body = json.dumps(body).encode()
        response = request.get_response(stories.application())
        self.assertEqual(status, response.status_int, response.body)
        return response.json if response.body else None

    def set_state(self, path, state):
        return self.call("PATCH", path, [{"op": "replace", "path": "/state", "value": state}])

    def create(self, **fields):
        return self.call("POST", "audits", {"goal": "dummy", **fields}, 201)

    def run_states(self, uuid):
        with self.api.database.reader() as session:
            rows = select(AuditRun.state).join(Audit, Audit.id == AuditRun.audit_id)
            return session.scalars(rows.where(Audit.uuid == uuid)).all()

    def rung(self):
        engine, applier = self.api.decision_engine.rung, self.api.applier.rung
        self.api.decision_engine.rung, self.api.applier.rung = [], []
        return engine, applier


class TestAudits(DoorbellTestCase):
    def test_a_new_audit_and_its_run_are_committed_before_the_doorbell(self):
        for audit_type, interval in (("ONESHOT", None), ("CONTINUOUS", "60")):
            uuid = self.create(audit_type=audit_type, interval=interval)["uuid"]
            self.assertEqual([RunState.QUEUED], self.run_states(uuid))
            self.assertEqual(([uuid], []), self.rung())

    def test_a_new_event_audit_waits_with_a_webhook(self):
        uuid = self.create(audit_type="EVENT")["uuid"]
        self.assertEqual([], self.run_states(uuid))
        with self.api.database.reader() as session:
            hooks = select(Audit.uuid).join(Webhook, Webhook.audit_id == Audit.id)
            self.assertEqual([uuid], session.scalars(hooks).all())

    def test_a_change_rings_the_doorbell_of_the_engine(self):
        uuid = self.create(audit_type="CONTINUOUS", interval="60")["uuid"]
        self.rung()
        self.set_state(f"audits/{uuid}", "CANCELLED")
        self.assertEqual([RunState.CANCELLED], self.run_states(uuid))
        self.assertEqual(([uuid], []), self.rung())
        self.call("PATCH", f"audits/{uuid}", [])
        self.call("DELETE", f"audits/{uuid}", status=204)
        self.assertEqual(([], []), self.rung())

    def test_a_resumed_audit_rings_the_doorbell_of_the_engine(self):
        uuid = self.create(audit_type="CONTINUOUS", interval="60")["uuid"]
        with self.api.database.writer() as session:
            session.scalars(
                select(Audit).where(Audit.uuid == uuid)
            ).one().state = AuditState.ONGOING
        self.set_state(f"audits/{uuid}", "SUSPENDED")
        self.rung()
        self.assertEqual("ONGOING", self.set_state(f"audits/{uuid}", "ONGOING")["state"])
        self.assertEqual([RunState.QUEUED], self.run_states(uuid))
        self.assertEqual(([uuid], []), self.rung())

    def test_a_refusal_rings_no_doorbell(self):
        with self.api.database.reader() as session:
            before = len(session.scalars(select(Audit.id)).all())
        self.call("POST", "audits", {"goal": "dummy", "audit_type": "SOMETIMES"}, 400)
        self.call("POST", "audits", {"goal": "dummy", "name": "x" * 10 * 2**20}, 413)
        self.assertEqual(([], []), self.rung())
        with self.api.database.reader() as session:
            self.assertEqual(before, len(session.scalars(select(Audit.id)).all()))


class TestPlans(DoorbellTestCase):
    def test_a_started_plan_rings_the_doorbell_of_the_applier(self):
        uuid = os.environ["RECOMMENDED_PLAN"]
        self.call("POST", f"action_plans/{uuid}/start")
        self.assertEqual(([], [uuid]), self.rung())

    def test_a_start_by_patch_is_the_same(self):
        uuid = os.environ["RECOMMENDED_PLAN"]
        self.assertEqual("PENDING", self.set_state(f"action_plans/{uuid}", "PENDING")["state"])
        self.assertEqual(([], [uuid]), self.rung())

    def test_a_cancelled_plan_rings_the_doorbell_of_the_applier(self):
        uuid = os.environ["ONGOING_PLAN"]
        self.set_state(f"action_plans/{uuid}", "CANCELLING")
        self.assertEqual(([], [uuid]), self.rung())

    def test_the_end_of_a_plan_rings_the_doorbell_of_the_engine(self):
        uuid = os.environ["RECOMMENDED_PLAN"]
        self.set_state(f"action_plans/{uuid}", "CANCELLED")
        self.assertEqual(([os.environ["AUDIT"]], []), self.rung())
