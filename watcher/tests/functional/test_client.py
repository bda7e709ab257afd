# SPDX-License-Identifier: Apache-2.0
"""The commands of python-watcherclient against watcher-all-in-one."""

import io
import json
import os
import subprocess
import sys
from typing import Any

import fixtures
from watcherclient import shell

from watcher.common.states import ActionState, AuditState, PlanState
from watcher.tests.base import TestCase, wait_for
from watcher.tests.functional.all_in_one import AllInOne

UNKNOWN = "b8a2b4ee-5f0e-4a0c-9a5b-1f5d3b0a7f11"


class ClientTestCase(TestCase):
    """Commands of the ``watcher`` program, in this process; one service for all tests."""

    watcher: AllInOne

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.watcher = AllInOne({"generate": {"hosts": 4, "servers": 8}, "migration_seconds": 0.1})
        cls.watcher.setUp()
        cls.addClassCleanup(cls.watcher.cleanUp)

    def run_command(self, *arguments: str, version: str = "1.5") -> tuple[int, str, str]:
        """Exit status, stdout and stderr of ``watcher`` with *arguments*."""
        out, error = io.StringIO(), io.StringIO()
        service = [
            "--os-auth-token=none",
            f"--os-endpoint-override={self.watcher.endpoint}",
            f"--os-infra-optim-api-version={version}",
        ]
        # The program logs its errors to the stderr of the process, by a handler that it leaves
        # behind.
        with fixtures.MonkeyPatch("sys.stderr", error), fixtures.FakeLogger():
            status = shell.WatcherShell(stdout=out).run([*service, *arguments])
        return status, out.getvalue(), error.getvalue()

    def output(self, *arguments: str, version: str = "1.5") -> str:
        """What the command prints; it must succeed."""
        status, out, error = self.run_command(*arguments, version=version)
        self.assertEqual((0, ""), (status, error))
        return out

    def shown(self, *arguments: str, version: str = "1.5") -> Any:
        """What the command prints as JSON; it must succeed."""
        return json.loads(self.output(*arguments, "-f", "json", version=version))

    def refused(self, *arguments: str, version: str = "1.5") -> str:
        """Why the command fails."""
        status, out, error = self.run_command(*arguments, version=version)
        self.assertEqual((1, ""), (status, out))
        return error

    def create_audit(self, *arguments: str) -> Any:
        return self.shown("audit", "create", *arguments)

    def plan_of_a_finished_audit(self) -> str:
        audit = self.create_audit("-g", "dummy", "-s", "dummy", "-p", "para1=1.0")["UUID"]
        self.wait_for_state("audit", audit, AuditState.SUCCEEDED)
        (plan,) = self.shown("actionplan", "list", "--audit", audit)
        uuid: str = plan["UUID"]
        return uuid

    def wait_for_state(self, kind: str, ident: str, state: str) -> None:
        wait_for(lambda: self.shown(kind, "show", ident)["State"] == state, f"{kind} is {state}")


