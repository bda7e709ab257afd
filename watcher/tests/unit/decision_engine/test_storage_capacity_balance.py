# SPDX-License-Identifier: Apache-2.0
import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.cloud.block_storage import Attachment, Pool, StorageNode, Volume, VolumeType
from watcher.common import schemas
from watcher.common.errors import Invalid, NotConfigured
from watcher.decision_engine import efficacy
from watcher.decision_engine.goals import WorkloadBalancingGoal
from watcher.decision_engine.strategies.storage_capacity_balance import StorageCapacityBalance
from watcher.model.compute import ComputeModel
from watcher.model.storage import StorageModel
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import clusters
from watcher.tests.unit.decision_engine.clusters import host, server, uid

FULL, HALF, EMPTY = "n1@full#p", "n2@half#p", "n3@empty#p"


def pool(name, used, total=100, **values):
    backend = name.partition("@")[2].partition("#")[0]
    values.setdefault("allocated_capacity_gb", used)
    capabilities = {"volume_backend_name": backend, **values.pop("capabilities", {})}
    free = None if total is None else total - used
    return Pool(
        name,
        total_capacity_gb=total,
        free_capacity_gb=free,
        capabilities=capabilities,
        **values,
    )


def volume(name, size, on=FULL, **values):
    return Volume(name, f"name-{name}", size, on, **values)


def attached(name, size, **values):
    on = values.pop("server", "s")
    return volume(name, size, status="in-use", attachments=[Attachment(uid(on), "a")], **values)


def volume_type(name, backend="", **specs):
    specs = {**specs, **({"volume_backend_name": backend} if backend else {})}
    return VolumeType(name, name, specs)


def solve(pools, volumes, types=(), snapshots=(), nodes=None, servers=None, options=None, **given):
    nodes = nodes or [StorageNode(name) for name in sorted({each.node for each in pools})]
    model = StorageModel.build(nodes, pools, volumes, types, frozenset(snapshots))
    compute = ComputeModel.build(
        [host("h")], servers if servers is not None else [server("s", "h")]
    )
    return StorageCapacityBalance().execute(
        clusters.inputs(StorageCapacityBalance, compute, storage=model, options=options, **given)
    )


def moves(solution):
    """(volume, destination pool or type) of each action, in order."""
    shown = []
    for action in solution.actions:
        assert action.action_type == "volume_migrate"
        parameters = action.input_parameters
        where = (
            "destination_type" if parameters["migration_type"] == "retype" else ("destination_node")
        )
        assert set(parameters) == {"resource_id", "resource_name", "migration_type", where}
        shown.append((parameters["resource_id"], parameters[where]))
    return shown


