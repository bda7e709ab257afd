# SPDX-License-Identifier: Apache-2.0
"""The checker against every execution of small plans, and against plans that are broken."""

import dataclasses
import itertools
import pathlib
import random
import re
from collections.abc import Iterator, Sequence

from watcher.cloud import places
from watcher.cloud.compute import Aggregate, Host, Server, ServerGroup
from watcher.cloud.needs import Needs
from watcher.db.action_plans import PlannedAction
from watcher.model import graphs, plan_checker
from watcher.model.plan_checker import CLOUD, GRAPH, SERVER, Cluster
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine.clusters import host, server, uid

PLANS = 500
"""The benchmark of the checker tries more, by other seeds."""


def migrate(name: str, server: str, source: str, to: str | None, *parents: str) -> PlannedAction:
    parameters = {
        "resource_id": uid(server),
        "source_node": source,
        "destination_node": to,
        "migration_type": "live",
    }
    return PlannedAction(name, "migrate", parameters, parents)


def switch(name: str, host: str, state: str, *parents: str) -> PlannedAction:
    parameters = {"resource_id": uid(host), "resource_name": host, "state": state}
    return PlannedAction(name, "change_nova_service_state", parameters, parents)


def cluster(
    hosts: Sequence[Host], servers: Sequence[Server], groups: Sequence[ServerGroup] = ()
) -> Cluster:
    return Cluster({one.hostname: one for one in hosts}, {one.uuid: one for one in servers}, groups)


class Executions:
    """All executions of a plan: a search through what can be over and under way at once."""

    def __init__(self, actions: Sequence[PlannedAction], cluster: Cluster) -> None:
        self._actions = {action.uuid: action for action in actions}
        self._parents = {
            action.uuid: self._actions.keys() & set(action.parents) for action in actions
        }
        self._cluster = cluster
        start = (
            frozenset[str](),
            frozenset[str](),
            tuple((one.hostname, one.status) for one in cluster.hosts.values()),
            tuple((one.uuid, one.host) for one in cluster.servers.values()),
        )
        self.is_safe = self._search(start)

    def _search(self, start) -> bool:
        seen, waiting = {start}, [start]
        while waiting:
            state = waiting.pop()
            for following in self._following(state):
                if following is None:
                    return False
                if following not in seen:
                    seen.add(following)
                    waiting.append(following)
        return True

    def _following(self, state) -> Iterator:
        over, under_way, statuses, places = state
        for uuid in under_way:
            statuses_then = self._switched(uuid, statuses, False)
            yield over | {uuid}, under_way - {uuid}, statuses_then, self._moved(uuid, places)
        for uuid, action in self._actions.items():
            if uuid in over | under_way or not over >= self._parents[uuid]:
                continue
            may_begin = self._may_remove if action.action_type == "delete" else self._may_begin
            if self._server(uuid) and not may_begin(action, state):
                yield None
            yield over, under_way | {uuid}, self._switched(uuid, statuses, True), places

    def _switched(self, uuid: str, statuses, begins: bool):
        """A host may be disabled from the begin of the action, and enabled from its end."""
        action = self._actions[uuid]
        wanted = action.input_parameters.get("state")
        if wanted is None or (begins and wanted == "enabled"):
            return statuses
        return tuple((dict(statuses) | {action.input_parameters["resource_name"]: wanted}).items())

    def _moved(self, uuid: str, places):
        if self._server(uuid) is None:
            return places
        return tuple((dict(places) | {self._server(uuid): self._to(uuid)}).items())

    def _may_remove(self, action: PlannedAction, state) -> bool:
        """Not while its server moves."""
        _, under_way, _, _ = state
        moved = {self._server(uuid) for uuid in under_way if self._to(uuid)}
        return action.input_parameters["resource_id"] not in moved

    def _may_begin(self, action: PlannedAction, state) -> bool:
        over, under_way, statuses, places = state
        place, left = dict(places), self._left(over)
        arriving = {self._server(uuid): self._to(uuid) for uuid in under_way if self._to(uuid)}
        uuid, to = (
            action.input_parameters["resource_id"],
            action.input_parameters["destination_node"],
        )
        one, end = self._cluster.servers[uuid], self._cluster.hosts.get(to)
        return bool(
            end
            and place[uuid] == action.input_parameters["source_node"] != to
            and uuid not in arriving
            and end.state == "up"
            and dict(statuses)[to] == "enabled"
            and one.pinned_az in ("", end.zone)
            and self._has_room(one, end, place, arriving)
            and all(
                self._suits(uuid, to, each, place, arriving, left) for each in self._cluster.groups
            )
        )

    def _has_room(self, one: Server, end: Host, place, arriving) -> bool:
        there = [uuid for uuid, name in place.items() if name == end.hostname]
        there += [uuid for uuid, name in arriving.items() if name == end.hostname]
        held = [one, *(self._cluster.servers[uuid] for uuid in there)]
        return all(
            not getattr(one, name) or sum(getattr(each, name) for each in held) <= size
            for name, size in (
                ("vcpus", (end.vcpus - end.vcpus_reserved) * end.vcpu_ratio),
                ("memory_mb", (end.memory_mb - end.memory_mb_reserved) * end.memory_ratio),
                ("disk_gb", (end.disk_gb - end.disk_gb_reserved) * end.disk_ratio),
            )
        )

    def _left(self, over) -> set[tuple[str | None, str]]:
        """Servers and hosts that these have left, where the scheduler may still count them."""
        moves = [uuid for uuid in over if self._server(uuid) and self._to(uuid)]
        return {
            (self._server(uuid), self._actions[uuid].input_parameters["source_node"])
            for uuid in moves
        }

    def _suits(self, uuid: str, to: str, group: ServerGroup, place, arriving, left) -> bool:
        if uuid not in group.members or group.policy.startswith("soft"):
            return True
        others = [place[each] for each in group.members if each != uuid]
        if any(each in arriving for each in group.members):
            return False
        if group.policy == "affinity":
            return all(each == to for each in others)
        there = {each for each in group.members if place[each] == to or (each, to) in left}
        return len(there - {uuid}) < group.max_server_per_host

    def _server(self, uuid: str) -> str | None:
        action = self._actions[uuid]
        if action.action_type == "change_nova_service_state":
            return None
        return action.input_parameters["resource_id"]

    def _to(self, uuid: str) -> str:
        """Empty for a removal."""
        return self._actions[uuid].input_parameters.get("destination_node", "")


