# SPDX-License-Identifier: Apache-2.0
import copy
import datetime
import gc
import json
import subprocess
import sys

import fixtures
from oslo_messaging.notify import Notifier

from watcher import rpc
from watcher.cloud import Cloud
from watcher.cloud.baremetal import BaremetalNode
from watcher.common.errors import CloudUnavailable, ModelUnavailable, NotConfigured
from watcher.conf.collectors import group
from watcher.decision_engine.collectors.collectors import Collectors
from watcher.decision_engine.collectors.compute import ComputeCollector
from watcher.decision_engine.collectors.reading import OVERLAP
from watcher.rpc.listener import CloudNotification, NotificationEndpoint, NotificationListener
from watcher.tests.base import TestCase, wait_for
from watcher.tests.unit.decision_engine.clusters import uid
from watcher.tests.unit.decision_engine.tiny_nova import BEGIN, TinyNova
from watcher.tests.unit.test_repository import ROOT

RECORDED = json.loads((ROOT / "watcher/tests/data/nova/life-of-a-server.json").read_text())
"""All that nova 33 said of one server from its creation to its deletion, on four hosts."""


class Nova(TinyNova):
    """Counts what it is asked, and may be away."""

    def __init__(self):
        super().__init__()
        self.calls, self.error = [], None
        self.create("s1", "h1")
        self.create("s2", "h2")

    def request(self, *call):
        self.calls.append(call)
        if self.error:
            raise self.error

    def asked(self):
        calls, self.calls = self.calls, []
        return calls


class Compute:
    """The Compute of a Nova."""

    def __init__(self, nova):
        self._nova = nova

    def hosts(self):
        self._nova.request("hosts")
        return list(self._nova.hosts.values())

    def server_groups(self):
        return ()

    def servers(self):
        self._nova.request("servers")
        return self._nova.live_servers()

    def changed_servers(self, since):
        self._nova.request("changed", since)
        return self._nova.changed_servers(since)


class ComputeCollectorTest(TestCase):
    def setUp(self):
        super().setUp()
        self.nova = Nova()
        self.useFixture(fixtures.MonkeyPatch("oslo_utils.timeutils.utcnow", lambda: self.nova.now))
        self.collector = ComputeCollector(self.conf, Cloud(Compute(self.nova)))

    def where(self):
        return {each.name: each.host for each in self.collector.snapshot().servers}

    def later(self, seconds):
        self.nova.now += datetime.timedelta(seconds=seconds)

    def test_everything_is_read_once_and_then_what_has_changed(self):
        began = self.nova.now
        self.assertEqual({"s1": "h1", "s2": "h2"}, self.where())
        self.assertEqual([("hosts",), ("servers",)], self.nova.asked())
        self.later(100)
        self.nova.live_migrate("s1", "h2")
        self.nova.delete("s2")
        self.assertEqual({"s1": "h2"}, self.where())
        self.assertEqual([("hosts",), ("changed", began - OVERLAP)], self.nova.asked())

    def test_without_changes_the_snapshot_is_the_same(self):
        self.assertIs(self.collector.snapshot(), self.collector.snapshot())

    def test_what_does_not_fit_is_read_again_as_a_whole(self):
        self.where()
        del self.nova.hosts["h1"]
        self.nova.asked()
        self.assertEqual({"s2": "h2"}, self.where())
        self.assertEqual(["hosts", "changed", "servers"], [call[0] for call in self.nova.asked()])

    def test_everything_is_read_again_after_the_period(self):
        self.conf.set_override("period", 600, group=group("compute"))
        for seconds, call in ((0, "servers"), (599, "changed"), (1, "servers")):
            self.later(seconds)
            self.nova.asked()
            self.where()
            self.assertEqual(call, self.nova.asked()[1][0])

    def test_everything_is_read_again_when_the_clocks_were_set_back(self):
        self.where()
        self.later(-3600)
        self.nova.live_migrate("s1", "h2")
        self.later(100)
        self.assertEqual({"s1": "h2", "s2": "h2"}, self.where())

    def test_a_sync_reads_everything(self):
        self.where()
        self.nova.asked()
        self.collector.sync().result(10)
        self.assertEqual([("hosts",), ("servers",)], self.nova.asked())

    def test_nothing_is_served_of_a_cloud_that_does_not_answer(self):
        self.where()
        self.nova.error = CloudUnavailable("nova is away")
        error = self.assertRaises(CloudUnavailable, self.collector.snapshot)
        self.assertEqual("nova is away", str(error))
        self.nova.error = None
        self.assertEqual({"s1": "h1", "s2": "h2"}, self.where())

    def test_half_a_reading_is_not_taken(self):
        self.where()
        self.nova.live_migrate("s1", "h2")
        servers, away = self.nova.changed_servers, CloudUnavailable("nova is away")
        self.nova.changed_servers = lambda since: (_ for _ in ()).throw(away)
        self.nova.add_host("h7")
        self.assertRaises(CloudUnavailable, self.collector.snapshot)
        self.nova.changed_servers = servers
        self.assertEqual({"s1": "h2", "s2": "h2"}, self.where())

    def test_a_cloud_without_hosts_is_refused(self):
        self.where()
        hosts, self.nova.hosts = self.nova.hosts, {}
        error = self.assertRaises(ModelUnavailable, self.collector.snapshot)
        self.assertIn("no compute host", str(error))
        self.nova.hosts = hosts
        self.assertEqual({"s1": "h1", "s2": "h2"}, self.where())


