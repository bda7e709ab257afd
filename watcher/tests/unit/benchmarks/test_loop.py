# SPDX-License-Identifier: Apache-2.0
"""The world in which alarms are benchmarked has to be one that can be believed."""

import dataclasses
from unittest import mock

import numpy as np

from tools.benchmarks.loop import adversary, averages, inventory, pictures, tables, week
from tools.benchmarks.loop.audits import Snapshots
from tools.benchmarks.loop.demand import Given, Week
from tools.benchmarks.loop.readings import BEGIN, Readings, moment
from tools.benchmarks.loop.world import World
from watcher.tests import base

HOSTS, SERVERS = 4, 70


def world(minutes=60, share=0.5, source="prometheus", **how):
    """A world in which every server uses *share* of its vCPUs all the time."""
    shares = np.full((minutes, SERVERS), share, dtype=np.float32)
    there = inventory.make(HOSTS, SERVERS, np.random.default_rng(1))
    made = World(there, Given(shares), source, seed=1, **how)
    made.outages, made.stubborn[:] = [], False
    return made


def other_host(made, server):
    """A host with room for it."""
    fits = (made.free >= made.inventory.demand[server]).all(axis=1)
    fits[made.placement[server]] = False
    return int(np.flatnonzero(fits)[0])


class TestWorld(base.TestCase):
    def step(self, made, minutes=1):
        for _ in range(minutes):
            made.step()

    def host_use(self, made):
        return made.host_use.over(made.now, 1) * made.inventory.vcpus

    def test_load_follows_the_server(self):
        made = world()
        self.step(made, 5)
        before, destination = self.host_use(made), other_host(made, 0)
        source = made.placement[0]
        self.assertTrue(made.migrate(0, destination, begin=5))
        self.step(made, 5)
        self.assertTrue(made.next_end(10).succeeded)
        self.step(made, 3)
        change = self.host_use(made) - before
        self.assertAlmostEqual(0.5 * made.vcpus[0], change[destination], places=4)
        self.assertAlmostEqual(-0.5 * made.vcpus[0], change[source], places=4)

    def test_load_stays_on_the_host_in_a_lying_world(self):
        made = world(lies=True)
        self.step(made, 5)
        before = self.host_use(made)
        made.move_at_once(0, other_host(made, 0))
        self.step(made, 3)
        np.testing.assert_allclose(before, self.host_use(made), rtol=1e-5)

    def test_a_migration_takes_time_by_memory(self):
        made = world()
        self.step(made)
        by_memory = np.argsort(made.inventory.demand[:, 1], kind="stable")
        small, large = int(by_memory[0]), int(by_memory[-1])
        for server in (small, large):
            self.assertTrue(made.migrate(server, other_host(made, server), begin=1))
        first, second = made.next_end(60), made.next_end(60)
        self.assertEqual((small, large), (first.server, second.server))
        self.assertLess(1, first.ended)
        self.assertLess(first.ended, second.ended)

    def test_a_migration_that_fails_changes_nothing(self):
        made = world()
        made.stubborn[0] = True
        self.step(made)
        place, free = made.placement.copy(), made.free.copy()
        made.migrate(0, other_host(made, 0), begin=1)
        self.assertFalse(made.next_end(60).succeeded)
        np.testing.assert_array_equal(place, made.placement)
        np.testing.assert_array_equal(free, made.free)
        self.assertEqual((0, 1), (made.tally.result().moves, made.tally.result().failed))

    def test_servers_share_what_a_host_has(self):
        made = world(share=1.0)
        self.step(made, 3)
        over = np.bincount(made.placement, made.vcpus, HOSTS) > made.inventory.vcpus
        self.assertTrue(over.any())
        self.assertEqual(1.0, made.host_use.over(made.now, 1)[over].max())
        use = made.server_use.over(made.now, 1)
        self.assertLess(use[over[made.placement]].max(), 1.0)
        self.assertEqual(int(over[made.placement].sum()), made.tally.result().starved)

    def test_the_servers_of_a_host_that_fails_go_elsewhere(self):
        made = world()
        made.outages = [(2, 30, 1)]
        self.step(made, 20)
        self.assertFalse((made.placement == 1).any())
        self.assertFalse(made.up[1])
        self.assertEqual("down", Snapshots(made).model().hosts[1].state)
        self.assertEqual(0, made.tally.result().moves)  # Watcher has moved none of them
        self.assertTrue(Readings(made).migrations(BEGIN))
        self.step(made, 20)
        self.assertTrue(made.up[1])

    def test_a_snapshot_knows_where_servers_are(self):
        made = world()
        snapshots, destination = Snapshots(made), other_host(made, 7)
        made.move_at_once(7, destination)
        model = snapshots.model()
        np.testing.assert_array_equal(made.placement, model.placement)

    def test_a_server_that_comes_back_is_counted(self):
        made = world()
        home, away = int(made.placement[0]), other_host(made, 0)
        made.move_at_once(0, away)
        self.step(made, 59)
        made.move_at_once(0, home)
        result = made.tally.result()
        self.assertEqual((2, 1, 1), (result.moves, result.again, result.back))


