# SPDX-License-Identifier: Apache-2.0
import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.cloud.compute import RESOURCES
from watcher.cloud.needs import Holding
from watcher.decision_engine.collectors.compute_readings import ComputeReadings
from watcher.model.compute import ComputeModel
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine.clusters import host, server, uid
from watcher.tests.unit.decision_engine.tiny_nova import TinyNova

SERVERS, HOSTS = [f"s{number}" for number in range(4)], [f"h{number}" for number in range(5)]
names, hostnames = st.sampled_from(SERVERS), st.sampled_from(HOSTS)
deeds = st.one_of(
    st.tuples(st.just("create"), names, st.sampled_from(HOSTS[:3]), st.sampled_from(["", "az1"])),
    st.tuples(st.just("live_migrate"), names, hostnames),
    st.tuples(st.just("resize"), names, st.integers(1, 4)),
    st.tuples(st.sampled_from(["power_off", "shelve", "soft_delete", "restore", "delete"]), names),
    st.tuples(st.just("disable"), hostnames, st.sampled_from([None, "broken"])),
    st.tuples(st.sampled_from(["add_host", "remove_host"]), st.sampled_from(HOSTS[2:])),
)
NIC = Holding((("NIC", 1),), ())


def do(cloud, some):
    for deed, *arguments in some:
        getattr(cloud, deed)(*arguments)


def shown(model):
    """All there is to a model, comparable."""
    arrays = (model.capacity, model.demand, model.placement, model.movable)
    return (
        tuple(model.hosts),
        tuple(model.servers),
        tuple(model.groups),
        [array.tolist() for array in arrays],
        model.host_index,
        model.server_index,
    )


class ChangesTest(TestCase):
    def check(self, readings, cloud):
        truth = ComputeModel.build(list(cloud.hosts.values()), cloud.live_servers())
        self.assertEqual(shown(truth), shown(readings.model()))
        names = [each.hostname for each in truth.hosts]
        for more, doubted in ((0, []), (1, names)):
            amounts = (truth.used() + more).tolist()
            used = [dict(zip(RESOURCES, row, strict=True)) for row in amounts]
            readings.read_used(dict(zip(names, used, strict=True)))
            self.assertEqual(doubted, readings.doubted())

    @settings(max_examples=150, deadline=None)
    @given(rounds=st.lists(st.lists(deeds, max_size=8), max_size=5), archived=st.booleans())
    def test_reading_what_has_changed_is_as_good_as_reading_everything(self, rounds, archived):
        cloud, readings = TinyNova(), ComputeReadings()
        readings.read_all(list(cloud.hosts.values()), [], ())
        since = cloud.now
        for some in rounds:
            do(cloud, some)
            deleted = {each.uuid for each in cloud.servers.values() if each.state == "deleted"}
            if archived:
                cloud.archive()
            changed, hosts = cloud.changed_servers(since), list(cloud.hosts.values())
            since = cloud.now
            if not readings.read_changes(hosts, changed, (), deleted):
                readings.read_all(hosts, cloud.live_servers(), (), deleted)
            self.check(readings, cloud)


class ClusterTest(TestCase):
    def setUp(self):
        super().setUp()
        self.readings = ComputeReadings()
        self.hosts = [host("h1"), host("h2")]
        self.servers = [server("s1", "h1"), server("s2", "h2")]
        self.readings.read_all(self.hosts, self.servers, ())

    def where(self):
        return {each.name: each.host for each in self.readings.model().servers}

    def test_nothing_changed_is_the_same_model(self):
        model = self.readings.model()
        self.assertTrue(self.readings.read_changes(self.hosts, self.servers[:1], ()))
        self.assertIs(model, self.readings.model())

    def test_a_model_stays_as_it_is(self):
        model = self.readings.model()
        before = shown(model)
        self.readings.read_changes(self.hosts[:2], [server("s1", "h2")], ())
        self.assertIsNot(model, self.readings.model())
        self.assertEqual(before, shown(model))
        self.assertRaises(ValueError, model.placement.fill, 0)

    def test_changes_on_an_unknown_host_do_not_fit(self):
        moved = [server("s1", "h3")]
        self.assertFalse(self.readings.read_changes(self.hosts, moved, ()))
        self.assertEqual("h1", self.where()["s1"])

    def test_a_host_that_is_gone_with_its_servers_does_not_fit(self):
        self.assertFalse(self.readings.read_changes(self.hosts[1:], [], ()))
        gone = [server("s1", "h1", state="deleted")]
        self.assertTrue(self.readings.read_changes(self.hosts[1:], gone, ()))
        self.assertEqual({"s2": "h2"}, self.where())

    def test_hosts_of_bare_metal_do_not_cause_readings_for_ever(self):
        servers = [*self.servers, server("metal", "ironic-1")]
        self.readings.read_all(self.hosts, servers, ())
        self.assertTrue(self.readings.read_changes(self.hosts, servers[2:], ()))
        self.assertEqual({"s1": "h1", "s2": "h2"}, self.where())

    def test_groups_are_those_of_the_last_reading(self):
        self.readings.model()
        self.readings.read_changes(self.hosts, [], ["a group"])
        self.assertEqual(("a group",), self.readings.model().groups)

    def test_what_servers_have_of_providers_below_their_hosts(self):
        there = dataclasses.replace(self.hosts[0], nested={uid("s1"): (NIC,), "others": (NIC,)})
        elsewhere = dataclasses.replace(self.hosts[1], nested={uid("s1"): (NIC,)})
        self.readings.model()
        for hosts, unjudged in (
            ([there, self.hosts[1]], ("NIC",)),
            (self.hosts, ()),
            ([self.hosts[0], elsewhere], ()),
            ([there, elsewhere], ("NIC",)),
        ):
            self.assertTrue(self.readings.read_changes(hosts, [], ()))
            everything = ComputeReadings()
            everything.read_all(hosts, self.servers, ())
            for readings in (self.readings, everything):
                model = readings.model()
                self.assertEqual(unjudged, model.servers[0].needs.unjudged)
                self.assertEqual((), model.servers[1].needs.unjudged)