class CatalogueTest(ClientTestCase):
    def test_goals(self) -> None:
        goals = self.shown("goal", "list")
        self.assertEqual({"UUID", "Name", "Display name"}, goals[0].keys())
        names = [goal["Name"] for goal in goals]
        self.assertLessEqual({"dummy", "server_consolidation", "workload_balancing"}, {*names})
        ordered = self.shown("goal", "list", "--sort-key", "Name", "--sort-dir", "desc")
        self.assertEqual(sorted(names, reverse=True), [goal["Name"] for goal in ordered])
        self.assertEqual(3, len(self.shown("goal", "list", "--limit", "3")))
        detailed = self.shown("goal", "list", "--detail", "--limit", "0")
        self.assertEqual(len(goals), len(detailed))
        self.assertIn("Efficacy specification", detailed[0])

    def test_a_goal_in_a_table(self) -> None:
        table = self.output("goal", "show", "server_consolidation")
        self.assertIn("released_compute_nodes_count", table)
        self.assertNotIn("dummy", table)

    def test_strategies(self) -> None:
        strategies = self.shown("strategy", "list", "--goal", "dummy")
        self.assertEqual({"UUID", "Name", "Display name", "Goal"}, strategies[0].keys())
        self.assertEqual({"dummy"}, {strategy["Goal"] for strategy in strategies})
        shown = self.shown("strategy", "show", "dummy")
        self.assertEqual({"para1", "para2"}, json.loads(shown["Parameters spec"]).keys())

    def test_the_state_of_a_strategy(self) -> None:
        needs = self.shown("strategy", "state", "workload_stabilization")
        self.assertEqual(["Datasource", "Metrics", "CDM", "Name"], [need["Type"] for need in needs])
        self.assertEqual({"Type", "State", "Mandatory", "Comment"}, needs[0].keys())
        for word in ("Datasource", "Metrics", "CDM", "available"):
            self.assertIn(word, self.output("strategy", "state", "workload_stabilization"))

    def test_scoring_engines(self) -> None:
        engines = self.shown("scoringengine", "list")
        self.assertEqual({"UUID", "Name", "Description"}, engines[0].keys())
        self.assertIn("dummy_scorer", [engine["Name"] for engine in engines])
        self.assertIn("workloads", self.output("scoringengine", "show", "dummy_scorer"))

    def test_services(self) -> None:
        services = self.shown("service", "list")
        self.assertEqual(
            {("watcher-applier", "ACTIVE"), ("watcher-decision-engine", "ACTIVE")},
            {(service["Name"], service["Status"]) for service in services},
        )
        shown = self.shown("service", "show", "watcher-applier")
        self.assertEqual({"ID", "Name", "Host", "Status", "Last seen up"}, shown.keys())

    def test_what_is_not_there(self) -> None:
        for kind in ("goal", "strategy", "scoringengine", "audit", "audittemplate"):
            self.assertIn("nothing-like-this", self.refused(kind, "show", "nothing-like-this"))
        self.assertIn("404", self.refused("action", "show", UNKNOWN))


class AuditTemplateTest(ClientTestCase):
    def create(self, name: str, *arguments: str, version: str = "1.5") -> Any:
        created = self.shown("audittemplate", "create", name, "dummy", *arguments, version=version)
        self.addCleanup(self.output, "audittemplate", "delete", created["UUID"])
        return created

    def test_create_list_and_show(self) -> None:
        scope = os.path.join(self.directory, "scope.yaml")
        with open(scope, "w") as file:
            file.write("- compute: [{host_aggregates: [{id: 1}]}]\n")
        created = self.create("t1", "-s", "dummy", "-d", "A template", "--scope", scope)
        self.assertEqual(
            ("t1", "dummy", "dummy", "A template"),
            tuple(created[key] for key in ("Name", "Goal", "Strategy", "Description")),
        )
        self.assertEqual([{"compute": [{"host_aggregates": [{"id": 1}]}]}], created["Audit Scope"])
        (listed,) = self.shown("audittemplate", "list", "--goal", "dummy", "--strategy", "dummy")
        self.assertEqual(
            {"UUID": created["UUID"], "Name": "t1", "Goal": "dummy", "Strategy": "dummy"}, listed
        )
        self.assertEqual(created, self.shown("audittemplate", "show", "t1"))

    def test_update_and_delete(self) -> None:
        created = self.shown("audittemplate", "create", "t2", "dummy")
        # What the strategy requires is given by the audit.
        other = self.shown("audittemplate", "create", "t3", "unclassified", "-s", "actuator")
        self.assertEqual("", self.output("audittemplate", "delete", other["Name"]))
        updated = self.shown("audittemplate", "update", "t2", "replace", "description=Better")
        self.assertEqual("Better", updated["Description"])
        self.assertEqual("", self.output("audittemplate", "delete", created["Name"]))
        self.assertIn("t2", self.refused("audittemplate", "show", "t2"))

    def test_default_parameters(self) -> None:
        created = self.create("t3", "-s", "dummy", "-p", "para1=2.5", version="1.7")
        self.assertEqual(2.5, created["Default Parameters"]["para1"])
        hidden = self.shown("audittemplate", "show", "t3", version="1.6")
        self.assertEqual("", hidden["Default Parameters"])


