# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.cloud.compute import Aggregate, ServerGroup
from watcher.cloud.needs import Needs
from watcher.decision_engine.solution import SolutionBuilder
from watcher.model import undone
from watcher.model.bounds import Bounds
from watcher.model.compute import ComputeModel
from watcher.model.whatif import Move, WhatIf
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import checker
from watcher.tests.unit.decision_engine.clusters import host, server, uid


def solution(model, moves):
    builder = SolutionBuilder()
    for server_, source, destination in moves:
        one = dataclasses.replace(model.servers[server_], host=model.hosts[source].hostname)
        builder.migrate(one, model.hosts[destination], "a test")
    return builder.build()


class WhatIfTest(TestCase):
    def setUp(self):
        super().setUp()
        self.hosts = [host("h1", 4), host("h2", 4), host("h3", 4)]
        self.servers = [server("s1", "h1", 3), server("s2", "h2", 2), server("s3", "h2", 1)]

    def test_room_goes_and_comes_with_servers(self):
        what_if = WhatIf(ComputeModel.build(self.hosts, self.servers))
        self.assertEqual([False, False, True], what_if.hosts_for(0).tolist())
        self.assertEqual([False, False, True], what_if.servers_for(0).tolist())
        what_if.move(0, 2)
        self.assertEqual([4, 1, 1], what_if.free[:, 0].tolist())
        self.assertEqual([False, True, True], what_if.servers_for(0).tolist())
        self.assertEqual([2, 1, 1], what_if.placement.tolist())
        self.assertEqual([Move(0, 0, 2)], what_if.moves)

    def test_undone_moves_leave_no_trace(self):
        model = ComputeModel.build(self.hosts, self.servers)
        what_if, untouched = WhatIf(model), WhatIf(model)
        what_if.move(0, 2)
        what_if.move(1, 0)
        what_if.undo(1)
        self.assertEqual([Move(0, 0, 2)], what_if.moves)
        what_if.undo(0)
        for number in range(3):
            self.assertEqual(
                untouched.hosts_for(number).tolist(), what_if.hosts_for(number).tolist()
            )

    def test_bounds_end_what_is_possible(self):
        model = ComputeModel.build(self.hosts, self.servers)
        for bounds in (Bounds(actions=1), Bounds(memory_mb=100)):
            what_if = WhatIf(model, bounds=bounds)
            self.assertTrue(what_if.hosts_for(2).any())
            what_if.move(0, 2)
            self.assertFalse(what_if.hosts_for(2).any())
            self.assertFalse(what_if.servers_for(0).any())
            self.assertEqual(undone.BOUND, what_if.why_not(2))
            what_if.undo(0)
            self.assertTrue(what_if.servers_for(0).any())

    def test_lifted_bounds_show_what_waits(self):
        what_if = WhatIf(ComputeModel.build(self.hosts, self.servers), bounds=Bounds(actions=1))
        self.assertTrue(what_if.is_bound())
        what_if.move(0, 2)
        what_if.bounds = Bounds()
        self.assertFalse(what_if.is_bound())
        self.assertTrue(what_if.hosts_for(2).any())
        what_if.move(2, 2)
        (waits,) = what_if.waiting(1)
        self.assertEqual((undone.BOUND, ("s3",)), (waits.reason, waits.examples))

    def test_why_each_server_stays(self):
        zones = [dataclasses.replace(each, zone="one") for each in self.hosts]
        zones.append(host("h4", 4, zone="two", status="disabled"))
        self.servers += [
            server("busy", "h1", 0, task_state="migrating"),
            server("encrypted", "h1", 0, live=False),
            server("fixed", "h1", 0, needs=Needs.of(0, {"accel:device_profile": "fpga"})),
            server("gone", "h1", 0, state="error"),
            server("staying", "h1", 0),
            server("kept", "h1", 0),
            server("large", "h1", 9),
            server("locked", "h1", 0, locked=True),
            server("pinned", "h1", 0, pinned_az="two"),
            server("x-apart", "h1", 0),
            server("y-apart", "h2", 0),
            server("z-apart", "h3", 0),
        ]
        members = [uid(name) for name in ("x-apart", "y-apart", "z-apart")]
        groups = [ServerGroup(uid("g"), "anti-affinity", members)]
        model = ComputeModel.build(zones, self.servers, groups)
        model = dataclasses.replace(model, staying={uid("staying"): undone.RESTING})
        what_if = WhatIf(model)
        what_if.keep([model.server_index[uid("kept")]], undone.NOT_MEASURED)
        expected = {
            "busy": undone.BUSY,
            "encrypted": undone.NOT_LIVE,
            "fixed": undone.FIXED,
            "gone": undone.STATE,
            "staying": undone.RESTING,
            "kept": undone.NOT_MEASURED,
            "large": undone.ROOM,
            "locked": undone.LOCKED,
            "pinned": undone.PLACE,
            "s1": undone.NO_GAIN,
            "x-apart": undone.GROUP,
        }
        for name, reason in expected.items():
            self.assertEqual(reason, what_if.why_not(model.server_index[uid(name)]), name)
        kinds = {each.reason: each.count for each in what_if.explain(range(len(model.servers)))}
        self.assertEqual(3, kinds[undone.GROUP])

    def test_soft_deleted_members_count(self):
        for policy, most, fit in (
            ("anti-affinity", 1, [False, False, True]),
            ("anti-affinity", 2, [False, True, True]),
            ("soft-anti-affinity", 1, [False, True, True]),
        ):
            group = ServerGroup(uid("g"), policy, [uid("s1")], most, ["h2", "unknown"])
            what_if = WhatIf(ComputeModel.build(self.hosts, [server("s1", "h1", 1)], [group]))
            self.assertEqual(fit, what_if.hosts_for(0).tolist())

    def test_no_member_follows_another_to_the_host_that_it_leaves(self):
        """Nova 33 refuses that: its scheduler counts the other one there for up to two minutes."""
        servers = [server("s1", "h1", 1), server("s2", "h2", 1)]
        for policy, fit in ("anti-affinity", False), ("soft-anti-affinity", True):
            group = ServerGroup(uid("g"), policy, [uid("s1"), uid("s2")])
            what_if = WhatIf(ComputeModel.build(self.hosts, servers, [group]))
            what_if.move(0, 2)
            self.assertEqual([fit, False, False], what_if.hosts_for(1).tolist())
            self.assertEqual(fit, what_if.still_takes(0, 1))
            what_if.undo(0)
            self.assertEqual([False, False, True], what_if.hosts_for(1).tolist())

    def test_why_servers_that_only_placement_can_judge_stay(self):
        """One of them may move to a host, so the host is no reason for the others."""
        needs = Needs(unjudged=("hw:numa_nodes",))
        servers = [server(name, "h1", needs=needs) for name in ("s1", "s2")]
        what_if = WhatIf(ComputeModel.build([host("h1"), host("h2"), host("h3", 0)], servers))
        self.assertEqual(undone.NO_GAIN, what_if.why_not(1, 1))
        self.assertEqual(undone.ROOM, what_if.why_not(1, 2))
        what_if.move(0, 1)
        self.assertEqual(undone.ONE_AT_A_TIME, what_if.why_not(1))

    def test_something_measured_is_a_limit_as_well(self):
        use = np.array([[1.0], [2.0], [3.0]])
        room = np.array([[2.5], [0.0], [1.0]])
        what_if = WhatIf(ComputeModel.build(self.hosts, self.servers), use, room)
        self.assertEqual([False, False, True], what_if.hosts_for(0).tolist())
        self.assertFalse(what_if.hosts_for(2).any())
        what_if.move(0, 2)
        self.assertEqual([3.5, 0.0, 0.0], what_if.free[:, 4].tolist())
        self.assertEqual([True, False, False], what_if.hosts_for(2).tolist())

    def test_a_host_may_lack_what_a_server_does_not_need(self):
        use, room = np.array([[0.0], [0.5], [0.5]]), np.array([[1.0], [1.0], [-1.0]])
        what_if = WhatIf(ComputeModel.build(self.hosts, self.servers), use, room)
        self.assertEqual([False, False, True], what_if.hosts_for(0).tolist())
        self.assertEqual([True, False, False], what_if.hosts_for(2).tolist())

    def test_a_disabled_host_takes_nothing(self):
        what_if = WhatIf(ComputeModel.build(self.hosts, self.servers))
        what_if.takers[2] = False
        self.assertFalse(what_if.servers_for(2).any())
        self.assertFalse(what_if.hosts_for(0).any())

    def test_members_out_of_scope_hold_a_group_together(self):
        group = ServerGroup(uid("g"), "affinity", [uid("s1"), uid("elsewhere")])
        what_if = WhatIf(ComputeModel.build(self.hosts, self.servers, [group]))
        self.assertEqual([False, True, True], what_if.leavers.tolist())

    def test_the_only_member_of_an_affinity_group_stays(self):
        """For nova the hosts of the group are those of its members: its own host alone."""
        group = ServerGroup(uid("g"), "affinity", [uid("s1")])
        what_if = WhatIf(ComputeModel.build(self.hosts, self.servers, [group]))
        self.assertEqual(undone.AFFINITY, what_if.why_not(0))

    def test_members_wait_for_one_that_is_between_two_hosts(self):
        """nova counts it on both, and does not show where it came from."""
        for change in ({"state": "resized"}, {"task_state": "migrating"}):
            for policy, reason in (
                ("anti-affinity", undone.UNSETTLED),
                ("soft-anti-affinity", undone.NO_GAIN),
            ):
                group = ServerGroup(uid("g"), policy, [uid("s1"), uid("s2")])
                servers = [self.servers[0], dataclasses.replace(self.servers[1], **change)]
                what_if = WhatIf(ComputeModel.build(self.hosts, servers, [group]))
                self.assertEqual(reason, what_if.why_not(0))

    def test_a_running_server_moves_to_no_other_and_no_older_hypervisor(self):
        kinds = (("QEMU", 8), ("QEMU", 7), ("QEMU", 9), ("VMware", 9))
        hosts = [
            host(f"h{number}", hypervisor_type=kind, hypervisor_version=version)
            for number, (kind, version) in enumerate(kinds)
        ]
        for state, expected in (
            ("active", [False, False, True, False]),
            ("paused", [False, False, True, False]),
            ("stopped", [False, True, True, True]),
        ):
            what_if = WhatIf(ComputeModel.build(hosts, [server("s", "h0", state=state)]))
            self.assertEqual(expected, what_if.hosts_for(0).tolist(), state)

    def test_a_running_server_moves_to_no_host_whose_cpu_lacks_what_it_has(self):
        sse, avx = "HW_CPU_X86_SSE42", "HW_CPU_X86_AVX2"
        cpus = ({sse, "FAST", "HW_CPU_X86_AMD_SEV"}, {avx}, {sse}, {sse, avx}, set())
        hosts = [host(f"h{number}", traits=frozenset(each)) for number, each in enumerate(cpus)]
        for state, expected in (
            ("active", [False, False, True, True, False]),
            ("paused", [False, False, True, True, False]),
            ("stopped", [False, True, True, True, True]),
        ):
            what_if = WhatIf(ComputeModel.build(hosts, [server("s", "h0", state=state)]))
            self.assertEqual(expected, what_if.hosts_for(0).tolist(), state)
        what_if = WhatIf(ComputeModel.build(hosts[:2], [server("s", "h0")]))
        self.assertEqual(undone.PLACE, what_if.why_not(0))

    def test_a_server_on_a_host_of_its_project_stays_on_such_hosts(self):
        ours = [Aggregate(1, "a", {"filter_tenant_id": "ours"})]
        both = [Aggregate(2, "b", {"filter_tenant_id": "ours,theirs"})]
        hosts = [host("h0", aggregates=ours), host("h1"), host("h2", aggregates=both)]
        hosts.append(host("h3", aggregates=[*ours, *both]))
        for on, project, expected in (
            ("h0", "ours", [False, False, False, True]),
            ("h1", "ours", [True, False, True, True]),
            ("h2", "ours", [True, True, False, True]),
            ("h0", "theirs", [False, True, True, True]),
        ):
            model = ComputeModel.build(hosts, [server("s", on, project_id=project)])
            self.assertEqual(expected, WhatIf(model).hosts_for(0).tolist(), (on, project))
        model = ComputeModel.build(hosts, [server("s", "h0", project_id="ours")])
        free = WhatIf(model.free_to_leave_zones)
        self.assertEqual([False, True, True, True], free.hosts_for(0).tolist())

    def test_a_server_in_several_groups_that_are_rules_stays(self):
        """Only one group of a server is looked at, and nova has no more."""
        apart = [
            ServerGroup(uid(name), "anti-affinity", [uid("s1"), uid(other)])
            for name, other in (("g", "s2"), ("h", "s3"))
        ]
        what_if = WhatIf(ComputeModel.build(self.hosts, self.servers, apart))
        self.assertEqual([False, True, True], what_if.leavers.tolist())
        self.assertEqual(undone.SEVERAL_GROUPS, what_if.why_not(0))

    def test_a_rule_counts_more_than_a_wish(self):
        servers = [server(name, name.replace("s", "h"), 1) for name in ("s1", "s2", "s3")]
        rule = ServerGroup(uid("g"), "anti-affinity", [uid("s1"), uid("s2")])
        wish = ServerGroup(uid("h"), "soft-affinity", [uid("s1"), uid("s2")])
        for groups in ([rule, wish], [wish, rule]):
            what_if = WhatIf(ComputeModel.build(self.hosts, servers, groups))
            self.assertEqual([False, False, True], what_if.hosts_for(0).tolist())

    def test_an_operator_that_is_not_understood_keeps_a_server_where_it_is(self):
        aggregate = Aggregate(1, "a", {"cores": "8"})
        hosts = [dataclasses.replace(each, aggregates=[aggregate]) for each in self.hosts]
        for value, possible in (("8", True), (">= 4", False)):
            specs = {"aggregate_instance_extra_specs:cores": value}
            servers = [dataclasses.replace(self.servers[0], extra_specs=specs)]
            what_if = WhatIf(ComputeModel.build(hosts, servers))
            self.assertEqual(possible, what_if.hosts_for(0).any())

    def test_each_rule_alone_keeps_a_server_where_it_is(self):
        """s1 could go to h2, which has exactly the room it needs, but for one thing."""
        source, target = host("h1", 4), host("h2", 5, memory_mb=300, disk_gb=3)
        one, other = server("s1", "h1", 3, memory_mb=200, disk_gb=2), server("s2", "h2", 2)
        ssd = {"aggregate_instance_extra_specs:disk": "ssd"}
        restricted = [Aggregate(1, "a", {"filter_tenant_id": "p9"})]
        isolated = [Aggregate(1, "a", {"trait:FAST": "required"})]
        images = [Aggregate(1, "a", {"os_distro": "ubuntu, windows"})]
        debian = Needs.of(3, {}, {"os_distro": "debian"})
        pair = [uid("s1"), uid("s2")]
        for where, change in (
            ("nowhere", {}),
            ("group", {"policy": "anti-affinity"}),
            ("group", {"policy": "affinity"}),
            ("source", {"state": "down"}),
            ("target", {"state": "down"}),
            ("target", {"status": "disabled"}),
            ("target", {"vcpus_reserved": 1}),
            ("target", {"vcpus": 4}),
            ("target", {"vcpu_ratio": 0.9}),
            ("target", {"memory_mb_reserved": 1}),
            ("target", {"memory_ratio": 0.9}),
            ("target", {"disk_gb_reserved": 1}),
            ("target", {"disk_ratio": 0.9}),
            ("target", {"aggregates": restricted}),
            ("target", {"aggregates": isolated, "traits": frozenset({"FAST"})}),
            ("both", {"target": {"aggregates": images}, "server": {"needs": debian}}),
            ("server", {"pinned_az": "elsewhere"}),
            ("server", {"extra_specs": ssd}),
            ("server", {"locked": True}),
            ("server", {"task_state": "migrating"}),
            ("server", {"state": "error"}),
            ("excluded", {}),
        ):
            changed = change if where == "both" else {where: change}
            hosts = [
                dataclasses.replace(source, **changed.get("source", {})),
                dataclasses.replace(target, **changed.get("target", {})),
            ]
            servers = [dataclasses.replace(one, **changed.get("server", {})), other]
            policy = changed.get("group", {}).get("policy", "soft-affinity")
            model = ComputeModel.build(hosts, servers, [ServerGroup(uid("g"), policy, pair)])
            movable = np.array([where != "excluded", True])
            model = dataclasses.replace(model, movable=movable)
            what_if, fine = WhatIf(model), where == "nowhere"
            self.assertEqual(fine, bool(what_if.hosts_for(0)[1]), (where, change))
            self.assertEqual(fine, bool(what_if.servers_for(1)[0]), (where, change))
            found = checker.faults(solution(model, [Move(0, 0, 1)]), model)
            self.assertEqual(fine, not found, (where, change))

    def test_a_server_that_is_not_moved_live_is_released_if_nothing_else_keeps_it(self):
        servers = [
            server("s1", "h1", live=False),
            server("s2", "h1", live=False, locked=True),
            server("s3", "h2", live=False),
            server("s4", "h3", live=False),
        ]
        self.hosts[1] = host("h2", state="down")
        group = ServerGroup(uid("g"), "affinity", [uid("s4")])
        what_if = WhatIf(ComputeModel.build(self.hosts, servers, [group]))
        self.assertFalse(what_if.leavers.any())
        what_if.release(undone.NOT_LIVE)
        self.assertEqual([True, False, False, False], what_if.leavers.tolist())

    def test_a_server_moves_once(self):
        what_if = WhatIf(ComputeModel.build(self.hosts, self.servers))
        what_if.move(2, 2)
        self.assertFalse(what_if.hosts_for(2).any())
        self.assertFalse(what_if.servers_for(0)[2])

    @settings(max_examples=40, deadline=None)
    @given(checker.drawn_clusters(hosts=4, servers=8), st.data())
    def test_it_allows_what_the_checker_allows_and_nothing_else(self, cluster, data):
        model = cluster.model
        what_if = WhatIf(model)
        everything = [np.arange(len(each)) for each in (model.servers, model.hosts)]
        before = np.zeros((len(model.servers), len(model.hosts)), dtype=np.bool_)
        for _ in range(4):
            possible = []
            pairs = what_if.possible_pairs(*everything)
            demand, free = what_if.room()
            self.assertTrue((demand[:, None] <= np.maximum(free, 0)).all(axis=2)[pairs].all())
            for one, there in np.argwhere(before & what_if.leavers[:, None]).tolist():
                self.assertEqual(pairs[one, there], what_if.still_takes(there, one))
            for one in range(len(model.servers)):
                fit = what_if.possible_hosts(one)
                for there in range(len(model.hosts)):
                    move = Move(one, int(what_if.placement[one]), there)
                    found = checker.faults(solution(model, [*what_if.moves, move]), model)
                    self.assertEqual(not found, fit[there], found)
                    self.assertEqual(fit[there], what_if.servers_for(there)[one])
                    self.assertEqual(fit[there], pairs[one, there])
                    if fit[there]:
                        possible.append((one, there))
            if not possible:
                break
            before = pairs
            what_if.move(*data.draw(st.sampled_from(possible)))
            if data.draw(st.integers(0, 3)) == 0:
                what_if.undo(len(what_if.moves) - 1)
                before = np.zeros_like(before)