def drawn_cluster(chance: random.Random) -> Cluster:
    hosts = [
        host(
            name,
            chance.randint(2, 5),
            disk_gb=chance.choice([3, 6, 100]),
            vcpu_ratio=chance.choice([1.0, 1.0, 1.5]),
            status=chance.choice(["enabled"] * 7 + ["disabled"]),
            state=chance.choice(["up"] * 15 + ["down"]),
            zone=chance.choice(["a", "a", "a", "b"]),
        )
        for name in "wxyz"[: chance.randint(2, 4)]
    ]
    servers = [
        server(
            name,
            chance.choice([each for each in hosts if each.state == "up"] or hosts).hostname,
            chance.randint(1, 2),
            disk_gb=chance.choice([0, 1, 2]),
            pinned_az=chance.choice([""] * 9 + ["a"]),
        )
        for name in "abcdefg"[: chance.randint(1, 7)]
    ]
    groups = [
        ServerGroup(uid("group"), chance.choice(POLICIES), [uid("a"), uid("b"), uid("c")][:count])
        for count in [min(len(servers), chance.randint(0, 3))]
        if count > 1
    ]
    return cluster(hosts, servers, groups)


POLICIES = ["anti-affinity", "anti-affinity", "soft-anti-affinity", "affinity"]


def drawn_plan(chance: random.Random, cloud: Cluster, most: int = 8) -> list[PlannedAction]:
    """A plan that is right as a sequence as often as not, with a graph by chance."""
    place = {one.name: one.host for one in cloud.servers.values()}
    chosen = chance.choices(list(place), k=chance.randint(1, most))
    if chance.random() < 0.7:
        chosen = list(dict.fromkeys(chosen))
    actions: list[PlannedAction] = []
    for number, name in enumerate(chosen):
        parents = [
            each.uuid for each in actions if chance.random() < chance.choice([0.1, 0.4, 0.9])
        ]
        if chance.random() < 0.12:
            state = chance.choice(["enabled", "disabled"])
            actions.append(switch(f"t{number}", chance.choice(list(cloud.hosts)), state, *parents))
            continue
        if name > "c" and chance.random() < 0.12:  # in no group
            actions.append(
                PlannedAction(f"t{number}", "delete", {"resource_id": uid(name)}, parents)
            )
            continue
        ends = [each for each in cloud.hosts if each != place[name]] or ["none"]
        end = chance.choice(ends)
        actions.append(migrate(f"t{number}", name, place[name], end, *parents))
        place[name] = end
    return actions


