# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.cloud.baremetal import BaremetalNode
from watcher.decision_engine.strategies.saving_energy import SavingEnergy
from watcher.model import undone
from watcher.model.baremetal import BaremetalModel
from watcher.model.bounds import Bounds
from watcher.model.compute import ComputeModel
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import clusters
from watcher.tests.unit.decision_engine.clusters import host, server, uid


def node(name, power="on", **values):
    return BaremetalNode(f"node-{name}", name, power, host_uuid=uid(name), **values)


def solve(hosts, servers, nodes, keeps_hosts_up=True, seed=1, **parameters):
    """(node, state, hostname) of each action, in order, and the solution."""
    solution = SavingEnergy().execute(
        clusters.inputs(
            SavingEnergy,
            ComputeModel.build(hosts, servers),
            baremetal=BaremetalModel(tuple(nodes), keeps_hosts_up),
            seed=seed,
            **parameters,
        )
    )
    kinds = {action.action_type for action in solution.actions}
    assert kinds <= {"change_node_power_state", "change_nova_service_state"}
    return [
        tuple(action.input_parameters[name] for name in ("resource_id", "state", "resource_name"))
        for action in solution.actions
    ], solution


class SavingEnergyTest(TestCase):
    def test_free_hosts_above_the_need_are_switched_off(self):
        """Two hosts are used: 10 % of these is less than the one that has to be free."""
        names = ["a", "b", "c", "d"]
        hosts = [host(name) for name in names]
        servers = [server("s1", "a"), server("s2", "b", state="stopped")]
        actions, solution = solve(hosts, servers, [node(name) for name in names])
        ((uuid, state, name),) = actions
        self.assertIn(name, ("c", "d"))
        self.assertEqual((f"node-{name}", "off"), (uuid, state))
        self.assertEqual("2 free hosts are on, and 1 are to be", solution.actions[0].reason)
        self.assertEqual(
            {"free hosts that are on": {"before": 2, "after": 1}}, dict(solution.summary)
        )

    def test_the_need_is_a_share_of_the_used_hosts_rounded_down(self):
        """50 % of three is one and a half: one stays on."""
        names = ["a", "b", "c", "d", "e"]
        servers = [server(f"s{name}", name) for name in "abc"]
        actions, _ = solve(
            [host(name) for name in names],
            servers,
            [node(name) for name in names],
            free_used_percent=50,
            min_free_hosts_num=0,
        )
        self.assertEqual(["off"], [state for _, state, _ in actions])

    def test_too_few_free_hosts_are_switched_on(self):
        hosts = [host(name) for name in "abc"]
        nodes = [node("a"), node("b", "off"), node("c", "off")]
        actions, solution = solve(hosts, [server("s", "a")], nodes, min_free_hosts_num=1)
        self.assertEqual(["on"], [state for _, state, _ in actions])
        self.assertEqual({"before": 0, "after": 1}, solution.summary["free hosts that are on"])
        actions, _ = solve(hosts, [server("s", "a")], nodes, min_free_hosts_num=9)
        self.assertEqual({"b", "c"}, {name for _, _, name in actions})

    def test_hosts_that_take_no_servers_go_first_and_come_last(self):
        hosts = [host("a"), host("b", status="disabled"), host("c")]
        nodes = [node("a"), node("b"), node("c")]
        for seed in range(10):
            actions, _ = solve(hosts, [], nodes, seed=seed, min_free_hosts_num=2)
            self.assertEqual([("node-b", "off", "b")], actions)
        nodes = [node("a", "off"), node("b", "off"), node("c", "off")]
        for seed in range(10):
            actions, _ = solve(hosts, [], nodes, seed=seed, min_free_hosts_num=2)
            self.assertEqual({"a", "c"}, {name for _, _, name in actions})

    def test_what_is_left_alone(self):
        working = {"status": "disabled", "disabled_reason": "watcher_maintaining"}
        hosts = [host("a"), host("b"), host("down", state="down"), host("w", **working)]
        for left_alone in (
            node("w"),
            node("a", maintenance=True),
            node("a", "unknown"),
            node("elsewhere"),
            node("down"),
            BaremetalNode("n", "a", "on"),
        ):
            self.assertEqual([], solve(hosts, [], [left_alone], min_free_hosts_num=0)[0])

    def test_where_hosts_go_down_with_their_machines_those_count(self):
        hosts = [host("down", state="down")]
        actions, _ = solve(hosts, [], [node("down", "off")], keeps_hosts_up=False)
        self.assertEqual([("node-down", "on", "down")], actions)

    def test_the_lot_depends_on_the_seed_alone(self):
        hosts, nodes = [host(name) for name in "abcdefgh"], [node(name) for name in "abcdefgh"]
        drawn = {str(solve(hosts, [], nodes, seed=seed)[0]) for seed in range(5) for _ in range(2)}
        self.assertGreater(len(drawn), 1)
        self.assertLessEqual(len(drawn), 5)

    def test_a_host_that_the_scheduler_does_not_use_is_not_free(self):
        """A host that Watcher disabled is enabled before any machine is switched on."""
        hosts = [
            host("a"),
            host("b", status="disabled", disabled_reason="watcher_disabled"),
            host("c", status="disabled", disabled_reason="broken fan"),
            host("d"),
        ]
        nodes = [node("a"), node("b"), node("c"), node("d", "off")]
        servers = [server("s", "a")]
        actions, solution = solve(hosts, servers, nodes, min_free_hosts_num=1)
        self.assertEqual(
            [(uid("b"), "enabled", "b"), ("node-c", "off", "c")],
            actions,
        )
        self.assertEqual({"before": 0, "after": 1}, solution.summary["free hosts that are on"])
        actions, _ = solve(hosts, servers, nodes, min_free_hosts_num=2)
        self.assertEqual([(uid("b"), "enabled", "b"), ("node-d", "on", "d")], actions)
        actions, solution = solve(hosts, servers, nodes, min_free_hosts_num=3)
        self.assertEqual("2 of 3 free hosts are on", solution.unmet)

    def test_machines_whose_hosts_watcher_disabled_are_switched_off_first(self):
        reasons = {"a": "broken fan", "b": "watcher_disabled", "c": None}
        hosts = [
            host(name, status="disabled" if reason else "enabled", disabled_reason=reason)
            for name, reason in reasons.items()
        ]
        actions, solution = solve(hosts, [], [node(name) for name in "abc"], bounds=Bounds(1))
        self.assertEqual([("node-b", "off", "b")], actions)
        self.assertEqual(
            [(undone.BOUND, 1)], [(each.reason, each.count) for each in solution.undone]
        )
        self.assertEqual(50, solution.gain)

    def test_machines_whose_hosts_others_disabled_are_not_switched_on(self):
        hosts = [
            host("a", status="disabled", disabled_reason="broken fan"),
            host("b", status="disabled", disabled_reason="watcher: powered off"),
        ]
        actions, solution = solve(
            hosts, [], [node("a", "off"), node("b", "off")], min_free_hosts_num=2
        )
        self.assertEqual([("node-b", "on", "b")], actions)
        self.assertEqual({"before": 0, "after": 1}, solution.summary["free hosts that are on"])

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_never(self, data):
        """No used machine goes off, none is switched to what it is, and the need is met."""
        states = st.tuples(
            st.sampled_from(["on", "off", "unknown"]),
            st.booleans(),
            st.integers(0, 2),
            st.sampled_from(["enabled", "disabled"]),
        )
        drawn = data.draw(st.lists(states, max_size=12))
        minimum = data.draw(st.integers(0, 5))
        hosts, servers, nodes = [], [], []
        for number, (power, maintenance, crowd, status) in enumerate(drawn):
            name = f"h{number:02}"
            hosts.append(host(name, status=status))
            nodes.append(node(name, power, maintenance=maintenance))
            servers += [server(f"{name}s{index}", name) for index in range(crowd)]
        actions, _ = solve(hosts, servers, nodes, min_free_hosts_num=minimum, free_used_percent=0)
        used = {each.host for each in servers}
        power = {each.name: each.power_state for each in nodes}
        free_before = [each for each in nodes if each.name not in used and not each.maintenance]
        for _, state, name in actions:
            self.assertNotIn(name, used)
            self.assertNotEqual(power[name], state)
            self.assertNotEqual("unknown", power[name])
            power[name] = state
        usable = {each.hostname for each in hosts if each.status == "enabled"}
        free_before = [each for each in free_before if each.name in usable]
        available = sum(each.power_state in ("on", "off") for each in free_before)
        self.assertEqual(
            min(minimum, available), sum(power[each.name] == "on" for each in free_before)
        )
