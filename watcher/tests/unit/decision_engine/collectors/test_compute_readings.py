# SPDX-License-Identifier: Apache-2.0
import copy
import dataclasses
import datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.cloud.compute import Server
from watcher.decision_engine.collectors import nova_notifications as nova
from watcher.decision_engine.collectors.compute_readings import ComputeReadings
from watcher.model.compute import ComputeModel
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine.clusters import host, server, uid
from watcher.tests.unit.decision_engine.tiny_nova import BEGIN, RECORDED, TinyNova, heard

SERVERS, HOSTS = [f"s{number}" for number in range(4)], [f"h{number}" for number in range(5)]
names, hostnames = st.sampled_from(SERVERS), st.sampled_from(HOSTS)
deeds = st.one_of(
    st.tuples(st.just("create"), names, st.sampled_from(HOSTS[:3]), st.sampled_from(["", "az1"])),
    st.tuples(st.just("create"), names, st.sampled_from(HOSTS[:3]), st.just(""), st.booleans()),
    st.tuples(st.sampled_from(["live_migrate", "cold_migrate"]), names, hostnames),
    st.tuples(st.just("resize"), names, st.integers(1, 4)),
    st.tuples(st.just("rename"), names, st.dictionaries(st.just("k"), st.sampled_from("ab"))),
    st.tuples(
        st.sampled_from(["power_off", "lock", "shelve", "soft_delete", "restore", "delete"]), names
    ),
    st.tuples(st.just("disable"), hostnames, st.sampled_from([None, "broken"])),
    st.tuples(st.just("force_down"), hostnames, st.booleans()),
    st.tuples(st.sampled_from(["add_host", "remove_host"]), st.sampled_from(HOSTS[2:])),
)


def do(cloud, some):
    for deed, *arguments in some:
        getattr(cloud, deed)(*arguments)


def at(seconds):
    return BEGIN + datetime.timedelta(seconds=seconds)


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


class NotificationsTest(TestCase):
    """Notifications keep the model right, whenever the hosts and servers were read."""

    def check(self, readings, cloud):
        truth = ComputeModel.build(list(cloud.hosts.values()), cloud.live_servers())
        self.assertEqual(shown(truth), shown(readings.model()))

    @settings(max_examples=150, deadline=None)
    @given(
        before=st.lists(deeds, max_size=8),
        meanwhile=st.lists(deeds, max_size=4),
        after=st.lists(deeds, max_size=10),
        data=st.data(),
    )
    def test_as_a_reading_afterwards_shows_it(self, before, meanwhile, after, data):
        cloud, readings = TinyNova(), ComputeReadings()
        do(cloud, before)
        began, hosts = cloud.now, list(cloud.hosts.values())
        do(cloud, meanwhile)  # while the reading is under way
        early = data.draw(st.integers(0, len(cloud.notifications)))
        for notification in cloud.notifications[:early]:
            nova.apply(readings, notification)
        readings.read_all(began, hosts, cloud.live_servers(), ())
        if data.draw(st.booleans()):
            readings.model()
        do(cloud, after)
        late = [*range(early, len(cloud.notifications))]
        for number in data.draw(st.permutations(late + late[:3])):  # some of them come twice
            nova.apply(readings, cloud.notifications[number])
        if readings.complete:
            self.check(readings, cloud)
        since = began - datetime.timedelta(seconds=1)
        hosts = list(cloud.hosts.values())
        cloud.now += datetime.timedelta(seconds=1)
        if not readings.read_changes(cloud.now, hosts, cloud.changed_servers(since), ()):
            readings.read_all(cloud.now, hosts, cloud.live_servers(), ())
        self.assertTrue(readings.complete)
        self.check(readings, cloud)

    def test_a_host_that_comes_back_has_to_be_read(self):
        cloud, readings = TinyNova(), ComputeReadings()
        do(cloud, [("disable", "h2", None), ("remove_host", "h2")])
        nova.apply(readings, cloud.notifications[0])
        readings.read_all(cloud.now, list(cloud.hosts.values()), [], ())
        self.assertTrue(readings.complete)
        do(cloud, [("add_host", "h2")])
        nova.apply(readings, cloud.notifications[-1])
        self.assertFalse(readings.complete)

    @settings(max_examples=100, deadline=None)
    @given(rounds=st.lists(st.lists(deeds, max_size=5), max_size=5))
    def test_reading_what_has_changed_is_as_good_as_reading_everything(self, rounds):
        cloud, readings = TinyNova(), ComputeReadings()
        readings.read_all(cloud.now, list(cloud.hosts.values()), [], ())
        for some in rounds:
            since = readings.read_at
            do(cloud, some)
            hosts = list(cloud.hosts.values())
            if not readings.read_changes(cloud.now, hosts, cloud.changed_servers(since), ()):
                readings.read_all(cloud.now, hosts, cloud.live_servers(), ())
            self.check(readings, cloud)