class Baremetal:
    keeps_hosts_up = True

    def nodes(self):
        return [BaremetalNode("2"), BaremetalNode("1")]


class CollectorsTest(TestCase):
    def test_those_of_the_configuration_are_there(self):
        cloud = Cloud(Compute(Nova()), baremetal_service=Baremetal())
        self.conf.set_override("collector_plugins", ["compute", "nonsense"], group="collector")
        logged = self.useFixture(fixtures.FakeLogger())
        kept = Collectors(self.conf, cloud)
        self.assertEqual(2, len(kept.compute().servers))
        error = self.assertRaises(NotConfigured, kept.baremetal)
        self.assertIn("collector_plugins has to name baremetal", str(error))
        self.assertIn("no collector nonsense is installed", logged.output)

    def test_machines_are_sorted(self):
        self.conf.set_override("collector_plugins", ["baremetal"], group="collector")
        model = Collectors(self.conf, Cloud(baremetal_service=Baremetal())).baremetal()
        self.assertEqual(["1", "2"], [each.uuid for each in model.nodes])
        self.assertTrue(model.keeps_hosts_up)

    def test_a_service_that_the_cloud_lacks_is_none_to_wait_for(self):
        kept = Collectors(self.conf, Cloud())
        self.assertRaises(NotConfigured, kept.compute)
        self.assertRaises(NotConfigured, kept.storage)

    def test_everything_is_read_in_the_background(self):
        nova, logged = Nova(), self.useFixture(fixtures.FakeLogger())
        kept = Collectors(self.conf, Cloud(Compute(nova)))
        kept.start()
        self.addCleanup(kept.stop)
        wait_for(lambda: ("servers",) in nova.calls, "a reading")
        wait_for(lambda: "No storage model is kept" in logged.output, "a word on storage")

    def test_what_was_read_in_the_background_is_no_work_for_the_garbage_collector(self):
        self.addCleanup(gc.unfreeze)
        gc.unfreeze()
        kept = Collectors(self.conf, Cloud(Compute(Nova())))
        kept.start()
        self.addCleanup(kept.stop)
        wait_for(gc.get_freeze_count, "objects that are not examined any more")

    def test_the_age_of_what_was_read(self):
        kept = Collectors(self.conf, Cloud(Compute(Nova())))
        self.assertEqual({}, kept.read_at())
        kept.compute()
        self.assertRaises(NotConfigured, kept.storage)
        self.assertEqual(["compute"], [*kept.read_at()])

    def test_a_reading_that_fails_in_the_background_is_logged(self):
        for error in (CloudUnavailable("nova is away"), ValueError("no number")):
            nova, logged = Nova(), self.useFixture(fixtures.FakeLogger())
            nova.error = error
            kept = Collectors(self.conf, Cloud(Compute(nova)))
            kept.start()
            wait_for(lambda said=logged, why=str(error): why in said.output, "a word on it")
            kept.stop()

    def test_what_cannot_be_understood_is_named_and_dropped(self):
        logged = self.useFixture(fixtures.FakeLogger())
        kept = Collectors(self.conf, Cloud(Compute(Nova())))
        for payload in ({}, None, {"nova_object.data": {}}):
            kept.notify(CloudNotification("nova-compute:h1", "instance.delete.end", payload, BEGIN))
        self.assertEqual(3, logged.output.count("instance.delete.end of nova-compute:h1"))


