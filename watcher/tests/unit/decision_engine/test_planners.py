# SPDX-License-Identifier: Apache-2.0
import types
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.cloud.compute import ServerGroup
from watcher.common.errors import Invalid
from watcher.decision_engine.planners import (
    NodeResourceConsolidationPlanner,
    WeightPlanner,
    WorkloadStabilizationPlanner,
)
from watcher.decision_engine.solution import SolutionBuilder
from watcher.model import plan_checker
from watcher.model.plan_checker import Cluster
from watcher.model.whatif import WhatIf
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import checker, clusters

HOSTS = st.sampled_from("abcd")


def options(**values):
    defaults = {
        "weights": {"nop": 3, "sleep": 2, "migrate": 1, "resize": 1},
        "parallelization": {"migrate": 2, "resize": 2},
        "migrations_per_host": 2,
    }
    return types.SimpleNamespace(**(defaults | values))


def move(number, source, destination):
    return (
        "migrate",
        f"server-{number}",
        {"source_node": source, "destination_node": destination},
    )


def solution(*steps):
    builder = SolutionBuilder()
    for kind, resource, parameters in steps:
        builder.add(kind, resource, **parameters)
    return builder.build()


def shape(planned):
    """(type, positions of the parents) of each action, in order."""
    position = {action.uuid: number for number, action in enumerate(planned)}
    return [
        (action.action_type, sorted(position[parent] for parent in action.parents))
        for action in planned
    ]


def ancestors(planned):
    """For each action's position, the positions of all that it waits for."""
    position = {action.uuid: number for number, action in enumerate(planned)}
    before = []
    for action in planned:
        known = set()
        for parent in action.parents:
            known |= {position[parent]} | before[position[parent]]
        before.append(known)
    return before


def switch(host, state):
    return ("change_nova_service_state", host, {"state": state, "resource_name": host})


def switch_late(host):
    parameters = {"state": "disabled", "resource_name": host, "only_if_empty": True}
    return ("change_nova_service_state", host, parameters)


SWITCHES = {"change_nova_service_state": 5, "migrate": 3, "sleep": 1}

moves = st.lists(st.tuples(HOSTS, HOSTS).filter(lambda pair: pair[0] != pair[1]), max_size=12)


def drawn(pairs):
    return solution(*(move(number, *pair) for number, pair in enumerate(pairs)))


