# SPDX-License-Identifier: Apache-2.0
from watcher.decision_engine.datasources.aetos import Aetos
from watcher.tests.emulated import keystone
from watcher.tests.emulated.prometheus import Prometheus
from watcher.tests.emulated.server import EmulatedServer
from watcher.tests.unit.decision_engine.clusters import uid
from watcher.tests.unit.decision_engine.datasources import stories


class TestAetos(stories.DatasourceTest, stories.Stories):
    def setUp(self):
        self.service = Prometheus({"ceilometer_cpu": {uid("s1"): 40, uid("s2"): 0}})
        super().setUp()

    def make(self, metric_map=None):
        services = keystone.Keystone({"metric-storage": self.server.url})
        identity = self.useFixture(EmulatedServer(services))
        keystone.configure(self.conf, identity.url)
        return Aetos(self.tools(metric_map))

    def test_it_shows_its_token(self):
        self.source.check()
        self.assertEqual(keystone.TOKEN, self.server.requests[0].headers["X-Auth-Token"])

    def test_the_labels_are_its_own(self):
        self.conf.set_override("instance_uuid_label", "vm", group="aetos_client")
        self.ask()
        self.assertIn("by (vm)", self.service.queries[0])