class StorageCapacityBalanceTest(TestCase):
    def setUp(self):
        super().setUp()
        self.pools = [pool(FULL, 90), pool(HALF, 50), pool(EMPTY, 10)]

    def solved(self, *volumes, **values):
        return moves(solve(self.pools, volumes, **values))

    def test_what_stays_too_full_is_said(self):
        pools = [pool(FULL, 95), pool(HALF, 2, 12)]
        solution = solve(pools, [volume("v", 50), volume("w", 40)], snapshots=["w"])
        self.assertEqual("1 pool stays 80 % full or more", solution.unmet)
        self.assertEqual(
            {
                "with snapshots": ["name-w"],
                "for which no other pool has the room and the type": ["name-v"],
            },
            {each.words: list(each.examples) for each in solution.undone},
        )

    def test_each_volume_that_stays_has_its_own_reason(self):
        both = [Attachment(uid(each), "a") for each in ("s", "stopped")]
        solution = solve(
            self.pools,
            [
                volume("busy", 50, status="backing-up"),
                volume("failed", 50, migration_status="error"),
                volume("both", 50, multiattach=True, attachments=both),
                attached("idle", 50, server="stopped"),
            ],
            servers=[server("s", "h"), server("stopped", "h", state="stopped")],
        )
        self.assertEqual(
            {
                "busy with another task": ["name-busy"],
                "whose last migration failed": ["name-failed"],
                "attached to several servers": ["name-both"],
                "attached to a server that is neither active nor paused": ["name-idle"],
            },
            {each.words: list(each.examples) for each in solution.undone},
        )

    def test_the_smallest_that_is_enough_goes_to_the_emptiest_pool(self):
        """90 of 100 GB are used, so more than 10 have to go."""
        solution = solve(self.pools, [volume("v1", 10), volume("v2", 12), volume("v3", 40)])
        self.assertEqual([("v2", EMPTY)], moves(solution))
        (action,) = solution.actions
        self.assertEqual("migrate", action.input_parameters["migration_type"])
        self.assertEqual("name-v2", action.input_parameters["resource_name"])
        self.assertEqual(
            "n1@full#p is 90.0 % full, not below 80 %; with it n3@empty#p is 22.0 % full",
            action.reason,
        )
        self.assertEqual(
            {
                "pools that are too full": {"before": 1, "after": 0},
                "fullest pool, %": {"before": 90.0, "after": 78.0},
            },
            dict(solution.summary),
        )
        _, indicators = efficacy.compute(WorkloadBalancingGoal, solution.indicators)
        self.assertEqual([0, 0], [each["value"] for each in indicators[:2]])

    def test_if_none_is_enough_the_largest_goes_first(self):
        volumes = [volume("v1", 3), volume("v2", 6), volume("v3", 5), volume("v4", 2)]
        self.assertEqual([("v2", EMPTY), ("v3", EMPTY)], self.solved(*volumes))

    def test_attached_volumes_go_after_the_others_and_bootable_ones_last(self):
        volumes = [attached("boot", 50, bootable=True), attached("data", 5), volume("free", 4)]
        self.assertEqual(
            ["free", "data", "boot"],
            [name for name, _ in self.solved(*volumes, volume_threshold=70)],
        )

    def test_below_the_threshold_nothing_happens(self):
        self.assertEqual([], self.solved(volume("v", 20), volume_threshold=90.1))
        self.assertNotEqual([], self.solved(volume("v", 20), volume_threshold=90))

    def test_without_a_pool_to_take_it_nothing_happens(self):
        self.assertEqual([], self.solved(volume("v", 20), volume_threshold=0))
        self.assertEqual([], moves(solve([], [])))

    def test_volumes_that_stay(self):
        for each in (
            volume("v", 20, status="error"),
            volume("v", 20, migration_status="error"),
            volume("v", 20, migration_status="target:w"),
            attached("v", 20, multiattach=True),
            attached("v", 20, server="stopped"),
        ):
            stopped = [server("s", "h"), server("stopped", "h", state="stopped")]
            self.assertEqual([], self.solved(each, servers=stopped))
        self.assertEqual([], self.solved(volume("v", 20), snapshots=["v"]))
        for each in (
            volume("v", 20, migration_status="success"),
            attached("v", 20),
            attached("v", 20, server="elsewhere"),
        ):
            self.assertEqual([("v", EMPTY)], self.solved(each))

    def test_a_cloud_without_compute_has_attached_volumes_nonetheless(self):
        model = StorageModel.build(
            [StorageNode(each.node) for each in self.pools], self.pools, [attached("v", 20)]
        )

        def refuse():
            raise NotConfigured("No cloud is configured.")

        made = clusters.inputs(StorageCapacityBalance, storage=model)
        solution = StorageCapacityBalance().execute(dataclasses.replace(made, compute_model=refuse))
        self.assertEqual([("v", EMPTY)], moves(solution))

    def test_pools_that_are_left_alone(self):
        self.pools[2] = pool("n3@empty#local_vstorage", 10)
        self.assertEqual([("v", HALF)], self.solved(volume("v", 20)))
        self.pools[0] = pool(FULL, 90, capabilities={"pool_name": "mine"})
        self.assertEqual([], self.solved(volume("v", 20), options={"ex_pools": ["mine"]}))

    def test_pools_without_a_known_capacity_are_left_out(self):
        self.pools[2] = pool(EMPTY, 10, total=None)
        self.assertEqual([("v", HALF)], self.solved(volume("v", 20)))
        self.pools[2] = pool(EMPTY, 0, total=0)
        self.assertEqual([("v", HALF)], self.solved(volume("v", 20)))

    def test_backends_that_are_down_or_disabled_take_nothing(self):
        for change in ({"state": "down"}, {"status": "disabled"}):
            nodes = [StorageNode(each.node) for each in self.pools[:2]]
            nodes.append(StorageNode(self.pools[2].node, **change))
            self.assertEqual([("v", HALF)], self.solved(volume("v", 20), nodes=nodes))

    def test_no_pool_is_filled_to_the_threshold(self):
        self.assertEqual([("v", EMPTY)], self.solved(volume("v", 69)))
        self.assertEqual([], self.solved(volume("v", 70)))

    def test_no_pool_promises_more_than_it_may(self):
        for promised in ("allocated_capacity_gb", "provisioned_capacity_gb"):
            self.pools[2] = pool(EMPTY, 10, max_over_subscription_ratio=2.0, **{promised: 181})
            self.assertEqual([("v", HALF)], self.solved(volume("v", 20)))
            self.pools[2] = pool(EMPTY, 10, max_over_subscription_ratio=2.0, **{promised: 180})
            self.assertEqual([("v", EMPTY)], self.solved(volume("v", 20)))

    def test_no_pool_is_filled_into_its_reserve(self):
        self.pools[2] = pool(EMPTY, 10, capabilities={"reserved_percentage": 71})
        self.assertEqual([("v", HALF)], self.solved(volume("v", 20)))
        self.pools[2] = pool(EMPTY, 10, capabilities={"reserved_percentage": "much"})
        self.assertEqual([("v", EMPTY)], self.solved(volume("v", 20)))

    def test_a_volume_with_a_type_stays_where_its_type_is(self):
        types = [volume_type("fast", "full"), volume_type("any", speed="high")]
        self.assertEqual([], self.solved(volume("v", 20, volume_type="fast"), types=types))
        self.assertEqual([], self.solved(volume("v", 20, volume_type="gone"), types=types))
        self.assertEqual(
            [("v", EMPTY)], self.solved(volume("v", 20, volume_type="any"), types=types)
        )

    def test_or_gets_a_type_that_differs_in_its_backend_alone(self):
        types = [
            volume_type("fast", "full", speed="high"),
            volume_type("fast-2", "half", speed="high"),
            volume_type("slow", "empty", speed="low"),
        ]
        mine = volume("v", 20, volume_type="fast")
        solution = solve(self.pools, [mine], types)
        self.assertEqual([("v", "fast-2")], moves(solution))
        self.assertEqual("retype", solution.actions[0].input_parameters["migration_type"])
        types.append(volume_type("fast-3", "empty", speed="high"))
        self.assertEqual([("v", "fast-3")], self.solved(mine, types=types))

    def test_a_retype_lands_in_the_pool_with_most_room_so_that_one_counts(self):
        big = pool("n4@empty#big", 850, total=1000)
        self.pools.append(big)
        types = [volume_type("here", "full"), volume_type("there", "empty")]
        mine = volume("v", 20, volume_type="here")
        self.assertEqual([], self.solved(mine, types=types))
        self.pools[-1] = pool("n4@empty#big", 750, total=1000)
        self.assertEqual([("v", "there")], self.solved(mine, types=types))

    def test_a_retype_must_not_land_outside_the_scope(self):
        types = [volume_type("here", "full"), volume_type("there", "empty")]
        nodes = [StorageNode(each.node) for each in self.pools]
        model = StorageModel.build(nodes, self.pools, [volume("v", 20, volume_type="here")], types)
        for outside, expected in (
            (pool("n4@empty#q", 20), [("v", "there")]),
            (pool("n4@other#q", 0), [("v", "there")]),
            (pool("n4@empty#q", 5), []),
            (pool("n4@empty#q", 5, total=None), []),
        ):
            scoped = dataclasses.replace(model, outside=[outside])
            solution = StorageCapacityBalance().execute(
                clusters.inputs(StorageCapacityBalance, storage=scoped)
            )
            self.assertEqual(expected, moves(solution))

    def test_retypes_come_first(self):
        types = [volume_type("here", "full"), volume_type("there", "half")]
        volumes = [volume("v1", 8), volume("v2", 7, volume_type="here")]
        self.assertEqual([("v2", "there"), ("v1", EMPTY)], self.solved(*volumes, types=types))

    def test_a_retype_does_not_count_on_a_migration_that_comes_after_it(self):
        """Before the migration n4 has most room, and then not enough for both."""
        pools = [pool("n0@b0#p", 46, 48), pool("n1@b1#p", 2, 66), pool("n4@b1#p", 0, 68)]
        volumes = [volume("v1", 22, "n0@b0#p"), volume("v2", 21, "n0@b0#p", volume_type="t0")]
        (action,) = solve(pools, volumes, TYPES, volume_threshold=50).actions
        self.assertEqual("n4@b1#p", action.input_parameters["destination_node"])

    def test_the_threshold_is_a_percentage(self):
        for value in (-1, 101, "x"):
            self.assertRaises(
                Invalid,
                schemas.parameters,
                StorageCapacityBalance.schema,
                {"volume_threshold": value},
            )