class WeightTest(TestCase):
    def plan(self, *steps, **values):
        return WeightPlanner(options(**values)).plan(solution(*steps))

    def test_types_come_by_weight_and_a_type_in_the_order_of_the_solution(self):
        planned = self.plan(
            ("sleep", None, {"duration": 1}),
            ("nop", None, {"message": "a"}),
            ("nop", None, {"message": "b"}),
        )
        self.assertEqual([("nop", []), ("nop", [0]), ("sleep", [1])], shape(planned))
        self.assertEqual(["a", "b"], [each.input_parameters["message"] for each in planned[:2]])

    def test_some_of_a_type_run_at_once(self):
        self.assertEqual(
            [("migrate", []), ("migrate", []), ("migrate", [0]), ("migrate", [1])],
            shape(
                self.plan(
                    move(1, "a", "b"), move(2, "c", "d"), move(3, "e", "f"), move(4, "g", "h")
                )
            ),
        )

    def test_all_lanes_end_before_the_next_weight_begins(self):
        planned = self.plan(
            move(1, "a", "b"),
            move(2, "c", "d"),
            ("sleep", None, {"duration": 1}),
            ("sleep", None, {"duration": 2}),
            weights={"migrate": 9, "sleep": 1},
            parallelization={"migrate": 2, "sleep": 2},
        )
        self.assertEqual(
            [("migrate", []), ("migrate", []), ("sleep", [0, 1]), ("sleep", [0, 1])],
            shape(planned),
        )

    def test_types_of_equal_weight_run_side_by_side(self):
        planned = self.plan(
            ("nop", None, {"message": "a"}),
            move(1, "a", "b"),
            ("resize", "server-9", {"flavor": "x"}),
        )
        self.assertEqual([("nop", []), ("migrate", [0]), ("resize", [0])], shape(planned))

    def test_the_same_server_is_worked_on_by_one_action_at_a_time(self):
        planned = self.plan(move(1, "a", "b"), ("resize", "server-1", {"flavor": "x"}))
        self.assertEqual([("migrate", []), ("resize", [0])], shape(planned))

    def test_a_host_bears_so_many_at_once(self):
        planned = self.plan(
            *(move(number, "a", f"to-{number}") for number in range(4)),
            parallelization={"migrate": 9},
        )
        self.assertEqual([[], [], [0], [1]], [parents for _, parents in shape(planned)])

    def test_a_move_waits_for_the_moves_that_make_room_for_it(self):
        planned = self.plan(
            move(1, "a", "x"),
            move(2, "a", "y"),
            move(3, "b", "a"),
            parallelization={"migrate": 9},
            migrations_per_host=9,
        )
        self.assertEqual([[], [], [0, 1]], [parents for _, parents in shape(planned)])

    def test_the_scheduler_picks_hosts_when_those_that_are_named_have_their_servers(self):
        steps = [move(1, "a", "b"), move(2, "a", "c"), move(3, "a", ""), move(4, "a", "")]
        planned = WeightPlanner(options(migrations_per_host=9)).plan(solution(*steps))
        self.assertEqual([set(), set(), {0, 1}, {0, 1}], [set(each[1]) for each in shape(planned)])

    def test_no_parallelization_is_one_at_a_time(self):
        planned = self.plan(move(1, "a", "b"), move(2, "c", "d"), parallelization={"migrate": 0})
        self.assertEqual([("migrate", []), ("migrate", [0])], shape(planned))

    def test_a_host_is_disabled_when_its_servers_have_left(self):
        planned = self.plan(
            switch_late("b"),
            switch_late("a"),
            switch_late("spare"),
            switch("sleeper", "enabled"),
            move(1, "a", "c"),
            move(2, "b", "c"),
            move(3, "a", "c"),
            move(4, "d", "c"),
            ("sleep", None, {"duration": 1}),
            weights=SWITCHES,
            parallelization={"migrate": 4},
            migrations_per_host=4,
        )
        names = [action.input_parameters.get("resource_name") for action in planned]
        self.assertEqual(["sleeper", *[None] * 4, "b", "a", "spare", None], names)
        before = ancestors(planned)
        self.assertEqual({0, 2}, before[5])
        self.assertEqual({0, 1, 2, 3, 5}, before[6])
        self.assertEqual({0, 1, 2, 3, 5, 6}, before[7])
        self.assertEqual(set(range(8)), before[8])

    def test_a_host_without_servers_is_disabled_when_all_others_have_left(self):
        planned = self.plan(
            switch_late("spare"), move(1, "a", "c"), move(2, "b", "c"), weights=SWITCHES
        )
        self.assertEqual(
            [("migrate", []), ("migrate", []), ("change_nova_service_state", [0, 1])],
            shape(planned),
        )

    def test_a_host_that_is_disabled_first(self):
        planned = self.plan(move(1, "a", "b"), switch("a", "disabled"), weights=SWITCHES)
        self.assertEqual([("change_nova_service_state", []), ("migrate", [0])], shape(planned))

    @given(moves, st.integers(1, 4), st.integers(1, 3))
    def test_no_host_is_disabled_before_the_last_move_from_it(self, pairs, at_once, per_host):
        steps = [*map(switch_late, "abcd"), *(move(n, *pair) for n, pair in enumerate(pairs))]
        values = {"weights": SWITCHES, "migrations_per_host": per_host}
        for planner in (WeightPlanner, WorkloadStabilizationPlanner):
            planned = planner(options(parallelization={"migrate": at_once}, **values)).plan(
                solution(*steps)
            )
            for action, before in zip(planned, ancestors(planned), strict=True):
                host = action.input_parameters.get("resource_name")
                left = {
                    number
                    for number, other in enumerate(planned)
                    if host and other.input_parameters.get("source_node") == host
                }
                self.assertLessEqual(left, before)

    def test_an_unknown_type_is_named(self):
        error = self.assertRaises(Invalid, self.plan, ("dance", None, {}))
        self.assertIn("'dance'", str(error))

    def test_free_form_parameters_are_no_hosts(self):
        planned = self.plan(("migrate", None, {"source_node": ["a"], "destination_node": None}))
        self.assertEqual([("migrate", [])], shape(planned))

    def test_an_empty_solution_is_an_empty_plan(self):
        self.assertEqual([], self.plan())

    def test_a_large_plan_has_few_parents(self):
        steps = [move(number, f"h{number % 50}", f"h{number % 47 + 50}") for number in range(5000)]
        planned = self.plan(*steps)
        self.assertEqual(5000, len(planned))
        self.assertLessEqual(max(len(action.parents) for action in planned), 5)

    @given(moves, st.integers(1, 4), st.integers(1, 3))
    def test_limits_and_order_hold_whatever_moves(self, pairs, at_once, per_host):
        planned = WeightPlanner(
            options(parallelization={"migrate": at_once}, migrations_per_host=per_host)
        ).plan(drawn(pairs))
        self.check(planned, pairs, per_host)
        self.assertFalse(some_at_once(planned, range(len(planned)), at_once + 1))

    def check(self, planned, pairs, per_host):
        before = ancestors(planned)
        for number, (_, destination) in enumerate(pairs):
            left = {n for n, (source, _) in enumerate(pairs[:number]) if source == destination}
            self.assertLessEqual(left, before[number])
        for host in "abcd":
            touching = [number for number, pair in enumerate(pairs) if host in pair]
            self.assertFalse(some_at_once(planned, touching, per_host + 1))