class AuditTest(ClientTestCase):
    def test_oneshot_from_a_template(self) -> None:
        self.output("audittemplate", "create", "for-audits", "dummy", "-s", "dummy")
        audit = self.create_audit("-a", "for-audits", "--name", "from-template")
        self.assertEqual(
            ("from-template", "ONESHOT", "dummy", "dummy", False),
            tuple(audit[key] for key in ("Name", "Audit Type", "Goal", "Strategy", "Auto Trigger")),
        )
        self.wait_for_state("audit", audit["UUID"], AuditState.SUCCEEDED)
        (listed,) = (
            row
            for row in self.shown("audit", "list", "--goal", "dummy", "--strategy", "dummy")
            if row["UUID"] == audit["UUID"]
        )
        self.assertEqual(
            {"UUID", "Name", "Audit Type", "State", "Goal", "Strategy", "Auto Trigger"},
            listed.keys(),
        )

    def test_event(self) -> None:
        audit = self.create_audit("-t", "EVENT", "-g", "dummy", "--name", "by-name")
        self.assertEqual(("EVENT", "PENDING"), (audit["Audit Type"], audit["State"]))
        self.assertEqual("auto", audit["Strategy"])
        self.assertEqual(202, self.watcher.trigger("by-name"))
        self.wait_for_state("audit", "by-name", AuditState.SUCCEEDED)

    def test_continuous(self) -> None:
        audit = self.create_audit("-t", "CONTINUOUS", "-g", "dummy", "-i", "600")["UUID"]
        self.wait_for_state("audit", audit, AuditState.ONGOING)
        updated = self.shown("audit", "update", audit, "replace", "interval=700")
        self.assertEqual("700", updated["Interval"])
        self.assertEqual(
            AuditState.CANCELLED,
            self.shown("audit", "update", audit, "replace", "state=CANCELLED")["State"],
        )
        self.assertEqual("", self.output("audit", "delete", audit))
        self.assertIn(audit, self.refused("audit", "show", audit))

    def test_fields_by_version(self) -> None:
        audit = self.create_audit("-g", "dummy", "--force")
        self.assertTrue(audit["Force"])
        shown = self.shown("audit", "show", audit["UUID"], version="1.0")
        self.assertFalse({"Start Time", "End Time", "Force", "Status Message"} & shown.keys())
        later = self.shown(
            "audit", "update", audit["UUID"], "replace", "end_time=2030-01-02T03:04:05"
        )
        self.assertEqual("2030-01-02T03:04:05", later["End Time"])

    def test_a_wrong_field_is_named(self) -> None:
        self.assertIn(
            "para9", self.refused("audit", "create", "-g", "dummy", "-s", "dummy", "-p", "para9=1")
        )
        self.assertIn(
            "interval", self.refused("audit", "create", "-g", "dummy", "-t", "CONTINUOUS")
        )


