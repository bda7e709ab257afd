# SPDX-License-Identifier: Apache-2.0
from watcher.common.errors import MetricsUnavailable, NotConfigured
from watcher.decision_engine.datasources import grafana
from watcher.tests.emulated.influxdb import TOKEN, InfluxDB
from watcher.tests.unit.decision_engine.clusters import server, uid
from watcher.tests.unit.decision_engine.datasources import stories
from watcher.tests.unit.decision_engine.datasources.stories import HOSTS, HOW, SERVERS

QUERY = "SELECT {0}(value) FROM {4}.cpu WHERE uuid = '{1}' AND time > now() - {2}s GROUP BY {3};"


class GrafanaTest(stories.DatasourceTest):
    def setUp(self):
        self.service = InfluxDB(
            {"vms": {uid("s1"): 40, uid("s2"): 5.5, "web": 7}, "nodes": {"h1": 90, "h2": None}}
        )
        super().setUp()

    def make(self, metric_map=None):
        self.conf.set_override("token", TOKEN, group="grafana_client")
        self.conf.set_override("base_url", f"{self.server.url}/proxy", group="grafana_client")
        self.map("instance_cpu_usage", "vms", "uuid", QUERY)
        return grafana.Grafana(self.tools(metric_map))

    def map(self, metric, database, attribute, query, translator="influxdb"):
        for option, value in {
            "project_id_map": "7",
            "database_map": database,
            "attribute_map": attribute,
            "translator_map": translator,
            "query_map": query,
        }.items():
            self.conf.set_override(option, {metric: value}, group="grafana_client")


class TestGrafana(GrafanaTest, stories.Stories):
    def test_what_is_asked(self):
        self.assertEqual({uid("s1"): 40.0, uid("s2"): 5.5}, self.ask())
        request = self.server.requests[0]
        self.assertEqual(("GET", "/proxy/7/query"), (request.method, request.path))
        self.assertEqual(("vms", "ms"), (request.args["db"], request.args["epoch"]))
        self.assertEqual(
            f"SELECT mean(value) FROM one_week.cpu WHERE uuid = '{uid('s1')}' "
            "AND time > now() - 600s GROUP BY 300",
            self.service.statements[0],
        )

    def test_a_count_is_one_of_influxdbs_functions(self):
        self.ask(aggregate="count")
        self.assertIn("SELECT count(", self.service.statements[0])

    def test_no_granularity_is_one(self):
        self.ask(granularity=0)
        self.assertIn("GROUP BY 1", self.service.statements[0])

    def test_long_queries_are_posted_in_pieces(self):
        self.patch(grafana, "CHUNK", 2500)
        servers = [*SERVERS, *(server(f"t{number}", "h1") for number in range(50))]
        found = self.source.server_metric(self.metric, servers, **HOW)
        self.assertEqual({uid("s1"), uid("s2")}, set(found))
        methods = [request.method for request in self.server.requests]
        self.assertEqual(1, methods.count("GET"), "the rest is short")
        self.assertLess(1, methods.count("POST"))
        self.assertTrue(all(len(request.get_data()) < 5000 for request in self.server.requests))
        self.assertEqual(53, len(self.service.statements))

    def test_a_token_that_cannot_be_sent_is_not_shown_either(self):
        self.conf.set_override("token", "hunter2\n", group="grafana_client")
        source = grafana.Grafana(self.tools())
        error = self.assertRaises(
            MetricsUnavailable, source.server_metric, self.metric, SERVERS, **HOW
        )
        self.assertIn("a header", str(error))
        while error is not None:
            self.assertNotIn("hunter2", str(error))
            error = error.__cause__

    def test_nothing_to_ask_is_not_asked(self):
        self.assertEqual({}, self.source.server_metric(self.metric, [], **HOW))
        self.assertEqual([], self.server.requests)

    def test_an_error_of_influxdb_is_shown(self):
        self.map(self.metric, "vms", "uuid", "DROP {0} {1}")
        source = grafana.Grafana(self.tools())
        error = self.assertRaises(
            MetricsUnavailable, source.server_metric, self.metric, SERVERS, **HOW
        )
        self.assertIn("error parsing query", str(error))
        self.assertEqual(1, len(self.server.requests))


class TestMapping(GrafanaTest):
    def test_the_retention_period_is_the_shortest_that_is_longer(self):
        for period, retention in {
            604799: "one_week",
            604800: "one_month",
            31556951: "five_years",
            99999999: "five_years",
        }.items():
            self.source.server_metric("instance_cpu_usage", SERVERS, **(HOW | {"period": period}))
            self.assertIn(f"FROM {retention}.cpu", self.service.statements[-1])

    def test_lengths_of_retention_periods_are_numbers(self):
        for periods in ({}, {"long": "very"}):
            self.conf.set_override("retention_periods", periods, group="grafana_translators")
            error = self.assertRaises(NotConfigured, grafana.Grafana, self.tools())
            self.assertIn("retention_periods", str(error))

    def test_a_name_cannot_leave_its_string(self):
        self.map("instance_cpu_usage", "vms", "name", QUERY)
        name = "x'; DROP DATABASE vms; --\\"
        self.service.databases = {"vms": {name: 1}}
        source = grafana.Grafana(self.tools())
        found = source.server_metric("instance_cpu_usage", [server(name, "h1")], **HOW)
        self.assertEqual({uid(name): 1}, found)
        self.assertEqual(1, len(self.service.statements))

    def test_null_is_no_data(self):
        mapped = {"project": 7, "db": "nodes", "attribute": "hostname", "translator": "influxdb"}
        source = self.make({"host_cpu_usage": {**mapped, "query": QUERY}})
        self.assertEqual({"host_cpu_usage", "instance_cpu_usage"}, set(source.metrics))
        self.assertEqual({uid("h1"): 90}, source.host_metric("host_cpu_usage", HOSTS, **HOW))

    def test_only_what_is_mapped_in_full(self):
        for mapped in (
            {"translator": "other"},
            {"database": None},
            {"query": None},
        ):
            facts = {"database": "d", "attribute": "uuid", "query": "q"}
            self.map("host_power", **(facts | mapped))
            self.assertEqual({}, dict(grafana.Grafana(self.tools()).metrics))

    def test_attributes_and_placeholders_that_do_not_exist(self):
        for attribute, query, words in (
            ("hostname", QUERY, "a server has no 'hostname'"),
            ("uuid", "SELECT {5}", "placeholders"),
            ("uuid", "SELECT {mean}", "placeholders"),
            ("uuid", "SELECT {", "placeholders"),
        ):
            self.map("instance_cpu_usage", "vms", attribute, query)
            source = grafana.Grafana(self.tools())
            error = self.assertRaises(
                NotConfigured, source.server_metric, "instance_cpu_usage", SERVERS, **HOW
            )
            self.assertIn(words, str(error))

    def test_a_database_that_is_not_there(self):
        self.map("instance_cpu_usage", "absent", "uuid", QUERY)
        self.assertFalse(grafana.Grafana(self.tools()).available("instance_cpu_usage"))

    def test_what_it_needs_is_named(self):
        for option, value in (("token", None), ("base_url", "grafana"), ("base_url", None)):
            with self.subTest(option):
                self.make()
                self.conf.set_override(option, value, group="grafana_client")
                error = self.assertRaises(NotConfigured, grafana.Grafana, self.tools())
                self.assertIn(f"[grafana_client] {option}", str(error))