class TestAverages(base.TestCase):
    def test_prometheus_knows_all_but_the_last_minute(self):
        source = averages.Prometheus(1)
        for minute in range(30):
            source.record(minute, np.array([float(minute >= 20)]))
        self.assertEqual(0.9, source.over(30, 10)[0])

    def test_gnocchi_knows_what_was_measured_once_a_granule(self):
        source, moments = averages.Gnocchi(500), range(60)
        seen = []
        for minute in moments:
            source.record(minute, np.full(500, minute >= 30))
            if (over := source.over(minute + 1, 10)) is not None:
                seen.append(over.mean())
        # It begins later than Prometheus would and takes longer, never beyond the truth.
        self.assertEqual(0, seen[30 - 21])
        self.assertEqual(1, seen[-1])
        late = next(number for number, value in enumerate(seen) if value > 0.5) + 21
        self.assertTrue(36 <= late <= 42, late)
        self.assertEqual(seen, sorted(seen))

    def test_the_product_knows_when_that_is(self):
        for source in averages.KINDS:
            begin, end = Readings(world(source=source)).window(moment(60), 600, 300)
            self.assertEqual(600, (end - begin).total_seconds())
            self.assertLessEqual(end, moment(60))


class TestWeek(base.TestCase):
    def test_the_same_seed_gives_the_same_week(self):
        one, other = (Week(50, 2, np.random.default_rng(3)) for _ in range(2))
        for minute in (0, 61, 2000):
            np.testing.assert_array_equal(one.at(minute), other.at(minute))
        np.testing.assert_array_equal(one.at(0), other.at(0))  # asked for in another order

    def test_what_comes_is_the_mean_of_what_will_be(self):
        made = Week(50, 1, np.random.default_rng(3))
        coming = np.mean([made.at(minute) for minute in range(90, 150)], axis=0)
        np.testing.assert_allclose(coming, made.ahead(90, 60), rtol=1e-5)

    def test_earlier_weeks_have_the_same_curves_and_other_noise(self):
        made = Week(500, 1, np.random.default_rng(3))
        hours = [week.ahead(14 * 60, 60) for week in map(made.earlier, range(3))]
        np.testing.assert_array_equal(hours[0], made.ahead(14 * 60, 60))
        for one, other in ((0, 1), (0, 2), (1, 2)):
            self.assertLess(0.5, np.corrcoef(hours[one], hours[other])[0, 1])
            self.assertLess(0.01, np.abs(hours[one] - hours[other]).mean())

    def test_the_past_is_that_of_earlier_weeks(self):
        made = world()
        made.demand = Week(SERVERS, 7, np.random.default_rng(3))
        servers, end = made.inventory.servers, moment(9 * 60 - 2 * 7 * 1440)
        found = Readings(made).past("instance_cpu_usage", servers, end, 3600, 300)
        usual = 100 * made.demand.earlier(2).ahead(8 * 60, 60)
        np.testing.assert_allclose(usual, [found[server.uuid] for server in servers])

    def test_days_have_a_curve(self):
        made = Week(500, 1, np.random.default_rng(3))
        self.assertLess(1.3 * made.at(5 * 60).mean(), made.at(15 * 60).mean())


class TestPolicies(base.TestCase):
    """All of them on one day of a small cloud, with what Watcher really computes."""

    def test_a_day(self):
        results = {
            policy: week.live(week.Case(policy, 2, week.QUICK, "gnocchi", "workload_balance"))
            for policy in week.POLICIES
        }
        nothing = results.pop(week.NOTHING)
        self.assertEqual(0, nothing.moves)
        self.assertLess(0, nothing.overload)
        for policy, result in results.items():
            self.assertLess(result.overload, nothing.overload, policy)
            self.assertLess(0, result.moves, policy)
        self.assertEqual(0, results[week.REMEMBERING].back)
        self.assertEqual(0, results[week.REMEMBERING].again)
        self.assertLess(results[week.REMEMBERING].runs, results[week.CONTINUOUS].runs)
        self.assertIn("EVENT, remembers", tables.text(results))
        self.assertIn("====", tables.rst(results))
        self.assertEqual({"overload", "moves"}, set(pictures.of(results)))

    def test_a_mean_of_results(self):
        made = world()
        one = made.tally.result()
        other = dataclasses.replace(one, moves=3)
        self.assertEqual(1.5, week.mean([one, other]).moves)


class TestAdversary(base.TestCase):
    """The long form is ``tools/run bench loop --adversary 1000``."""

    def test_bounds_hold_whatever_comes(self):
        self.assertLess(0, adversary.withstand(5, minutes=180))

    def test_without_memory_they_do_not(self):
        with mock.patch.object(adversary, "remembering", None):
            self.assertTrue(any(map(self.breaks, range(8))))

    @staticmethod
    def breaks(number):
        """Whether one of a few days breaks a bound; another number gives other days."""
        try:
            adversary.withstand(8, number, minutes=180)
        except AssertionError:
            return True
        return False
