# SPDX-License-Identifier: Apache-2.0
"""actionplan explain, service status."""

from typing import Any

from tests.base import AUDIT, PLAN, CommandTestCase

PLAN_BODY = {
    "uuid": PLAN,
    "audit_uuid": AUDIT,
    "strategy_name": "workload_balance",
    "state": "SUCCEEDED",
    "status_message": None,
    "created_at": "2026-01-01T10:00:00+00:00",
    "summary": {
        "highest load, %": {"before": 93.96875, "after": 59.684375, "realised": 61},
        "hosts in use": {"before": 40, "after": 31},
        "gain": {"percent": 12.34567},
        "undone": {
            "sentence": "1 of 4 hosts stays at 80 % CPU or above: 3 servers stay: 3 locked (a, b).",
            "kinds": [
                {
                    "things": "servers",
                    "reason": "locked",
                    "text": "locked",
                    "count": 3,
                    "examples": ["a", "b"],
                }
            ],
        },
        "failed_moves": [
            {
                "server": "db-7",
                "server_uuid": "1",
                "destination": None,
                "failures": 2,
                "last": "2026-01-01T09:00:00",
                "tried_again": "2026-01-01T11:00:00",
                "reason": "No room.",
            }
        ],
        "review": {"reviewed_at": "2026-01-01T10:20:00", "kept": 96.5, "message": "Kept 96%."},
    },
}


def action(
    action_type: str, reason: str | None = None, message: str | None = None, **given: Any
) -> dict[str, Any]:
    return {
        "uuid": "1",
        "action_type": action_type,
        "state": "FAILED" if message else "SUCCEEDED",
        "input_parameters": given,
        "reason": reason,
        "status_message": message,
    }


ACTIONS = [
    action(
        "migrate",
        "compute-1 runs hot",
        "Timed out.",
        resource_name="db-1",
        resource_id="2",
        source_node="compute-1",
        destination_node="compute-2",
        migration_type="live",
    ),
    action("migrate", resource_id="uuid-of-web-1", source_node="compute-1"),
    action("volume_migrate", resource_name="disk", destination_type="ssd"),
    action("resize", resource_id="uuid-of-web-2", flavor="m1.large"),
    action("change_nova_service_state", resource_name="compute-1", state="disabled"),
    action("nop", message="hello"),
]