class RecordedTest(TestCase):
    def test_the_life_of_a_server(self):
        readings = ComputeReadings()
        hosts = [host(f"compute-{number}") for number in range(4)]
        messages = [heard(message) for message in RECORDED]
        readings.read_all(messages[0].sent, hosts, [], ())
        seen = []
        for message in messages:
            nova.apply(readings, message)
            now = [(each.host, each.state, each.task_state) for each in readings.model().servers]
            if now not in seen[-1:]:
                seen.append(now)
        self.assertEqual(
            [
                [("compute-2", "active", None)],
                [("compute-3", "active", None)],  # migrated live
                [("compute-2", "active", "resize_migrated")],
                [("compute-2", "resized", None)],
                [("compute-2", "active", None)],  # confirmed
                [("compute-2", "stopped", None)],
                [("compute-2", "active", None)],
                [("compute-2", "active", "deleting")],
                [],
            ],
            seen,
        )

    def test_all_of_a_server(self):
        data = RECORDED[0]["payload"]["nova_object.data"]
        self.assertEqual(
            Server(
                uuid="1b5ef9e1-7c07-4aeb-8533-44713ff324ae",
                name="notif-1",
                host="compute-2",
                vcpus=1,
                memory_mb=2048,
                disk_gb=10,
                project_id="2ca6c2ddf545496395316494d8e1c21f",
                created=datetime.datetime(2026, 11, 22, 11, 22, 27),
                flavor="lab.small",
            ),
            nova.server(data),
        )

    def test_a_service_that_was_not_seen_for_long_is_down(self):
        message = copy.deepcopy(next(m for m in RECORDED if m["event_type"] == "service.update"))
        data = message["payload"]["nova_object.data"]
        sent = heard(message).sent
        self.assertEqual("up", nova.host_changes(data, sent)["state"])
        later = sent + datetime.timedelta(seconds=61)
        self.assertEqual("down", nova.host_changes(data, later)["state"])
        self.assertEqual("up", nova.host_changes(data | {"last_seen_up": None}, later)["state"])
        self.assertEqual("down", nova.host_changes(data | {"forced_down": True}, sent)["state"])

    def test_others_may_say_what_they_like(self):
        readings = ComputeReadings()
        message = heard(RECORDED[0])
        for other in (
            {"publisher_id": "cinder-volume:1"},
            {"event_type": "instance.live_migration_post.end"},
            {"event_type": "instance.create.start"},
            {"event_type": "keypair.create.end"},
        ):
            nova.apply(readings, dataclasses.replace(message, payload={}, **other))
        readings.read_all(BEGIN, [host("h1")], [], ())
        self.assertTrue(readings.complete)