def some_at_once(planned, chosen, number):
    """Whether any *number* of the *chosen* actions may run at the same time."""
    before = ancestors(planned)
    return any(
        all(one not in before[other] for one, other in combinations(crowd, 2))
        for crowd in combinations(chosen, number)
    )


class WorkloadStabilizationTest(TestCase):
    def plan(self, *steps, **values):
        return WorkloadStabilizationPlanner(options(**values)).plan(solution(*steps))

    def test_migrations_between_other_hosts_do_not_wait(self):
        planned = self.plan(*(move(number, f"a{number}", f"b{number}") for number in range(9)))
        self.assertEqual([("migrate", [])] * 9, shape(planned))

    def test_types_are_listed_by_weight_and_do_not_wait_for_each_other(self):
        planned = self.plan(move(1, "a", "b"), ("nop", None, {"message": "a"}))
        self.assertEqual([("nop", []), ("migrate", [])], shape(planned))

    def test_a_resize_waits_for_the_migration_of_its_server(self):
        planned = self.plan(
            move(1, "a", "b"),
            ("resize", "server-1", {"flavor": "x"}),
            ("resize", "server-2", {"flavor": "x"}),
        )
        self.assertEqual([("migrate", []), ("resize", [0]), ("resize", [])], shape(planned))

    def test_an_unknown_type_is_named(self):
        error = self.assertRaises(Invalid, self.plan, ("volume_migrate", "v", {}))
        self.assertIn("'volume_migrate'", str(error))

    @given(moves, st.integers(1, 3))
    def test_limits_and_order_hold_whatever_moves(self, pairs, per_host):
        planned = WorkloadStabilizationPlanner(options(migrations_per_host=per_host)).plan(
            drawn(pairs)
        )
        WeightTest.check(self, planned, pairs, per_host)


