# SPDX-License-Identifier: Apache-2.0
import dataclasses
import datetime

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.cloud.block_storage import Attachment, Pool, StorageNode, Volume, VolumeType
from watcher.cloud.needs import Needs
from watcher.common import schemas
from watcher.common.errors import Invalid, NotFound
from watcher.decision_engine import efficacy
from watcher.decision_engine.algorithms import zone_volumes
from watcher.decision_engine.goals import HardwareMaintenanceGoal
from watcher.decision_engine.strategies.zone_migration import ZoneMigration
from watcher.model import undone
from watcher.model.compute import ComputeModel
from watcher.model.storage import StorageModel
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import checker, clusters
from watcher.tests.unit.decision_engine.clusters import host, server, uid

OLD, SPARE, DOWN = "c@lvm#old", "c@nfs#spare", "c@down#pool"


def volume(name, pool=OLD, size=1, **values):
    return Volume(uid(name), name, size, pool, **{"volume_type": "gold"} | values)


def storage(volumes, free=100, with_snapshots=()):
    return StorageModel.build(
        [StorageNode("c@lvm"), StorageNode("c@nfs"), StorageNode("c@down", state="down")],
        [
            Pool(OLD),
            Pool(SPARE, free_capacity_gb=free, capabilities={"colour": "red"}),
            Pool(DOWN),
        ],
        volumes,
        [VolumeType("1", "gold"), VolumeType("2", "silver", {"colour": "blue"})],
        frozenset(uid(name) for name in with_snapshots),
    )


def solve(model, storage_model=None, **parameters):
    limits = {"parallel_total": 99, "parallel_per_node": 99, "parallel_per_pool": 99}
    return ZoneMigration().execute(
        clusters.inputs(ZoneMigration, model, storage=storage_model, **limits | parameters)
    )


def steps(solution):
    """(name, way, where to) of each action."""
    found = []
    for action in solution.actions:
        values = action.input_parameters
        where = values.get("destination_node", values.get("destination_type"))
        found.append((values["resource_name"], values["migration_type"], where))
    return found


def names(solution):
    return [name for name, _, _ in steps(solution)]


def created(day):
    return datetime.datetime(2026, 1, day)


def left(solution):
    return {each.words: tuple(each.examples) for each in solution.undone}


