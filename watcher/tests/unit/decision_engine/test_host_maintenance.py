# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.cloud.compute import ServerGroup
from watcher.cloud.needs import Needs
from watcher.common import schemas
from watcher.common.errors import Invalid, NotFound
from watcher.decision_engine.strategies.host_maintenance import HostMaintenance
from watcher.model import undone
from watcher.model.compute import ComputeModel
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import checker, clusters
from watcher.tests.unit.decision_engine.clusters import host, server, uid


def solve(model, node="h1", **parameters):
    return HostMaintenance().execute(
        clusters.inputs(HostMaintenance, model, maintenance_node=node, **parameters)
    )


def steps(solution):
    """(what, where or new state or None) of each action."""
    found = []
    for action in solution.actions:
        values = action.input_parameters
        name = values.get("resource_name", values["resource_id"])
        kind = values.get("migration_type", values.get("state", action.action_type))
        found.append((name, kind, values.get("destination_node")))
    return found


class HostMaintenanceTest(TestCase):
    def setUp(self):
        super().setUp()
        self.hosts = [host("h1"), host("h2", 4), host("h3")]
        self.servers = [
            server("s1", "h1", 3),
            server("s2", "h1", 2, state="paused"),
            server("s3", "h1", 1, state="stopped"),
            server("s4", "h2", 0),
        ]

    def solve(self, fixed=(), **parameters):
        model = ComputeModel.build(self.hosts, self.servers)
        movable = np.array([one.name not in fixed for one in model.servers], dtype=bool)
        return solve(dataclasses.replace(model, movable=movable), **parameters)

    def change_host(self, number, **values):
        self.hosts[number] = dataclasses.replace(self.hosts[number], **values)

    def test_servers_that_cannot_leave_are_named_with_the_reason(self):
        self.servers += [
            server("s5", "h1", locked=True),
            server("s6", "h1", state="error"),
            server("s7", "h1"),
            server("s8", "h2"),
        ]
        groups = [ServerGroup(uid("g"), "affinity", [uid("s7"), uid("s8")])]
        model = ComputeModel.build(self.hosts, self.servers, groups)
        solution = solve(model)
        self.assertEqual("3 of the servers on h1 do not leave it", solution.unmet)
        self.assertEqual(
            {(undone.LOCKED, ("s5",)), (undone.STATE, ("s6",)), (undone.AFFINITY, ("s7",))},
            {(each.reason, tuple(each.examples)) for each in solution.undone},
        )

    def test_servers_that_the_parameters_keep_are_named(self):
        solution = self.solve(disable_live_migration=True)
        self.assertEqual("1 of the servers on h1 does not leave it", solution.unmet)
        (kept,) = solution.undone
        self.assertEqual(("s2",), tuple(kept.examples))
        self.assertIn("by the parameters", kept.words)

    def test_nothing_is_said_when_all_leave(self):
        solution = self.solve()
        self.assertEqual(("", ()), (solution.unmet, solution.undone))

    def test_the_host_is_disabled_and_its_servers_leave(self):
        solution = self.solve()
        self.assertEqual(
            [
                ("h1", "disabled", None),
                ("s1", "live", None),
                ("s2", "live", None),
                ("s3", "cold", None),
            ],
            steps(solution),
        )
        self.assertEqual(
            {
                "resource_id": clusters.uid("h1"),
                "resource_name": "h1",
                "state": "disabled",
                "disabled_reason": "watcher_maintaining",
            },
            solution.actions[0].input_parameters,
        )
        self.assertEqual(
            ["h1 goes into maintenance", "h1 goes into maintenance; the scheduler picks the host"],
            [action.reason for action in solution.actions[:2]],
        )
        self.assertEqual({}, solution.indicators)
        self.assertEqual({"before": 3, "after": 0}, solution.summary["servers on the host"])

    def test_ways_to_leave(self):
        for live, cold, expected in (
            (False, True, [("s1", "live"), ("s2", "live")]),
            (True, False, [("s1", "cold"), ("s3", "cold")]),
            (True, True, [(clusters.uid("s1"), "stop")]),
        ):
            solution = self.solve(disable_live_migration=live, disable_cold_migration=cold)
            self.assertEqual(expected, [(name, way) for name, way, _ in steps(solution)[1:]])
        self.assertEqual({"resource_id": clusters.uid("s1")}, solution.actions[1].input_parameters)
        self.assertEqual(
            "h1 goes into maintenance, and migrations are disabled", solution.actions[1].reason
        )
        self.assertEqual({"before": 3, "after": 3}, solution.summary["servers on the host"])
        self.assertEqual({"before": 1, "after": 0}, solution.summary["active servers on the host"])

    def test_a_server_that_does_not_migrate_live_migrates_cold(self):
        """Such as one with encrypted memory; one with an accelerator does not migrate at all."""
        fixed = Needs.of(1, {"accel:device_profile": "fpga"})
        self.servers = [server("s1", "h1", live=False), server("s2", "h1", needs=fixed)]
        self.assertIn(("s1", "cold", None), steps(self.solve()))
        self.assertNotIn("s2", str(steps(self.solve())))
        self.assertNotIn("s1", str(steps(self.solve(disable_cold_migration=True))))

    def test_servers_that_stay(self):
        for change in ({"locked": True}, {"task_state": "rebuilding"}, {"state": "error"}):
            self.servers[0] = dataclasses.replace(
                self.servers[0], **{"locked": False, "task_state": None} | change
            )
            self.assertNotIn("s1", [name for name, _, _ in steps(self.solve())])
        self.assertNotIn("s2", [name for name, _, _ in steps(self.solve(fixed=["s2"]))])

    def test_what_fits_the_backup_host_goes_there(self):
        solution = self.solve(backup_node="h2")
        self.assertEqual(
            [("s1", "live", "h2"), ("s3", "cold", "h2"), ("s2", "live", None)],
            steps(solution)[1:],
        )
        self.assertEqual(
            [
                "h1 goes into maintenance; h2 has room",
                "h1 goes into maintenance; h2 cannot take it, so the scheduler picks the host",
            ],
            [action.reason for action in solution.actions[2:]],
        )

    def test_servers_for_which_no_host_of_the_cloud_is_left_stay(self):
        """Nova would refuse them: no host is in service, or none has the room or the zone."""
        self.servers = [server("s1", "h1", 6, pinned_az="here"), server("s2", "h1", 6)]
        self.change_host(0, zone="here")
        self.change_host(1, status="disabled")
        for change, left in (
            ({}, {(undone.PLACE, ("s1",))}),
            ({"zone": "here", "vcpus": 5}, {(undone.ROOM, ("s1", "s2"))}),
            ({"state": "down"}, {(undone.NO_HOST, ("s1", "s2"))}),
        ):
            self.change_host(2, **change)
            solution = self.solve()
            self.assertEqual(left, {(each.reason, each.examples) for each in solution.undone})
            self.assertEqual("h1", steps(solution)[0][0])
            self.assertEqual(3 - sum(each.count for each in solution.undone), len(solution.actions))

    def test_room_for_one_server_is_given_once(self):
        self.hosts = [host("h1"), host("h2", 4)]
        self.servers = [server("s1", "h1", 4), server("s2", "h1", 4)]
        solution = self.solve()
        self.assertEqual("1 of the servers on h1 does not leave it", solution.unmet)
        self.assertEqual(1, len(steps(solution)[1:]))

    def test_the_scheduler_may_put_servers_where_others_have_no_choice_but_to_be(self):
        self.hosts = [host("h1"), host("h2", 4), host("h3", 3, memory_mb=20000)]
        self.servers = [server("s1", "h1", 3), server("s2", "h1", 4), server("s3", "h1", 0)]
        self.servers[0] = dataclasses.replace(self.servers[0], memory_mb=200)
        self.assertEqual(("", 4), (self.solve().unmet, len(self.solve().actions)))

    def test_hosts_outside_of_the_scope_may_take_servers(self):
        cloud = ComputeModel.build(self.hosts, self.servers)
        scope = ComputeModel.build(self.hosts[:1], self.servers)
        given = clusters.inputs(HostMaintenance, cloud, maintenance_node="h1")
        given = dataclasses.replace(given, compute_model=lambda: scope)
        self.assertEqual("", HostMaintenance().execute(given).unmet)

    def test_a_disabled_backup_host_is_enabled_if_it_takes_a_server(self):
        self.change_host(1, status="disabled", disabled_reason="spare")
        self.assertEqual(("h2", "enabled", None), steps(self.solve(backup_node="h2"))[0])
        self.servers = [server("s1", "h1", 5)]
        self.assertEqual(("h1", "disabled", None), steps(self.solve(backup_node="h2"))[0])

    def test_a_backup_host_that_is_down_or_in_maintenance_takes_nothing(self):
        for change in (
            {"state": "down"},
            {"status": "disabled", "disabled_reason": "watcher_maintaining"},
        ):
            self.change_host(1, **{"state": "up"} | change)
            found = steps(self.solve(backup_node="h2"))
            self.assertEqual([None] * 4, [where for _, _, where in found])
            self.assertNotIn("h2", [name for name, _, _ in found])
        self.change_host(1, status="enabled")  # the reason outlived the maintenance
        self.assertIn(("s1", "live", "h2"), steps(self.solve(backup_node="h2")))

    def test_servers_with_the_fewest_hosts_leave_first(self):
        self.hosts = [host("h1"), host("h2", 4, zone="z"), host("h3")]
        self.servers = [server("s1", "h1", 3), server("s2", "h1", 2), server("s3", "h1", 4)]
        self.servers[1] = dataclasses.replace(self.servers[1], pinned_az="z")
        names = [name for name, _, _ in steps(self.solve())]
        self.assertEqual(["h1", "s2", "s3", "s1"], names)

    def test_hosts_without_work_are_enabled_if_no_other_takes_a_server(self):
        idle = {"status": "disabled", "disabled_reason": "watcher_disabled"}
        self.hosts += [host("small", 1, **idle), host("large", **idle), host("spare", **idle)]
        self.change_host(2, status="disabled", disabled_reason="broken")
        solution = self.solve()
        self.assertEqual(
            [("large", "enabled", None), ("h1", "disabled", None)], steps(solution)[:2]
        )
        self.assertEqual({"s1", "s2", "s3"}, {name for name, _, _ in steps(solution)[2:]})
        self.assertEqual("", solution.unmet)
        self.change_host(2, status="enabled")
        self.assertNotIn("enabled", [what for _, what, _ in steps(self.solve())])

    def test_hosts_that_help_nobody_stay_disabled(self):
        idle = {"status": "disabled", "disabled_reason": "watcher_disabled"}
        self.hosts = [host("h1"), host("small", 1, **idle), host("off", **idle, state="down")]
        self.servers = [server("s1", "h1", 3)]
        solution = self.solve()
        self.assertEqual([("h1", "disabled", None)], steps(solution))
        self.assertEqual([undone.NO_HOST], [each.reason for each in solution.undone])

    def test_an_empty_host(self):
        self.assertEqual([("h3", "disabled", None)], steps(self.solve(node="h3")))

    def test_a_host_in_maintenance_is_not_disabled_again(self):
        self.change_host(0, status="disabled", disabled_reason="watcher_maintaining")
        self.assertEqual(3, len(steps(self.solve())))
        self.servers = []
        self.assertEqual([], steps(self.solve(backup_node="h2")))

    def test_servers_of_a_host_that_is_down_cannot_leave(self):
        self.change_host(0, state="down")
        self.assertEqual([("h1", "disabled", None)], steps(self.solve()))
        stopping = {"disable_live_migration": True, "disable_cold_migration": True}
        self.assertEqual([("h1", "disabled", None)], steps(self.solve(**stopping)))

    def test_hosts_that_are_not_there(self):
        error = self.assertRaises(NotFound, self.solve, node="h9")
        self.assertIn("maintenance_node", str(error))
        error = self.assertRaises(NotFound, self.solve, backup_node="h9")
        self.assertIn("backup_node", str(error))
        self.assertRaises(Invalid, self.solve, backup_node="h1")

    def test_parameters(self):
        self.assertRaises(Invalid, schemas.parameters, HostMaintenance.schema, {})

    @settings(max_examples=50, deadline=None)
    @given(checker.drawn_clusters(), st.booleans(), st.booleans(), st.data())
    def test_rules(self, cluster, no_live, no_cold, data):
        names = [each.hostname for each in cluster.hosts]
        parameters = {"disable_live_migration": no_live, "disable_cold_migration": no_cold}
        node = data.draw(st.sampled_from(names))
        backup = data.draw(st.sampled_from([None, *names]))
        if backup not in (None, node):
            parameters["backup_node"] = backup
        model = cluster.model
        solution = solve(model, node, **parameters)
        # Servers may leave their zone for a backup host that a person has named.
        self.assertEqual([], checker.faults(solution, model.free_to_leave_zones))
        for action in solution.actions:
            self.assertEqual(node, action.input_parameters.get("source_node", node))
        self.assertEqual(solution, solve(model, node, **parameters))