def mutated(chance: random.Random, actions: list[PlannedAction]) -> list[PlannedAction]:
    """One thing is changed: a parent less or more, or another place."""
    number = chance.randrange(len(actions))
    action = actions[number]
    parents = list(action.parents)
    what = chance.randrange(4)
    if what == 0 and parents:
        parents.remove(chance.choice(parents))
    elif what == 1 and number:
        parents.append(actions[chance.randrange(number)].uuid)
    elif what == 2:
        del actions[number]
        return actions
    elif action.action_type == "migrate":
        place = chance.choice(["source_node", "destination_node"])
        other = {**action.input_parameters, place: chance.choice("wxyz")}
        action = dataclasses.replace(action, input_parameters=other)
    actions[number] = dataclasses.replace(action, parents=tuple(parents))
    return actions


def disagreements(seed: int, plans: int) -> Iterator[tuple[Cluster, list[PlannedAction]]]:
    """Of so many plans those that the checker judges otherwise than all executions do."""
    chance = random.Random(seed)
    safe = 0
    for _ in range(plans):
        cloud = drawn_cluster(chance)
        actions = drawn_plan(chance, cloud)
        if chance.random() < 0.5:
            actions = mutated(chance, actions)
        is_safe = Executions(actions, cloud).is_safe
        safe += is_safe
        if is_safe != (not plan_checker.faults(actions, cloud)):
            yield cloud, actions
    assert plans / 10 < safe < 9 * plans / 10, safe


class IndependenceTest(TestCase):
    def test_it_is_short_and_shares_no_code_with_what_makes_plans(self) -> None:
        compute = "watcher.cloud.compute"
        for module, allowed in (
            (plan_checker, {compute, places.__name__, "watcher.db.action_plans", graphs.__name__}),
            (places, {compute}),
            (graphs, set()),
        ):
            source = pathlib.Path(module.__file__).read_text()
            self.assertLessEqual(source.count("\n"), 300)
            imports = re.findall(r"^ *(?:from|import) (watcher\S*)", source, re.MULTILINE)
            self.assertEqual(allowed, {*imports})


class ExecutionsTest(TestCase):
    def test_the_checker_agrees_with_all_executions(self) -> None:
        for cloud, actions in disagreements(1, PLANS):
            self.fail(f"{actions} on {cloud}")

    def test_the_number_at_once_is_the_most_of_all_executions(self) -> None:
        chance = random.Random(2)
        for _ in range(100):
            cloud = cluster(
                [host(name, 99) for name in "wxyz"], [server(name, "w") for name in "abcdef"]
            )
            drawn = [
                action
                for action in drawn_plan(chance, cloud, 6)
                if "source_node" in action.input_parameters
            ]
            actions = [action for action in drawn if action.input_parameters["source_node"] == "w"]
            servers = [action.input_parameters["resource_id"] for action in actions]
            actions = [action for n, action in enumerate(actions) if servers[n] not in servers[:n]]
            together = most_at_once(actions)
            for most in range(len(actions) + 1):
                found = plan_checker.faults(actions, cloud, most)
                self.assertEqual(most < together, bool(found), (most, together, actions))


def most_at_once(actions: Sequence[PlannedAction]) -> int:
    before: dict[str, set[str]] = {}
    for action in actions:
        known = [uuid for uuid in action.parents if uuid in before]
        before[action.uuid] = {*known, *itertools.chain(*(before[uuid] for uuid in known))}
    for count in range(len(actions), 1, -1):
        for some in itertools.combinations(before, count):
            if all(one not in before[other] for one in some for other in some):
                return count
    return len(actions[:1])


