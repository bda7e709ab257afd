# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
from hypothesis import given, settings

from watcher.cloud.compute import Aggregate, ServerGroup
from watcher.decision_engine.solution import SolutionBuilder
from watcher.model.compute import ComputeModel
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import checker
from watcher.tests.unit.decision_engine.clusters import host, server, uid


class CheckerTest(TestCase):
    """Each fault is found, and a plan without any has none."""

    def setUp(self):
        super().setUp()
        self.hosts = [host("h1", 4), host("h2", 6), host("h3", 4)]
        self.servers = [server("s1", "h1", 2), server("s2", "h2", 2), server("s3", "h2", 1)]
        self.groups, self.excluded = [], set()

    def change_host(self, number, **values):
        self.hosts[number] = dataclasses.replace(self.hosts[number], **values)

    def change_server(self, number, **values):
        self.servers[number] = dataclasses.replace(self.servers[number], **values)

    @property
    def model(self):
        model = ComputeModel.build(self.hosts, self.servers, self.groups)
        movable = np.array([each.name not in self.excluded for each in model.servers])
        return dataclasses.replace(model, movable=movable)

    def plan(self, *steps):
        """Steps are (server, host), a host to disable, or (host,) to enable."""
        hosts = {each.hostname: each for each in self.hosts}
        servers = {each.name: each for each in self.servers}
        solution = SolutionBuilder()
        for step in steps:
            if isinstance(step, str):
                solution.disable(hosts[step], "watcher_disabled", "empty")
            elif len(step) == 1:
                solution.enable(hosts[step[0]], "needed")
            else:
                destination = step[1] and hosts.get(step[1], host(step[1]))
                solution.migrate(servers[step[0]], destination, "because")
        return solution.build()

    def assert_found(self, what, *steps):
        found = checker.faults(self.plan(*steps), self.model)
        self.assertEqual(1, len(found), found)
        self.assertIn(what, found[0])

    def assert_fine(self, *steps):
        self.assertEqual([], checker.faults(self.plan(*steps), self.model))

    def test_a_good_plan(self):
        self.assert_fine(("s2", "h1"), ("s3", "h3"), "h2")
        self.assertEqual(
            [], checker.half_emptied(self.plan(("s2", "h1"), ("s3", "h3")), self.model)
        )

    def test_half_a_host(self):
        self.assertEqual(["h2"], checker.half_emptied(self.plan(("s2", "h1")), self.model))

    def test_room(self):
        self.change_server(2, vcpus=3)
        self.assert_found("would hold 5", ("s3", "h1"))
        self.assert_fine(("s1", "h3"), ("s3", "h1"))
        self.change_host(0, vcpus_reserved=1, vcpu_ratio=2.0)
        self.assert_fine(("s3", "h1"))
        self.change_host(0, vcpus_reserved=2)
        self.assert_found("has 4.0", ("s3", "h1"))

    def test_room_for_memory_and_disk(self):
        self.change_server(1, memory_mb=9901)
        self.assert_found("would hold 10001", ("s2", "h1"))
        self.change_server(1, memory_mb=100, disk_gb=1000)
        self.assert_found("would hold 1001", ("s2", "h1"))

    def test_hosts_that_take_nothing(self):
        for change in ({"state": "down"}, {"status": "disabled"}):
            self.change_host(2, **{"state": "up", "status": "enabled"} | change)
            self.assert_found("takes no servers", ("s1", "h3"))
        self.assert_fine(("h3",), ("s1", "h3"))

    def test_a_host_that_the_plan_disables(self):
        self.assert_found("takes no servers", ("s1", "h3"), "h3")

    def test_service_states_that_change_nothing(self):
        self.assert_found("enabled already", ("h1",))
        self.change_host(0, status="disabled", disabled_reason="watcher_disabled")
        self.assert_found("disabled already", "h1")

    def test_servers_that_must_stay(self):
        for change in ({"locked": True}, {"task_state": "migrating"}):
            self.change_server(0, **{"locked": False, "task_state": None} | change)
            self.assert_found("must stay", ("s1", "h2"))
        self.change_server(0, task_state=None)
        self.excluded.add("s1")
        self.assert_found("must stay", ("s1", "h2"))

    def test_states(self):
        for state in ("error", "shelved", "building"):
            self.change_server(0, state=state)
            self.assert_found("no live migration", ("s1", "h2"))
        self.change_server(0, state="paused")
        self.assert_fine(("s1", "h2"))
        self.change_server(0, state="stopped")
        self.assert_fine(("s1", "h2"))

    def test_a_source_that_is_down(self):
        self.change_host(0, state="down")
        self.assert_found("which is down", ("s1", "h2"))

    def test_twice(self):
        found = checker.faults(self.plan(("s1", "h2"), ("s1", "h3")), self.model)
        self.assertIn("s1 moves twice", found)

    def test_nowhere(self):
        self.assert_found("is on h1 already", ("s1", "h1"))
        self.assert_found("out of scope", ("s1", "h9"))
        self.assert_fine(("s1", None))

    def test_zones(self):
        self.change_host(1, zone="az1")
        self.change_server(0, pinned_az="az1")
        self.assert_fine(("s1", "h2"))
        self.assert_found("must be in az1", ("s1", "h3"))

    def test_aggregates(self):
        self.change_host(1, aggregates=[Aggregate(1, "a", {"disk": "ssd,nvme"})])
        for wanted in ("ssd", "<or> ssd <or> hdd"):
            self.change_server(0, extra_specs={f"{checker.SPEC}disk": wanted})
            self.assert_fine(("s1", "h2"))
            self.assert_found("s1 needs", ("s1", "h3"))

    def test_tenants(self):
        self.change_host(1, aggregates=[Aggregate(1, "a", {"filter_tenant_id_2": "p1, p2"})])
        self.change_server(0, project_id="p2")
        self.assert_fine(("s1", "h2"))
        self.change_server(0, project_id="p3")
        self.assert_found("reserved", ("s1", "h2"))

    def test_groups(self):
        members = [uid("s1"), uid("s2")]
        self.groups = [ServerGroup(uid("g"), "anti-affinity", members)]
        self.assert_found("too close", ("s1", "h2"))
        self.assert_fine(("s1", "h3"))
        self.groups = [ServerGroup(uid("g"), "anti-affinity", members, 2)]
        self.assert_fine(("s1", "h2"))
        self.groups = [ServerGroup(uid("g"), "affinity", members)]
        self.assert_found("group behind", ("s1", "h3"))
        self.groups = [ServerGroup(uid("g"), "soft-anti-affinity", members)]
        self.assert_fine(("s1", "h2"))

    def test_reasons(self):
        solution = SolutionBuilder()
        solution.migrate(self.servers[0], self.hosts[1])
        self.assertEqual(["migrate has no reason"], checker.faults(solution.build(), self.model))

    @settings(max_examples=20, deadline=None)
    @given(checker.drawn_clusters())
    def test_doing_nothing_is_no_fault(self, cluster):
        self.assertEqual([], checker.faults(SolutionBuilder().build(), cluster.model))
