# SPDX-License-Identifier: Apache-2.0
"""Watcher's services in the process of the test, at work on the real cloud."""

import os
from collections import Counter, defaultdict
from typing import Any
from urllib.parse import urlsplit

from watcherclient import client as watcherclient

from watcher.cmd import cloud
from watcher.cmd.all_in_one import LocalServices
from watcher.decision_engine.datasources.choice import Datasources
from watcher.tests.base import wait_for
from watcher.tests.lab.real_cloud import RealCloudTestCase

MINUTES = 300.0
"""Seconds that a plan is given."""


class ServicesTestCase(RealCloudTestCase):
    """A test that leaves each server and each host as it has found them."""

    def setUp(self) -> None:
        super().setUp()
        self.configure()
        self.nova = self.compute()
        self.found = {server.uuid: server.host for server in self.nova.servers()}
        self.addCleanup(self.bring_back)
        self.services = LocalServices(self.conf, cloud.connect(self.conf), 0)
        self.services.start()
        self.addCleanup(self.services.stop)
        self.client: Any = watcherclient.get_client(
            "1",
            os_auth_token="none",
            os_endpoint_override=self.services.endpoint,
            os_infra_optim_api_version="1.5",
        )

    def configure(self) -> None:
        """All but the cloud itself is on this machine."""
        path = os.path.join(self.directory, "watcher.sqlite")
        self.conf.set_override("connection", f"sqlite:///{path}", group="database")
        self.conf.set_override("enable_authentication", False)
        self.conf.set_override("collector_plugins", ["compute"], group="collector")
        self.conf.set_override("notification_topics", [], group="watcher_decision_engine")
        self.conf.set_override("migration_interval", 1.0, group="nova")
        self.conf.set_override("datasources", ["prometheus"], group="watcher_datasources")
        cloud_host = urlsplit(os.environ["OS_AUTH_URL"]).hostname
        prometheus = urlsplit(os.environ.get("LAB_PROMETHEUS_URL", f"http://{cloud_host}:9090"))
        for option, value in (("host", prometheus.hostname), ("port", prometheus.port)):
            self.conf.set_override(option, value, group="prometheus_client")

    def audit(self, strategy: str, audit_type: str = "ONESHOT", **parameters: Any) -> Any:
        goal = self.client.strategy.get(strategy).goal_name
        return self.client.audit.create(
            goal=goal,
            strategy=strategy,
            audit_type=audit_type,
            parameters=parameters,
            auto_trigger=True,
        )

    def carried_out(self, audit: Any) -> list[Any]:
        """The actions of the audit's plan, all of which have succeeded."""
        plan = wait_for(lambda: self._plan(audit), "the audit has a plan", MINUTES)
        over = ("SUCCEEDED", "FAILED", "CANCELLED")
        plan = wait_for(
            lambda: self._in_state(plan.uuid, over), f"plan {plan.uuid} is over", MINUTES
        )
        actions: list[Any] = self.client.action.list(action_plan=plan.uuid, detail=True)
        self.assertEqual(
            [("SUCCEEDED", None)] * len(actions),
            [(action.state, action.status_message) for action in actions],
        )
        self.assertEqual("SUCCEEDED", plan.state, plan.status_message)
        self.assertNotEqual([], actions)
        self.assertNotIn(None, [action.reason for action in actions])
        return actions

    def check_moves(self, actions: list[Any]) -> None:
        """Nova has each migrated server where its action wanted it."""
        where = {server.uuid: server.host for server in self.nova.servers()}
        moves = [action.input_parameters for action in actions if action.action_type == "migrate"]
        self.assertNotEqual([], moves)
        for move in moves:
            now = where[move["resource_id"]]
            self.assertNotEqual(move["source_node"], now)
            self.assertEqual(move.get("destination_node", now), now)

    def fullest_host(self) -> str:
        ((hostname, _),) = Counter(host for host in self.found.values()).most_common(1)
        return hostname

    def cpu_of_hosts(self) -> dict[str, float]:
        """Hostname to the per cent of its vCPUs that its servers use."""
        datasources = Datasources(self.conf)
        self.addCleanup(datasources.stop)
        ((source,), _) = datasources.all()
        servers = self.nova.servers()
        use = source.server_metric("instance_cpu_usage", servers, 300, "mean", 300)
        hosts = {host.hostname: host.vcpus for host in self.nova.hosts()}
        needed = dict.fromkeys(hosts, 0.0)
        for server in servers:
            needed[server.host] += server.vcpus * use.get(server.uuid, 0.0)
        return {hostname: needed[hostname] / vcpus for hostname, vcpus in hosts.items()}

    def bring_back(self) -> None:
        for host in self.nova.hosts():
            if not host.available:
                self.nova.enable(host.hostname)
        homes = defaultdict(list)
        for server in self.nova.servers():
            home = self.found.get(server.uuid, server.host)
            if server.host != home and server.migration == "live":
                homes[home].append(server.uuid)
        for home, uuids in homes.items():
            for uuid in uuids:
                self.nova.live_migrate(uuid, home)
                self.at_rest(self.nova, uuid)

    def _plan(self, audit: Any) -> Any:
        state = self.client.audit.get(audit.uuid)
        self.assertNotEqual("FAILED", state.state, state.status_message)
        return next(iter(self.client.action_plan.list(audit=audit.uuid)), None)

    def _in_state(self, uuid: str, states: tuple[str, ...]) -> Any:
        plan = self.client.action_plan.get(uuid)
        return plan if plan.state in states else None