class FaultsTest(TestCase):
    """Each fault is found, named, and of its kind."""

    def setUp(self) -> None:
        super().setUp()
        self.cloud = cluster(
            [host("x", 4), host("y", 4), host("z", 4)],
            [server("a", "x", 2), server("b", "x", 2), server("c", "y", 3)],
        )

    def change(self, name: str, **values) -> None:
        hosts, servers = dict(self.cloud.hosts), dict(self.cloud.servers)
        rows = hosts if name in hosts else servers
        key = name if name in hosts else uid(name)
        rows[key] = dataclasses.replace(rows[key], **values)
        self.cloud = dataclasses.replace(self.cloud, hosts=hosts, servers=servers)

    def check(self, *actions: PlannedAction, most: int | None = None) -> list[tuple[str, str, str]]:
        return [tuple(fault) for fault in plan_checker.faults(actions, self.cloud, most)]

    def test_a_safe_plan(self) -> None:
        self.assertEqual(
            [],
            self.check(
                migrate("1", "c", "y", "z"),
                migrate("2", "a", "x", "y", "1"),
                migrate("3", "b", "x", "y", "1"),
                PlannedAction("4", "resize", {"resource_id": uid("c")}, ["1"]),
                migrate("5", "c", "z", "x", "1", "2", "3"),
            ),
        )

    def test_both_ends_are_held_while_a_server_moves(self) -> None:
        found = [("2", CLOUD, "Host y would hold 5 vCPUs, and can hold 4.")]
        first, second = migrate("1", "c", "y", "z"), migrate("2", "a", "x", "y")
        self.assertEqual(found, self.check(first, second))
        self.assertEqual([], self.check(first, dataclasses.replace(second, parents=["1"])))
        self.assertEqual(found, self.check(second, dataclasses.replace(first, parents=["2"])))

    def test_a_removed_server_frees_its_room_afterwards(self) -> None:
        for kind in ("delete", "shelve"):
            removal, move = (
                PlannedAction("1", kind, {"resource_id": uid("c")}, []),
                migrate("2", "a", "x", "y"),
            )
            self.assertIn("would hold 5 vCPUs", self.check(removal, move)[0][2])
            self.assertEqual([], self.check(removal, dataclasses.replace(move, parents=["1"])))
            self.assertTrue(self.check(dataclasses.replace(removal, parents=["2"]), move))

    def test_a_server_is_removed_from_where_it_has_moved(self) -> None:
        self.change("z", vcpus=3)
        there = migrate("1", "c", "y", "z")
        removal = PlannedAction("2", "delete", {"resource_id": uid("c")}, ["1"])
        after = migrate("3", "a", "x", "z", "2")
        self.assertEqual([], self.check(there, removal, after))
        self.assertTrue(self.check(there, removal, dataclasses.replace(after, parents=["1"])))
        self.assertTrue(self.check(there, dataclasses.replace(removal, parents=[]), after))

    def test_a_server_is_removed_only_after_it_has_moved(self) -> None:
        move, removal = (
            migrate("1", "a", "x", "z"),
            PlannedAction("2", "delete", {"resource_id": uid("a")}, []),
        )
        found = [("1", GRAPH, "Its server may be removed before it has moved.")]
        self.assertEqual(found, self.check(move, removal))
        self.assertEqual(found, self.check(removal, dataclasses.replace(move, parents=["2"])))
        self.assertEqual([], self.check(move, dataclasses.replace(removal, parents=["1"])))

    def test_a_server_gives_its_room_once(self) -> None:
        self.change("c", vcpus=2)
        self.change("b", host="y")
        self.change("a", vcpus=3)
        removals = [
            PlannedAction(number, kind, {"resource_id": uid("c")}, [])
            for number, kind in (("1", "shelve"), ("2", "delete"))
        ]
        (fault,) = self.check(*removals, migrate("3", "a", "x", "y", "1", "2"))
        self.assertIn("would hold 5 vCPUs", fault[2])

    def test_as_many_are_named_as_are_too_many(self) -> None:
        self.change("z", vcpus=3)
        moves = [migrate(name, name, "x" if name < "c" else "y", "z") for name in "abc"]
        found = self.check(*moves)
        self.assertEqual(["b", "c"], [uuid for uuid, _, _ in found])
        self.assertIn("would hold 7 vCPUs, and can hold 3", found[0][2])

    def test_one_that_takes_nothing_of_what_is_short_may_come(self) -> None:
        self.change("y", disk_gb=1)
        self.change("c", disk_gb=3)
        self.change("a", disk_gb=0, vcpus=1)
        self.assertEqual([], self.check(migrate("1", "a", "x", "y")))
        self.change("a", disk_gb=1)
        self.assertIn("would hold 4 GB", self.check(migrate("1", "a", "x", "y"))[0][2])

    def test_memory(self) -> None:
        self.change("a", memory_mb=9901, vcpus=1)
        self.assertIn("would hold 10001 MiB", self.check(migrate("1", "a", "x", "y"))[0][2])

    def test_servers(self) -> None:
        move = migrate("1", "a", "x", "z")
        for kind, change, words in (
            (SERVER, {"locked": True}, "locked"),
            (SERVER, {"task_state": "migrating"}, "migrating"),
            (SERVER, {"state": "stopped"}, "is stopped"),
            (SERVER, {"live": False}, "Nova does not migrate the server live"),
            (SERVER, {"needs": Needs(is_fixed=True)}, "Nova does not migrate the server live"),
            (CLOUD, {"host": "z"}, "expected on host x but is on z"),
        ):
            with self.subTest(words):
                before = self.cloud
                self.change("a", **change)
                ((uuid, found, sentence),) = self.check(move)
                self.assertEqual(("1", kind), (uuid, found))
                self.assertIn(words, sentence)
                self.cloud = before
        cold = dataclasses.replace(
            move, input_parameters={**move.input_parameters, "migration_type": "cold"}
        )
        self.change("a", state="stopped", live=False)
        self.assertEqual([], self.check(cold))
        self.cloud = dataclasses.replace(self.cloud, excluded={uid("a")})
        self.assertEqual(
            [("1", SERVER, "The audit's scope excludes the server.")], self.check(cold)
        )

    def test_a_server_that_is_gone(self) -> None:
        found = [("1", CLOUD, f"Server {uid('d')} was not found.")]
        self.assertEqual(found, self.check(migrate("1", "d", "x", "z")))

    def test_one_server_moves_twice(self) -> None:
        first, again = migrate("1", "a", "x", "z"), migrate("2", "a", "z", "x", "1")
        self.assertEqual([], self.check(first, again))
        self.assertIn("expected on host z", self.check(again)[0][2])
        ((_, kind, sentence),) = self.check(first, dataclasses.replace(again, parents=[]))
        self.assertEqual((GRAPH, True), (kind, "at the same time" in sentence))

    def test_hosts(self) -> None:
        move = migrate("1", "a", "x", "z")
        for name, change, words in (
            ("z", {"state": "down"}, "Host z is down"),
            ("z", {"status": "disabled"}, "Host z is or may be disabled"),
            ("x", {"state": "down"}, "Host x, which it leaves, is down"),
            ("z", {"aggregates": [Aggregate(1, "t", {"filter_tenant_id": "p, q"})]}, "reserved"),
            ("z", {"aggregates": [Aggregate(1, "t", {"trait:FAST": "required"})]}, "trait FAST"),
        ):
            with self.subTest(words):
                before = self.cloud
                self.change(name, **change)
                ((uuid, kind, sentence),) = self.check(move)
                self.assertEqual(("1", CLOUD), (uuid, kind))
                self.assertIn(words, sentence)
                self.cloud = before
        self.assertIn("w is unknown", self.check(migrate("1", "a", "x", "w"))[0][2])
        self.assertIn("x already", self.check(migrate("1", "a", "x", "x"))[0][2])

    def test_a_host_is_disabled_only_after_what_it_takes(self) -> None:
        move, off = migrate("1", "a", "x", "z"), switch("2", "z", "disabled")
        self.assertEqual(["1"], [uuid for uuid, _, _ in self.check(move, off)])
        self.assertEqual([], self.check(move, dataclasses.replace(off, parents=["1"])))
        self.assertEqual(["1"], [uuid for uuid, _, _ in self.check(move, off, off)])

    def test_a_host_is_enabled_before_what_it_takes(self) -> None:
        self.change("z", status="disabled")
        move, on = migrate("1", "a", "x", "z"), switch("2", "z", "enabled")
        self.assertEqual(["1"], [uuid for uuid, _, _ in self.check(move, on)])
        self.assertEqual([], self.check(on, dataclasses.replace(move, parents=["2"])))

    def test_zones_and_aggregates(self) -> None:
        move = migrate("1", "a", "x", "z")
        self.change("a", pinned_az="one")
        self.assertIn("not in zone one", self.check(move)[0][2])
        self.change("z", zone="one")
        self.assertEqual([], self.check(move))
        for spec in ("disk", "aggregate_instance_extra_specs:disk"):
            for value in ("ssd", "<or> ssd <or> hdd"):
                self.change("a", extra_specs={spec: value})
                self.change("y", aggregates=[Aggregate(1, "other", {"disk": "tape"})])
                self.change("z", aggregates=[Aggregate(2, "fast", {"disk": "ssd,nvme"})])
                self.assertEqual([], self.check(move))
                self.change("z", aggregates=[])
                self.assertIn(f"no aggregate with disk {value}", self.check(move)[0][2])

    def test_aggregates_for_certain_images(self) -> None:
        self.change("z", aggregates=[Aggregate(1, "t", {"os_distro": "ubuntu, debian"})])
        move = migrate("1", "a", "x", "z")
        for distro, words in (("debian", []), ("windows", ["os_distro windows"])):
            self.change("a", needs=Needs.of(2, {}, {"os_distro": distro, "os_type": "linux"}))
            found = [sentence for _, _, sentence in self.check(move)]
            self.assertEqual(words, [word for word in words for each in found if word in each])
            self.assertEqual(len(words), len(found))

    def group(self, policy: str, *names: str, most: int = 1) -> None:
        group = ServerGroup("g", policy, [uid(name) for name in names], most)
        self.cloud = dataclasses.replace(self.cloud, groups=[group])

    def test_members_of_a_group_never_move_at_the_same_time(self) -> None:
        first, second = migrate("1", "a", "x", "z"), migrate("2", "c", "y", "x")
        self.change("c", vcpus=1)
        for policy in ("anti-affinity", "affinity"):
            self.group(policy, "a", "c")
            kinds = {kind for _, kind, _ in self.check(first, second)}
            self.assertIn(GRAPH, kinds, policy)
        self.group("anti-affinity", "a", "c")
        self.change("x", vcpus=9)
        after = dataclasses.replace(second, parents=["1"])
        self.assertIn("one server too many", self.check(first, after)[0][2])
        self.assertIn("one server too many", self.check(second)[0][2])
        self.assertEqual([], self.check(first, migrate("2", "a", "z", "x", "1")))
        self.group("anti-affinity", "a", "c", most=2)
        self.assertEqual([], self.check(second))
        self.group("soft-anti-affinity", "a", "c")
        self.assertEqual([], self.check(first, second))

    def test_soft_deleted_members_count(self) -> None:
        for unlisted, faults in (["z"], 1), (["y"], 0):
            group = ServerGroup("g", "anti-affinity", [uid("a")], unlisted=unlisted)
            self.cloud = dataclasses.replace(self.cloud, groups=[group])
            self.assertEqual(faults, len(self.check(migrate("1", "a", "x", "z"))))

    def test_members_that_are_kept_together(self) -> None:
        self.group("affinity", "a", "b")
        self.assertIn("leave others", self.check(migrate("1", "a", "x", "z"))[0][2])
        self.change("b", host="z")
        self.assertEqual([], self.check(migrate("1", "a", "x", "z")))

    def test_too_many_at_once(self) -> None:
        moves = [migrate("1", "a", "x", "z"), migrate("2", "b", "x", "z")]
        self.assertEqual([], self.check(*moves, most=2))
        ((_, kind, sentence), _) = self.check(*moves, most=1)
        self.assertEqual(GRAPH, kind)
        self.assertIn("2 moves from or to host x", sentence)

    def test_actions_that_wait_for_themselves(self) -> None:
        moves = [migrate("1", "a", "x", "z", "2"), migrate("2", "b", "x", "z", "1")]
        self.assertEqual([GRAPH], [kind for _, kind, _ in self.check(*moves)])

    def test_a_destination_that_the_scheduler_chooses(self) -> None:
        moves = [migrate("1", "a", "x", None), migrate("2", "b", "x", "z")]
        self.assertEqual([], self.check(*moves))
        self.group("anti-affinity", "a", "b")
        self.assertEqual([GRAPH], [kind for _, kind, _ in self.check(*moves)])