class ClusterTest(TestCase):
    def setUp(self):
        super().setUp()
        self.readings = ComputeReadings()
        self.hosts = [host("h1"), host("h2")]
        self.servers = [server("s1", "h1"), server("s2", "h2")]
        self.readings.read_all(at(10), self.hosts, self.servers, ())

    def where(self):
        return {each.name: each.host for each in self.readings.model().servers}

    def test_nothing_changed_is_the_same_model(self):
        model = self.readings.model()
        self.assertTrue(self.readings.read_changes(at(20), self.hosts, self.servers[:1], ()))
        self.assertIs(model, self.readings.model())

    def test_a_model_stays_as_it_is(self):
        model = self.readings.model()
        before = shown(model)
        self.readings.read_changes(at(20), self.hosts[:2], [server("s1", "h2")], ())
        self.assertIsNot(model, self.readings.model())
        self.assertEqual(before, shown(model))
        self.assertRaises(ValueError, model.placement.fill, 0)

    def test_what_was_said_before_the_reading_does_not_undo_it(self):
        self.readings.update_server(at(9), uid("s1"), server("s1", "h2"))
        self.readings.update_host(at(9), "h1", {"state": "down"})
        self.assertEqual("h1", self.where()["s1"])
        self.assertEqual("up", self.readings.model().hosts[0].state)

    def test_what_is_said_counts_until_the_next_reading(self):
        self.readings.update_server(at(11), uid("s1"), server("s1", "h2"))
        self.assertEqual("h2", self.where()["s1"])
        self.readings.read_changes(at(20), self.hosts, [], ())
        self.assertEqual("h1", self.where()["s1"])

    def test_the_last_word_counts_and_not_the_last_to_arrive(self):
        self.readings.update_server(at(12), uid("s1"), None)
        self.readings.update_server(at(11), uid("s1"), server("s1", "h2"))
        self.assertEqual({"s2": "h2"}, self.where())

    def test_a_server_on_an_unknown_host_asks_for_a_reading(self):
        self.readings.update_server(at(11), uid("s1"), server("s1", "h3"))
        self.assertFalse(self.readings.complete)
        self.assertFalse(self.readings.read_changes(at(20), self.hosts, [], ()))
        hosts = [*self.hosts, host("h3")]
        self.assertTrue(self.readings.read_changes(at(20), hosts, [server("s1", "h3")], ()))
        self.assertTrue(self.readings.complete)
        self.assertEqual("h3", self.where()["s1"])

    def test_changes_on_an_unknown_host_do_not_fit(self):
        moved = [server("s1", "h3")]
        self.assertFalse(self.readings.read_changes(at(20), self.hosts, moved, ()))
        self.assertEqual("h1", self.where()["s1"])

    def test_a_host_that_is_gone_with_its_servers_does_not_fit(self):
        self.assertFalse(self.readings.read_changes(at(20), self.hosts[1:], [], ()))
        gone = [server("s1", "h1", state="deleted")]
        self.assertTrue(self.readings.read_changes(at(20), self.hosts[1:], gone, ()))
        self.assertEqual({"s2": "h2"}, self.where())

    def test_hosts_of_bare_metal_do_not_cause_readings_for_ever(self):
        servers = [*self.servers, server("metal", "ironic-1")]
        self.readings.update_host(at(11), "ironic-2", {"state": "up"})
        self.readings.read_all(at(20), self.hosts, servers, ())
        self.readings.update_host(at(21), "ironic-1", {"state": "up"})
        self.readings.update_host(at(21), "ironic-2", {"state": "up"})
        self.assertTrue(self.readings.complete)
        self.assertTrue(self.readings.read_changes(at(30), self.hosts, servers[2:], ()))
        self.assertEqual({"s1": "h1", "s2": "h2"}, self.where())

    def test_a_host_that_comes_during_a_reading_is_no_bare_metal(self):
        readings = ComputeReadings()
        readings.update_host(at(11), "h3", {"state": "up"})
        readings.read_all(at(10), self.hosts, [server("s3", "h3")], ())
        self.assertFalse(readings.complete)
        self.assertTrue(readings.read_changes(at(20), [*self.hosts, host("h3")], [], ()))
        self.assertTrue(readings.complete)

    def test_groups_are_those_of_the_last_reading(self):
        self.readings.model()
        self.readings.read_changes(at(20), self.hosts, [], ["a group"])
        self.assertEqual(("a group",), self.readings.model().groups)