class ServersTest(TestCase):
    def setUp(self):
        super().setUp()
        self.hosts = [host("h1"), host("h2", 3), host("h3")]
        self.servers = [
            server("s1", "h1", 1, project_id="p1", disk_gb=3, created=created(3)),
            server("s2", "h1", 3, project_id="p2", state="stopped", memory_mb=200),
            server("s3", "h1", 2, project_id="p3", state="paused", created=created(1)),
            server("s4", "h3", 2, project_id="p2", created=created(2)),
            server("s5", "h1", 1, state="error"),
        ]
        self.fixed = ()

    def solve(self, *entries, **parameters):
        model = ComputeModel.build(self.hosts, self.servers)
        movable = np.array([one.name not in self.fixed for one in model.servers], dtype=bool)
        nodes = [
            dict(zip(("src_node", "dst_node"), entry, strict=False))
            for entry in entries or [("h1",)]
        ]
        return solve(dataclasses.replace(model, movable=movable), compute_nodes=nodes, **parameters)

    def test_what_stays_is_named_with_the_reason(self):
        self.servers.append(server("s6", "h1", locked=True))
        always = {
            undone.REASONS[undone.LOCKED]: ("s6",),
            undone.REASONS[undone.STATE]: ("s5",),
            "in compute_nodes, not a host of the scope": ("h-1",),
        }
        for limit, expected in (
            (99, {"too large for the room on the host that was asked for": ("s2",)}),
            (1, {zone_volumes.FULL: ("s2", "s3")}),
        ):
            entries = {"compute_nodes": [{"src_node": "h1", "dst_node": "h2"}, {"src_node": "h-1"}]}
            model = ComputeModel.build(self.hosts, self.servers)
            solution = solve(model, parallel_per_node=limit, **entries)
            self.assertEqual(always | expected, left(solution))

    def test_the_reason_of_a_requested_host_is_named(self):
        for change, why in (
            ({"status": "disabled"}, "to go to a host that is disabled or down"),
            ({"traits": frozenset()}, "kept from the host that was asked for"),
        ):
            hosts = [host("h1"), dataclasses.replace(host("h2"), **change)]
            needs = Needs(required=frozenset({"FAST"}))
            model = ComputeModel.build(hosts, [server("s1", "h1", needs=needs)])
            entry = {"src_node": "h1", "dst_node": "h2"}
            (reason,) = left(solve(model, compute_nodes=[entry]))
            self.assertIn(why, reason)
        (reason,) = left(solve(model, compute_nodes=[{"src_node": "h1", "dst_node": "h1"}]))
        self.assertEqual("on the host that was asked for already", reason)

    def test_servers_without_any_host_stay(self):
        hosts = [host("h1"), dataclasses.replace(host("h2"), status="disabled"), host("h3", 4)]
        servers = [server("s1", "h1", 5), server("s2", "h1", 4), server("s3", "h1", 4)]
        model = ComputeModel.build(hosts, servers)
        solution = solve(model, compute_nodes=[{"src_node": "h1"}])
        self.assertEqual(1, len(solution.actions))
        self.assertEqual(2, len(left(solution)[undone.REASONS[undone.ROOM]]))

    def test_an_audit_that_names_nothing_says_so(self):
        model = ComputeModel.build(self.hosts, self.servers)
        for nothing in ({}, {"compute_nodes": [], "storage_pools": []}):
            self.assertIn("compute_nodes", solve(model, **nothing).unmet)

    def test_the_scheduler_picks(self):
        solution = self.solve()
        self.assertEqual(
            [("s1", "live", None), ("s2", "cold", None), ("s3", "live", None)], steps(solution)
        )
        self.assertEqual(
            "h1 is to be emptied; the scheduler picks the host", solution.actions[0].reason
        )
        self.assertEqual(
            {
                "live_migrate_instance_count": 2,
                "planned_live_migrate_instance_count": 2,
                "cold_migrate_instance_count": 1,
                "planned_cold_migrate_instance_count": 1,
                "volume_migrate_count": 0,
                "planned_volume_migrate_count": 0,
                "volume_update_count": 0,
                "planned_volume_update_count": 0,
            },
            solution.indicators,
        )
        self.assertEqual({"before": 4, "after": 1}, solution.summary["servers on the source hosts"])

    def test_a_destination_takes_what_it_has_room_for(self):
        solution = self.solve(("h1", "h2"))
        self.assertEqual([("s1", "live", "h2"), ("s3", "live", "h2")], steps(solution))
        self.assertEqual(1, solution.indicators["cold_migrate_instance_count"])
        self.assertEqual(0, solution.indicators["planned_cold_migrate_instance_count"])
        self.hosts[1] = dataclasses.replace(self.hosts[1], status="disabled")
        self.assertEqual([], steps(self.solve(("h1", "h2"))))

    def test_hosts_come_in_the_order_given_and_count_once(self):
        self.assertEqual(
            ["s4", "s1", "s2", "s3"], names(self.solve(("h3",), ("h1",), ("h3", "h2"), ("h9",)))
        )

    def test_an_unknown_destination_is_an_error(self):
        error = self.assertRaises(NotFound, self.solve, ("h1", "h9"))
        self.assertIn("compute_nodes", str(error))

    def test_limits(self):
        both = [("h1",), ("h3",)]
        self.assertEqual(["s1", "s2", "s4"], names(self.solve(*both, parallel_per_node=2)))
        self.assertEqual(["s1"], names(self.solve(*both, parallel_total=1)))
        self.assertEqual([], names(self.solve(*both, parallel_total=0)))
        self.assertEqual([], names(self.solve(*both, parallel_per_node=0)))

    def test_servers_that_stay_take_nothing_of_the_limits(self):
        self.servers[0] = dataclasses.replace(self.servers[0], locked=True)
        self.fixed = ["s2"]
        solution = self.solve(parallel_total=1)
        self.assertEqual(["s3"], names(solution))
        self.assertEqual(2, solution.indicators["live_migrate_instance_count"])
        self.assertEqual(0, solution.indicators["cold_migrate_instance_count"])

    def test_priority(self):
        for priority, expected in (
            ({"project": ["p3", "p2"]}, ["s3", "s2", "s4", "s1"]),
            ({"compute_node": ["h3"]}, ["s4", "s1", "s2", "s3"]),
            ({"compute": "vcpu_num"}, ["s2", "s3", "s4", "s1"]),
            ({"compute": "mem_size"}, ["s2", "s1", "s3", "s4"]),
            ({"compute": "disk_size"}, ["s1", "s2", "s3", "s4"]),
            ({"compute": "created_at"}, ["s3", "s4", "s1", "s2"]),
            ({"project": ["p2"], "compute": "created_at"}, ["s4", "s2", "s3", "s1"]),
            ({"compute": "vcpu_num", "compute_node": ["h3"]}, ["s2", "s4", "s3", "s1"]),
            ({"storage": "size", "storage_pool": [OLD]}, ["s1", "s2", "s3", "s4"]),
        ):
            self.assertEqual(
                expected, names(self.solve(("h1",), ("h3",), priority=priority)), priority
            )

    def test_without_targets_there_is_nothing_to_do(self):
        self.assertEqual([], steps(solve(ComputeModel.build(self.hosts, self.servers))))

    @settings(max_examples=40, deadline=None)
    @given(checker.drawn_clusters(), st.data())
    def test_rules(self, cluster, data):
        hostnames = [each.hostname for each in cluster.hosts]
        nodes = data.draw(
            st.lists(
                st.fixed_dictionaries(
                    {"src_node": st.sampled_from(hostnames)},
                    optional={"dst_node": st.sampled_from(hostnames)},
                ),
                max_size=4,
            )
        )
        limits = {
            "parallel_total": data.draw(st.integers(0, 9)),
            "parallel_per_node": data.draw(st.integers(0, 4)),
        }
        model = cluster.model
        solution = solve(model, compute_nodes=nodes, **limits)
        self.assertEqual([], checker.faults(solution, model))
        sources = [action.input_parameters["source_node"] for action in solution.actions]
        self.assertLessEqual(len(sources), limits["parallel_total"])
        for source in sources:
            self.assertLessEqual(sources.count(source), limits["parallel_per_node"])
        efficacy.compute(HardwareMaintenanceGoal, solution.indicators)
        self.assertEqual(solution, solve(model, compute_nodes=nodes, **limits))