class NodeResourceConsolidationTest(TestCase):
    def plan(self, *steps, **values):
        return NodeResourceConsolidationPlanner(options(**values)).plan(solution(*steps))

    def test_hosts_are_disabled_then_emptied_then_enabled(self):
        planned = self.plan(
            switch("h1", "enabled"),
            move(1, "a", "x"),
            move(2, "b", "y"),
            switch("a", "disabled"),
            move(3, "a", "y"),
            switch("b", "disabled"),
            move(4, "b", "x"),
        )
        self.assertEqual(
            [
                ("change_nova_service_state", []),
                ("change_nova_service_state", []),
                ("migrate", [0, 1]),
                ("migrate", [0, 1]),
                ("migrate", [2]),
                ("migrate", [3]),
                ("change_nova_service_state", [4, 5]),
            ],
            shape(planned),
        )
        names = [action.input_parameters["resource_id"] for action in planned]
        self.assertEqual(["a", "b", "server-1", "server-2", "server-3", "server-4", "h1"], names)

    def test_a_host_that_takes_servers_is_enabled_before(self):
        builder = SolutionBuilder()
        for name in ("a", "b"):
            builder.enable(clusters.host(name))
        for destination in (clusters.host("a"), None):
            builder.migrate(clusters.server("s", "c"), destination)
            planned = NodeResourceConsolidationPlanner(options()).plan(builder.build())
            names = [each.input_parameters["resource_name"] for each in planned]
            # Where the scheduler picks, it may pick each of them.
            self.assertEqual(["a", "s", "b"] if destination else ["a", "b", "s", "s"], names)

    def test_without_migrations_hosts_are_enabled_after_the_others_are_disabled(self):
        planned = self.plan(switch("a", "enabled"), switch("b", "disabled"))
        self.assertEqual(["b", "a"], [each.input_parameters["resource_id"] for each in planned])
        self.assertEqual([[], [0]], [parents for _, parents in shape(planned)])

    def test_a_host_is_switched_by_one_action_at_a_time(self):
        planned = self.plan(switch("a", "enabled"), move(1, "b", "c"), switch("a", "disabled"))
        self.assertEqual([[], [0], [0, 1]], [parents for _, parents in shape(planned)])

    def test_an_unknown_type_is_named(self):
        error = self.assertRaises(Invalid, self.plan, ("nop", None, {"message": "x"}))
        self.assertIn("'nop'", str(error))

    def test_an_empty_solution_is_an_empty_plan(self):
        self.assertEqual([], self.plan())

    @given(moves, st.integers(1, 3))
    def test_limits_and_order_hold_whatever_moves(self, pairs, per_host):
        planned = NodeResourceConsolidationPlanner(options(migrations_per_host=per_host)).plan(
            drawn(pairs)
        )
        WeightTest.check(self, planned, pairs, per_host)
        before = ancestors(planned)
        for number, (source, _) in enumerate(pairs):
            earlier = {n for n, (other, _) in enumerate(pairs[:number]) if other == source}
            self.assertLessEqual(earlier, before[number])


class ProvenTest(TestCase):
    """What is right as a sequence is right in every order that the plan allows."""

    PLANNERS = (WeightPlanner, WorkloadStabilizationPlanner, NodeResourceConsolidationPlanner)

    @given(checker.drawn_clusters(hosts=4, servers=12), st.randoms(use_true_random=False))
    @settings(max_examples=60, deadline=None)
    def test_plans_are_safe(self, cluster, chance):
        model = cluster.model
        what_if, builder = WhatIf(model), SolutionBuilder()
        for _ in range(8):
            server = chance.randrange(len(model.servers)) if model.servers else 0
            hosts = what_if.hosts_for(server).nonzero()[0].tolist() if model.servers else []
            if hosts:
                to = chance.choice(hosts)
                builder.migrate(model.servers[server], model.hosts[to])
                what_if.move(server, to)
        cloud = Cluster(
            {each.hostname: each for each in model.hosts},
            {each.uuid: each for each in model.servers},
            model.groups,
        )
        for planner in self.PLANNERS:
            planned = planner(options(parallelization={"migrate": 9})).plan(
                builder.build(), model.groups
            )
            self.assertEqual([], plan_checker.faults(planned, cloud, 2), planner)

    def test_members_of_a_group_wait_for_each_other(self):
        steps = [move(number, f"from-{number}", f"to-{number}") for number in range(3)]
        groups = [ServerGroup("g", "anti-affinity", ["server-0", "server-2", "gone"])]
        soft = [ServerGroup("g", "soft-anti-affinity", ["server-0", "server-1"])]
        for planner in self.PLANNERS:
            made = planner(options(parallelization={"migrate": 9}))
            planned = made.plan(solution(*steps), [*groups, *soft])
            self.assertEqual([[], [], [0]], [parents for _, parents in shape(planned)])


class OptionsTest(TestCase):
    def test_defaults_cover_the_types_of_the_contract(self):
        weight = self.conf["watcher_planners.weight"]
        self.assertEqual(70, weight.weights["nop"])
        self.assertEqual(2, weight.parallelization["migrate"])
        self.assertEqual(weight.weights.keys(), weight.parallelization.keys())
        self.assertEqual(5, self.conf["watcher_planners.workload_stabilization"].weights["nop"])

    def test_weights_from_a_file_are_numbers(self):
        self.conf.set_override(
            "weights", "nop:9,sleep:10,migrate:100", group="watcher_planners.weight"
        )
        planned = WeightPlanner(self.conf["watcher_planners.weight"]).plan(
            solution(
                ("nop", None, {"message": "a"}),
                ("sleep", None, {"duration": 1}),
                move(1, "a", "b"),
            )
        )
        self.assertEqual(["migrate", "sleep", "nop"], [each.action_type for each in planned])
