# SPDX-License-Identifier: Apache-2.0
"""EVENT audits, in the form of the tests of watcher-tempest-plugin."""

import json

from watcher_tempest_plugin.tests.api.admin import base

from tempest.lib import decorators
from tempest.lib.common import http
from tempest.lib.common.utils import test_utils


class TestEventAudit(base.BaseInfraOptimTest):
    """An alarm service posts to the webhook of an audit, without a token."""

    min_microversion = "1.4"

    def setUp(self):
        super().setUp()
        _, goal = self.client.show_goal("dummy")
        _, template = self.create_audit_template(goal["uuid"])
        _, self.audit = self.create_audit(template["uuid"], audit_type="EVENT")

    def post(self, ident, message=None):
        url = f"{self.client.base_url.rstrip('/')}/v1/webhooks/{ident}"
        body = None if message is None else json.dumps(message)
        headers = {"Content-Type": "application/json"}
        response, text = http.ClosingHttp().request(url, "POST", headers=headers, body=body)
        return response.status, text

    def plans(self):
        _, body = self.client.list_action_plans(audit_uuid=self.audit["uuid"])
        return body["action_plans"]

    @decorators.idempotent_id("0d8c6a0e-3b87-4a5b-8a51-5d6c1a0f9e42")
    def test_an_alarm_makes_a_plan(self):
        alarm = {"alarm_name": "hot", "previous": "ok", "current": "alarm", "reason": "too hot"}
        self.assertEqual([], self.plans())
        status, _ = self.post(self.audit["uuid"], alarm)
        self.assertEqual(202, status)
        self.assertTrue(test_utils.call_until_true(self.plans, duration=60, sleep_for=0.5))
        (plan,) = self.plans()
        self.assertEqual("RECOMMENDED", plan["state"])

    @decorators.idempotent_id("5b1f4f6d-9d3a-47a8-9c0e-2f7a64b1d8c3")
    def test_the_name_of_the_audit_will_do(self):
        status, _ = self.post(self.audit["name"])
        self.assertEqual(202, status)
        self.assertTrue(test_utils.call_until_true(self.plans, duration=60, sleep_for=0.5))

    @decorators.idempotent_id("a3c27e1b-68f4-4d0e-b5a9-71e0d2c4f685")
    def test_what_is_no_event_audit_is_refused(self):
        _, goal = self.client.show_goal("dummy")
        _, template = self.create_audit_template(goal["uuid"])
        _, oneshot = self.create_audit(template["uuid"], audit_type="ONESHOT")
        self.assertEqual(400, self.post(oneshot["uuid"])[0])
        self.assertEqual(404, self.post("no-audit-has-this-name")[0])
