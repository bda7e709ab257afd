# SPDX-License-Identifier: Apache-2.0
"""The commands of ``client/`` against watcher-all-in-one."""

import importlib.util
import json
import unittest

from watcher.common.states import Decision, PlanState, RunState
from watcher.tests.base import wait_for
from watcher.tests.functional.all_in_one import ALARM
from watcher.tests.functional.test_client import ClientTestCase


@unittest.skipUnless(importlib.util.find_spec("osc_watcher"), "client/ is not installed")
class CommandsTest(ClientTestCase):
    def test_from_a_message_to_the_explanation_of_its_plan(self) -> None:
        audit = self.create_audit("-t", "EVENT", "-g", "dummy", "-s", "dummy", "--name", "hot")[
            "UUID"
        ]
        [listed] = self.shown("webhook", "list")
        self.assertEqual((audit, "hot"), (listed["Audit"], listed["Name"]))
        self.shown("webhook", "secret", "create", "hot")
        secret = self.shown("webhook", "secret", "create", "hot")["Secret"]
        options = ("--auth", "keystone", "--parameter", "para2=alarm_name", "--max-actions", "9")
        settings = self.shown("webhook", "set", "hot", *options, "--pause")
        self.assertEqual({"set": True, "rotating": True}, settings["Secret"])
        self.assertEqual({"para2": "alarm_name"}, settings["Parameters"])
        settings = self.shown("webhook", "set", "hot", "--auth", "secret")
        message = ("--data", json.dumps(ALARM))
        self.assertEqual("paused", self.shown("webhook", "preview", "hot", *message)["Reason"])

        ignored = self.shown("webhook", "trigger", "hot", *message, "--secret", secret)
        self.assertEqual((Decision.IGNORED, ALARM), (ignored["Decision"], ignored["Payload"]))
        settings = self.shown("webhook", "set", "hot", "--resume")
        settings = self.shown("webhook", "unset", "hot", "--max-actions")
        self.assertIsNone(settings["Limits"]["max_actions"])
        replay = self.shown("webhook", "event", "replay", "hot", ignored["UUID"])
        self.assertEqual(ignored["UUID"], replay["Replay Of"])
        wait_for(
            lambda: (
                [each["State"] for each in self.shown("webhook", "run", "list", "hot")]
                == [RunState.SUCCEEDED]
            ),
            "the run has succeeded",
        )

        events = self.shown("webhook", "event", "list", "hot", "--detail")
        self.assertEqual([Decision.QUEUED, Decision.IGNORED], [each["Decision"] for each in events])
        self.assertEqual({"para2": ALARM["alarm_name"]}, events[0]["Parameters"])
        event = self.shown("webhook", "event", "show", audit, replay["UUID"])
        [run] = self.shown("webhook", "run", "list", "hot")
        self.assertEqual(run["UUID"], event["Run"])
        shown = self.shown("webhook", "run", "show", "hot", run["UUID"])
        plan = self.shown("actionplan", "explain", "--audit", "hot")
        self.assertEqual(shown["Action Plan"], plan["UUID"])
        self.assertEqual(PlanState.RECOMMENDED, plan["State"])
        self.assertEqual(
            ["nop", "nop", "sleep"], sorted(action["action"] for action in plan["Actions"])
        )

    def test_the_services(self) -> None:
        status = self.shown("service", "status")
        nodes = [*status["Decision Engines"], *status["Appliers"]]
        self.assertEqual(["ACTIVE"] * 2, [node["status"] for node in nodes])
        self.assertEqual({"ongoing": 0, "oldest": 0.0}, status["Runs Under Way"])