class ActionPlanTest(ClientTestCase):
    def test_start_a_plan_and_watch_its_actions(self) -> None:
        plan = self.plan_of_a_finished_audit()
        shown = self.shown("actionplan", "show", plan)
        self.assertEqual(("RECOMMENDED", "dummy"), (shown["State"], shown["Strategy"]))
        actions = self.shown("action", "list", "--action-plan", plan)
        self.assertEqual({"UUID", "Parents", "State", "Action Plan", "Action"}, actions[0].keys())
        self.assertEqual(["nop", "nop", "sleep"], sorted(action["Action"] for action in actions))
        started = self.shown("actionplan", "start", plan)
        self.assertIn(started["State"], (PlanState.PENDING, PlanState.ONGOING))
        self.wait_for_state("actionplan", plan, PlanState.SUCCEEDED)
        ended = self.shown("action", "show", actions[0]["UUID"])
        self.assertEqual((ActionState.SUCCEEDED, plan), (ended["State"], ended["Action Plan"]))
        self.assertEqual("", self.output("actionplan", "delete", plan))
        self.assertIn("404", self.refused("actionplan", "show", plan))

    def test_list_by_audit_in_a_table(self) -> None:
        plan = self.plan_of_a_finished_audit()
        table = self.output("actionplan", "list", "--detail")
        self.assertIn(plan, table)
        for column in ("Global efficacy", "Efficacy indicators", "State"):
            self.assertIn(column, table)

    def test_cancel(self) -> None:
        plan = self.plan_of_a_finished_audit()
        self.assertEqual(PlanState.CANCELLED, self.shown("actionplan", "cancel", plan)["State"])

    def test_an_audit_goes_before_its_plan(self) -> None:
        plan = self.plan_of_a_finished_audit()
        audit = self.shown("actionplan", "show", plan)["Audit"]
        self.assertEqual("", self.output("audit", "delete", audit))
        (left,) = self.shown("actionplan", "list", "--audit", audit)
        self.assertEqual(plan, left["UUID"])
        self.assertEqual("", self.output("actionplan", "delete", plan))

    def test_skip_an_action(self) -> None:
        plan = self.plan_of_a_finished_audit()
        first, second, _ = self.shown("action", "list", "--action-plan", plan)
        skipped = self.shown(
            "action", "update", first["UUID"], "--state", "SKIPPED", "--reason", "Not today"
        )
        self.assertEqual(ActionState.SKIPPED, skipped["State"])
        self.assertIn("Not today", skipped["Status Message"])
        self.output("action", "update", second["UUID"], "--state", "SKIPPED")
        self.assertIn(
            "1.5",
            self.refused("action", "update", second["UUID"], "--state", "SKIPPED", version="1.4"),
        )
        self.assertIn("404", self.refused("action", "update", UNKNOWN, "--state", "SKIPPED"))


class OpenStackTest(ClientTestCase):
    """The same through the plug-in of the ``openstack`` command."""

    def openstack(self, *arguments: str) -> Any:
        program = os.path.join(os.path.dirname(sys.executable), "openstack")
        done = subprocess.run(
            [program, "optimize", *arguments, "-f", "json"],
            env={**os.environ, "OS_AUTH_TYPE": "none", "OS_ENDPOINT": self.watcher.endpoint},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        return json.loads(done.stdout)

    def test_create_an_event_audit(self) -> None:
        audit = self.openstack(
            "audit", "create", "-t", "EVENT", "-g", "dummy", "-s", "dummy", "--auto-trigger"
        )
        self.assertEqual(("EVENT", True), (audit["Audit Type"], audit["Auto Trigger"]))
        listed = self.openstack("audit", "list")
        self.assertEqual([audit["UUID"]], [row["UUID"] for row in listed])


class DataModelTest(ClientTestCase):
    def test_a_row_a_server(self) -> None:
        rows = self.shown("datamodel", "list", "--detail")
        self.assertEqual({"up"}, {row["Node State"] for row in rows})
        self.assertEqual(4, len({row["Node UUID"] for row in rows}))
        self.assertEqual(8, len({row["Server_UUID"] for row in rows} - {None, ""}))

    def test_within_the_scope_of_an_audit(self) -> None:
        everything = self.shown("datamodel", "list")
        wanted = everything[0]["Node Host Name"]
        others = {row["Node Host Name"] for row in everything} - {wanted}
        scope = [{"compute": [{"exclude": [{"compute_nodes": [{"name": n} for n in others]}]}]}]
        path = os.path.join(self.directory, "scope.json")
        with open(path, "w") as file:
            json.dump(scope, file)
        self.shown("audittemplate", "create", "narrow", "dummy", "--scope", path)
        audit = self.create_audit("-a", "narrow")["UUID"]
        rows = self.shown("datamodel", "list", "--audit", audit)
        self.assertEqual({wanted}, {row["Node Host Name"] for row in rows})

    def test_there_is_none_of_storage(self) -> None:
        self.assertIn("404", self.refused("datamodel", "list", "--type", "storage"))