class ListenerTest(TestCase):
    """Over oslo.messaging's transport within a process."""

    def setUp(self):
        super().setUp()
        rpc.transport(self.conf, "fake://")  # which registers the option
        self.conf.set_override("transport_url", "fake://")
        self.transport = rpc.notification_transport(self.conf)
        self.heard = []

    def listen(self):
        listener = NotificationListener(self.conf, self.transport, self.heard.append)
        listener.start()
        self.addCleanup(listener.stop)

    def tell(self, message, exchange="nova", topic="versioned_notifications"):
        self.conf.set_override("control_exchange", exchange)
        notifier = Notifier(
            rpc.notification_transport(self.conf),
            driver="messagingv2",
            topics=[topic],
            publisher_id=message["publisher_id"],
        )
        notifier.info({}, message["event_type"], message["payload"])

    def test_what_nova_says_arrives(self):
        self.listen()
        self.tell(RECORDED[0])
        (heard,) = wait_for(lambda: self.heard, "the notification")
        self.assertEqual("nova-compute:compute-2", heard.publisher_id)
        self.assertEqual("instance.create.end", heard.event_type)
        self.assertEqual(RECORDED[0]["payload"], heard.payload)
        self.assertIsNone(heard.sent.tzinfo)

    def test_what_was_sent_at_no_known_time_is_named_and_dropped(self):
        logged = self.useFixture(fixtures.FakeLogger())
        endpoint = NotificationEndpoint(self.heard.append)
        for metadata in ({}, {"timestamp": None}, {"timestamp": "at noon"}):
            endpoint.info({}, "nova-compute:h1", "instance.update", {}, metadata)
        self.assertEqual([], self.heard)
        self.assertEqual(
            3, logged.output.count("instance.update of nova-compute:h1 has no valid timestamp")
        )

    def test_the_engine_forgets_a_server_that_nova_has_deleted_and_archived(self):
        nova = Nova()
        kept = Collectors(self.conf, Cloud(Compute(nova), notifies=True))
        kept.compute()
        nova.delete("s1")
        nova.archive()
        message = copy.deepcopy(RECORDED[-1])
        message["payload"]["nova_object.data"]["uuid"] = uid("s1")
        listener = NotificationListener(self.conf, self.transport, kept.notify)
        listener.start()
        self.addCleanup(listener.stop)
        self.tell(message)
        wait_for(lambda: [each.name for each in kept.compute().servers] == ["s2"], "one server")


class MemoryTest(TestCase):
    def test_readings_in_the_background_do_without_numpy(self):
        script = """
import sys
from watcher import conf as watcher_conf
from watcher.simulation.cloud import SimulatedCloud
from watcher.simulation.scenario import example_file
from watcher.decision_engine.collectors.collectors import Collectors

conf = watcher_conf.load([], [])
conf.set_override("collector_plugins", ["compute", "storage", "baremetal"], group="collector")
cloud = SimulatedCloud.from_file(example_file()).cloud
for collector in Collectors(conf, cloud)._collectors.values():
    collector.sync().exception(30)
print("numpy" in sys.modules)
"""
        ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        self.assertEqual(("False\n", 0), (ran.stdout, ran.returncode), ran.stderr)