class ExplainTest(CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.serve("GET", f"/v1/action_plans/{PLAN}", PLAN_BODY)
        self.serve("GET", f"/v1/actions/detail?action_plan_uuid={PLAN}", {"actions": ACTIONS})

    def test_for_people(self) -> None:
        lines = self.printed("actionplan", "explain", PLAN, "-f", "table").splitlines()
        text = [line.split("|")[2].rstrip()[1:] for line in lines if "|" in line]
        for line in (
            "highest load, %: 93.97 -> 59.68, realised 61",
            "hosts in use: 40 -> 31",
            "12.35 %",
            "1 of 4 hosts stays at 80 % CPU or above: 3 servers stay: 3 locked (a, b).",
            "db-7: 2 failures, tried again 2026-01-01T11:00:00 UTC: No room.",
            "Kept 96%.",
            "migrate db-1: compute-1 -> compute-2, FAILED",
            "    compute-1 runs hot",
            "    Timed out.",
            "migrate uuid-of-web-1: compute-1 -> where the scheduler puts it, SUCCEEDED",
            "volume_migrate disk: ssd, SUCCEEDED",
            "resize uuid-of-web-2: m1.large, SUCCEEDED",
            "change_nova_service_state compute-1: disabled, SUCCEEDED",
            "nop, FAILED",
        ):
            self.assertIn(line, text)

    def test_for_machines(self) -> None:
        shown = self.shown("actionplan", "explain", PLAN)
        self.assertEqual(
            {
                "uuid": "1",
                "action": "migrate",
                "resource": "db-1",
                "from": "compute-1",
                "to": "compute-2",
                "state": "FAILED",
                "reason": "compute-1 runs hot",
                "status_message": "Timed out.",
            },
            shown["Actions"][0],
        )
        summary = PLAN_BODY["summary"]
        self.assertEqual(["highest load, %", "hosts in use"], [*shown["Before And After"]])
        self.assertEqual(
            [summary[key] for key in ("gain", "undone", "failed_moves", "review")],
            [shown[key] for key in ("Gain", "Left Undone", "Not Tried Again Yet", "Review")],
        )

    def test_a_review_that_is_due(self) -> None:
        summary = {"review": {"due_at": "2026-01-01T10:01:00"}}
        self.serve("GET", f"/v1/action_plans/{PLAN}", {**PLAN_BODY, "summary": summary})
        table = self.printed("actionplan", "explain", PLAN, "-f", "table")
        self.assertRegex(table, r"Review +\| due at 2026-01-01T10:01:00 UTC ")

    def test_an_empty_plan_that_leaves_nothing(self) -> None:
        self.serve("GET", f"/v1/action_plans/{PLAN}", {**PLAN_BODY, "summary": {}})
        self.serve("GET", f"/v1/actions/detail?action_plan_uuid={PLAN}", {"actions": []})
        table = self.printed("actionplan", "explain", PLAN)
        self.assertRegex(table, r"Left Undone +\| nothing")
        self.assertRegex(table, r"Actions +\| none")

    def test_the_newest_plan_of_an_audit(self) -> None:
        query = "limit=1&audit_uuid=hot+host&sort_key=created_at&sort_dir=desc"
        self.serve("GET", f"/v1/action_plans?{query}", {"action_plans": [{"uuid": PLAN}]})
        self.assertEqual(PLAN, self.shown("actionplan", "explain", "--audit", "hot host")["UUID"])
        self.serve("GET", f"/v1/action_plans?{query}", {"action_plans": []})
        self.assertIn(
            "has no action plan", self.refused("actionplan", "explain", "--audit", "hot host")
        )
        self.assertEqual(2, self.run_command("actionplan", "explain")[0])


STATUS = {
    "services": [
        {
            "name": "watcher-decision-engine",
            "host": "node-1",
            "status": "ACTIVE",
            "seen": 3.2,
            "models": {"compute": 41.7, "storage": 1260},
        },
        {
            "name": "watcher-decision-engine",
            "host": "node-2",
            "status": "FAILED",
            "seen": None,
            "models": {},
        },
    ],
    "events": {"waiting": 2, "oldest": 0.4},
    "runs": {
        "ongoing": 0,
        "oldest": 0.0,
        "waiting": {"due": {"number": 3, "late": 12.5}, "cooldown": {"number": 1, "late": 0.0}},
    },
    "plans": {"ONGOING": 11, "SUCCEEDED": 17},
    "plans_under_way": [
        {
            "uuid": str(number),
            "state": "ONGOING",
            "audit": "hot-host",
            "host": "node-1",
            "actions": 4,
            "actions_ended": 1,
        }
        for number in range(11)
    ],
}


class ServiceStatusTest(CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        versions = {
            "OpenStack-API-Minimum-Version": "1.0",
            "OpenStack-API-Maximum-Version": "1.7",
        }
        self.serve("GET", "/v1/services/status", STATUS, headers=versions)

    def test_for_people(self) -> None:
        lines = self.printed("service", "status", "-f", "table").splitlines()
        text = [line.split("|")[2].rstrip()[1:] for line in lines[3:] if "|" in line]
        self.assertEqual(
            [
                "watcher, versions 1.0 to 1.7",
                "node-1 ACTIVE, seen 3.2 s ago, compute model read 41.7 s ago, "
                "storage model read 1260 s ago",
                "node-2 FAILED, never seen",
                "MISSING: none has ever been started",
                "2, the oldest for 0.4 s",
                "0",
                "3 due, the first 12.5 s late",
                "1 cooldown",
                "11 ONGOING, 17 SUCCEEDED",
                *(f"{number} ONGOING of hot-host: 1 of 4 actions ended" for number in range(10)),
                "and 1 more",
            ],
            text,
        )

    def test_for_machines(self) -> None:
        shown = self.shown("service", "status")
        self.assertEqual(STATUS["services"], shown["Decision Engines"])
        self.assertEqual([], shown["Appliers"])
        self.assertEqual({"ongoing": 0, "oldest": 0.0}, shown["Runs Under Way"])
        self.assertEqual({"number": 3, "late": 12.5}, shown["Runs Waiting"]["due"])
        self.assertEqual(STATUS["plans_under_way"], shown["Plans Under Way"])