class VolumesTest(TestCase):
    def setUp(self):
        super().setUp()
        self.compute = ComputeModel.build(
            [host("h1"), host("h2")],
            [server("s1", "h1"), server("s2", "h1", state="stopped"), server("s3", "h2")],
        )

    def solve(self, volumes, *pools, free=100, with_snapshots=(), **parameters):
        entries = [{"src_pool": OLD} | pool for pool in pools or [{"dst_pool": SPARE}]]
        model = storage(volumes, free, with_snapshots)
        return solve(self.compute, model, storage_pools=entries, **parameters)

    def test_volumes_go_to_the_pool_that_was_asked_for(self):
        solution = self.solve([volume("v1"), volume("v2", SPARE)])
        (action,) = solution.actions
        self.assertEqual("volume_migrate", action.action_type)
        self.assertEqual(
            {
                "resource_id": uid("v1"),
                "resource_name": "v1",
                "migration_type": "migrate",
                "destination_node": SPARE,
            },
            action.input_parameters,
        )
        self.assertEqual(
            f"{OLD} is to be emptied; {SPARE} was asked for and has room", action.reason
        )
        for name in ("volume_migrate_count", "planned_volume_update_count"):
            self.assertEqual(1, solution.indicators[name])
        self.assertEqual({"before": 1, "after": 0}, solution.summary["volumes in the source pools"])

    def test_or_get_the_type_that_was_asked_for(self):
        volumes = [volume("v1"), volume("v2", volume_type="silver"), volume("v3", SPARE)]
        solution = self.solve(volumes, {"dst_type": "silver"})
        self.assertEqual([("v1", "retype", "silver")], steps(solution))
        self.assertEqual(2, solution.indicators["volume_migrate_count"])
        self.assertEqual(
            f"{OLD} is to be emptied; type silver was asked for", solution.actions[0].reason
        )

    def test_the_entry_of_a_type_goes_before_that_of_the_pool(self):
        volumes = [volume("v1"), volume("v2", volume_type="silver")]
        pools = [{"dst_pool": SPARE}, {"src_type": "silver", "dst_type": "gold"}]
        self.assertEqual(
            [("v1", "migrate", SPARE), ("v2", "retype", "gold")], steps(self.solve(volumes, *pools))
        )
        self.assertEqual(["v2"], names(self.solve(volumes, pools[1])))

    def test_a_pool_takes_what_it_has_room_for(self):
        volumes = [volume("v1", size=6), volume("v2", size=5), volume("v3", size=4)]
        self.assertEqual(["v1", "v3"], names(self.solve(volumes, free=10)))
        self.assertEqual(3, len(names(self.solve(volumes, free=None))))
        self.assertEqual([], names(self.solve(volumes, {"dst_pool": DOWN})))
        self.assertEqual([], names(self.solve(volumes, {"dst_pool": OLD})))

    def test_volumes_that_stay(self):
        for change in (
            {"status": "error"},
            {"migration_status": "migrating"},
            {"volume_type": "silver"},  # which SPARE is not fit for
        ):
            self.assertEqual([], names(self.solve([volume("v1", **change)])))
        self.assertEqual([], names(self.solve([volume("v1")], with_snapshots=["v1"])))
        self.assertEqual(
            ["v1"], names(self.solve([volume("v1")], {"dst_type": "silver"}, with_snapshots=["v1"]))
        )

    def test_the_reason_of_a_requested_pool_is_named(self):
        model, attached = (
            ComputeModel.build([host("h1")], []),
            [Attachment("a", "1"), Attachment("b", "2")],
        )
        for pool, change, free, snapshots, why in (
            (SPARE, {}, 0, [], zone_volumes.TOO_LARGE),
            (SPARE, {"volume_type": "silver"}, 9, [], zone_volumes.UNFIT),
            (DOWN, {}, 9, [], zone_volumes.UNFIT),
            (OLD, {}, 9, [], zone_volumes.SAME_POOL),
            (SPARE, {}, 9, ["v1"], zone_volumes.SNAPSHOTS),
            (SPARE, {"attachments": attached}, 9, [], zone_volumes.ATTACHED),
        ):
            stored = storage([volume("v1", **change)], free, snapshots)
            entry = {"src_pool": OLD, "dst_pool": pool}
            self.assertEqual({why: ("v1",)}, left(solve(model, stored, storage_pools=[entry])))

    def test_a_volume_of_a_stopped_server_stays(self):
        for name, moved in (("s1", 1), ("s2", 0), ("unknown", 1)):
            one = volume("v1", status="in-use", attachments=[Attachment(uid(name), "a")])
            self.assertEqual(moved, len(names(self.solve([one]))), name)
        two = [Attachment(uid("s1"), "a"), Attachment(uid("s3"), "b")]
        self.assertEqual([], names(self.solve([volume("v1", status="in-use", attachments=two)])))

    def test_limits(self):
        volumes = [volume(f"v{number}") for number in range(5)]
        self.assertEqual(["v0", "v1"], names(self.solve(volumes, parallel_per_pool=2)))
        self.assertEqual(["v0"], names(self.solve(volumes, parallel_total=1)))
        both = self.solve(volumes, parallel_total=3, compute_nodes=[{"src_node": "h1"}])
        self.assertEqual(["v0", "v1", "v2"], names(both))

    def test_priority(self):
        volumes = [
            volume("v1", size=1, project_id="p1", created=created(2)),
            volume("v2", size=3, project_id="p2"),
            volume("v3", size=2, project_id="p3", created=created(1)),
        ]
        for priority, expected in (
            ({"storage": "size"}, ["v2", "v3", "v1"]),
            ({"storage": "created_at"}, ["v3", "v1", "v2"]),
            ({"project": ["p3"]}, ["v3", "v1", "v2"]),
            ({"storage_pool": [OLD], "compute": "vcpu_num"}, ["v1", "v2", "v3"]),
        ):
            self.assertEqual(expected, names(self.solve(volumes, priority=priority)), priority)

    def test_a_server_follows_its_volume(self):
        volumes = [
            volume("v1", status="in-use", attachments=[Attachment(uid("s1"), "a")]),
            volume("v2", attachments=[Attachment(uid("gone"), "c")]),
        ]
        nodes = {"compute_nodes": [{"src_node": "h1"}]}
        self.assertEqual(
            ["v1", "s1", "v2", "s2"], names(self.solve(volumes, with_attached_volume=True, **nodes))
        )
        self.assertEqual(["v1", "v2", "s1", "s2"], names(self.solve(volumes, **nodes)))
        self.assertEqual(
            ["v1", "s1"],
            names(self.solve(volumes, with_attached_volume=True, parallel_total=2, **nodes)),
        )

    def test_names_that_are_not_there(self):
        for pool in ({"dst_pool": "c@lvm#typo"}, {"dst_type": "typo"}):
            error = self.assertRaises(NotFound, self.solve, [], pool)
            self.assertIn("storage_pools", str(error))
        self.assertEqual(
            [], names(self.solve([volume("v1")], {"src_pool": "typo", "dst_pool": SPARE}))
        )


class ParametersTest(TestCase):
    def test_defaults(self):
        self.assertEqual(
            {
                "parallel_total": 6,
                "parallel_per_node": 2,
                "parallel_per_pool": 2,
                "with_attached_volume": False,
            },
            schemas.parameters(ZoneMigration.schema, {}),
        )

    def test_refused(self):
        for wrong in (
            {"compute_nodes": [{"dst_node": "h1"}]},
            {"compute_nodes": [{"src_node": "h1", "colour": "red"}]},
            {"storage_pools": [{"src_pool": OLD}]},
            {"storage_pools": [{"src_pool": OLD, "dst_pool": SPARE, "dst_type": "gold"}]},
            {"priority": {"compute": "colour"}},
            {"parallel_total": -1},
        ):
            self.assertRaises(Invalid, schemas.parameters, ZoneMigration.schema, wrong)