@st.composite
def clouds(draw):
    pools, volumes = [], []
    for number in range(draw(st.integers(1, 5))):
        name = f"n{number}@b{number % 3}#p"
        sizes = draw(st.lists(st.integers(1, 40), max_size=5))
        total = draw(st.integers(max(1, sum(sizes)), 200))
        pools.append(
            pool(
                name,
                sum(sizes),
                total,
                allocated_capacity_gb=draw(st.integers(0, 200)),
                max_over_subscription_ratio=draw(st.sampled_from([1.0, 1.5])),
                capabilities={"reserved_percentage": draw(st.sampled_from([0, 30]))},
            )
        )
        volumes += [
            volume(
                f"{number}-{index}",
                size,
                on=name,
                status=draw(st.sampled_from(["available", "in-use", "error"])),
                bootable=draw(st.booleans()),
                volume_type=draw(st.sampled_from(["", "", f"t{number % 3}", "t"])),
            )
            for index, size in enumerate(sizes)
        ]
    return pools, volumes


TYPES = [volume_type("t"), *(volume_type(f"t{each}", f"b{each}") for each in range(3))]


class Checker:
    """Carries the actions out, one by one, and remembers what they break."""

    def __init__(self, pools, volumes, threshold):
        self.pools = {each.name: each for each in pools}
        self.free = {each.name: each.free_capacity_gb for each in pools}
        self.promised = {each.name: each.allocated_capacity_gb for each in pools}
        self.volumes = {each.uuid: each for each in volumes}
        self.threshold = threshold
        self.types = {each.name: each for each in TYPES}
        self.moved = {}
        self.givers = {name for name in self.pools if self.is_over(name)}

    def is_over(self, name):
        total = self.pools[name].total_capacity_gb
        return total - self.free[name] >= total * self.threshold / 100

    def has_room(self, name, size):
        each = self.pools[name]
        free, total = self.free[name] - size, each.total_capacity_gb
        reserve = total * each.capabilities["reserved_percentage"] / 100
        return (
            total - free < total * self.threshold / 100
            and free >= reserve
            and self.promised[name] + size <= total * each.max_over_subscription_ratio
        )

    def landing(self, action, own):
        """Where the volume comes to be; a retype where cinder's scheduler puts it."""
        if action["migration_type"] == "migrate":
            return action["destination_node"]
        wanted = self.types[action["destination_type"]]
        assert not self.pools[own.host].accepts(wanted)
        fit = [name for name in sorted(self.pools) if self.pools[name].accepts(wanted)]
        return max(fit, key=lambda name: self.free[name])

    def carry_out(self, action):
        own = self.volumes.pop(action["resource_id"])
        assert own.status in ("available", "in-use")
        assert own.host in self.givers
        self.moved.setdefault(own.host, []).append(own.size_gb)
        where = self.landing(action, own)
        assert where not in self.givers
        if action["migration_type"] == "migrate" and own.volume_type:
            assert self.pools[where].accepts(self.types[own.volume_type])
        assert self.has_room(where, own.size_gb), f"{where} has no room for {own.size_gb}"
        for name, size in ((where, own.size_gb), (own.host, -own.size_gb)):
            self.free[name] -= size
            self.promised[name] += size

    def needless(self):
        """Pools that would be below the threshold without the largest volume that left."""
        return [
            name
            for name, sizes in self.moved.items()
            if (self.pools[name].total_capacity_gb - self.free[name] + max(sizes)) * 100
            < self.pools[name].total_capacity_gb * self.threshold
        ]

    def could_go_on(self):
        """Volumes that could leave a pool that is still too full, as they are."""
        return [
            (own.uuid, name)
            for own in self.volumes.values()
            if own.status != "error" and self.is_over(own.host) and not own.volume_type
            for name in self.pools
            if name not in self.givers and self.has_room(name, own.size_gb)
        ]


class NeverTest(TestCase):
    @settings(max_examples=150, deadline=None)
    @given(clouds(), st.sampled_from([50, 55, 80, 95]))
    def test_never_beyond_capacity_never_needlessly_and_never_too_little(self, cloud, threshold):
        pools, volumes = cloud
        solution = solve(pools, volumes, TYPES, volume_threshold=threshold)
        again = solve(pools[::-1], volumes[::-1], TYPES, volume_threshold=threshold)
        self.assertEqual(solution.actions, again.actions)
        checker = Checker(pools, volumes, threshold)
        for action in solution.actions:
            checker.carry_out(action.input_parameters)
        self.assertEqual(([], []), (checker.needless(), checker.could_go_on()))
