# SPDX-License-Identifier: Apache-2.0
import fixtures
from oslo_config import cfg

from watcher.common.errors import Invalid, MetricsUnavailable, NotConfigured
from watcher.conf.datasources import DATASOURCES_OF_STRATEGY
from watcher.decision_engine.datasources import metric_map
from watcher.decision_engine.datasources.choice import Datasources
from watcher.decision_engine.strategies.base import Strategy
from watcher.tests.base import TestCase


class Cooling(Strategy):
    name = "cooling"
    metrics = ("host_outlet_temp",)
    optional_metrics = ("host_power",)


class Source:
    """A datasource that maps what the class says."""

    maps: tuple[str, ...] = ("host_outlet_temp",)
    made = 0
    alive = True

    def __init__(self, tools):
        type(self).made += 1
        self.tools = tools
        self.metrics = {name: f"{self.name}.{name}" for name in self.maps} | tools.metric_map
        self.checks = 0

    def check(self):
        self.checks += 1
        if not self.alive:
            raise MetricsUnavailable(f"Datasource {self.name} gave no answer: it is out.")

    def available(self, metric):
        self.check()
        return metric in self.metrics


def source(name, **values):
    return type(name, (Source,), {"name": name, "made": 0, **values})


class TestChoice(TestCase):
    def setUp(self):
        super().setUp()
        self.conf.register_opts([DATASOURCES_OF_STRATEGY], group="watcher_strategies.cooling")

    def datasources(self, *sources, order=None):
        installed = {each.name: each for each in sources}
        names = order or list(installed)
        self.conf.set_override("datasources", names, group="watcher_datasources")
        datasources = Datasources(self.conf)
        datasources.installed = installed  # in place of what the entry points name
        return datasources

    def chosen(self, *sources, **how):
        return self.datasources(*sources, **how).serving(Cooling).name

    def test_the_first_in_order_that_fits(self):
        plain, poor = source("plain"), source("poor", maps=("host_power",))
        self.assertEqual("plain", self.chosen(poor, plain))
        self.assertEqual("plain", self.chosen(plain, source("other")))
        self.assertEqual("other", self.chosen(plain, source("other"), order=["other", "plain"]))

    def test_what_a_strategy_merely_likes_is_not_required(self):
        self.assertEqual("plain", self.chosen(source("plain"), source("all", maps=())))

    def test_the_strategy_has_its_own_order(self):
        group = "watcher_strategies.cooling"
        self.conf.set_override("datasources", ["second"], group=group)
        self.assertEqual("second", self.chosen(source("first"), source("second")))

    def test_a_source_without_a_choice_is_not_checked(self):
        self.assertEqual(0, self.datasources(source("only", alive=False)).serving(Cooling).checks)

    def test_who_does_not_answer_is_passed_over(self):
        self.assertEqual("up", self.chosen(source("down", alive=False), source("up")))

    def test_if_no_datasource_answers_each_is_named(self):
        datasources = self.datasources(
            source("one", alive=False), source("two", alive=False), source("poor", maps=())
        )
        error = self.assertRaises(MetricsUnavailable, datasources.serving, Cooling)
        self.assertTrue(error.passing)
        for words in ("cooling", "Datasource one", "Datasource two", "poor: It has no host_outlet"):
            self.assertIn(words, str(error))

    def test_if_no_datasource_fits_the_reason_of_each_is_given(self):
        def not_configured(self, tools):
            raise NotConfigured("[bare] host is not set.")

        def broken(self, tools):
            raise ZeroDivisionError("oh")

        datasources = self.datasources(
            source("bare", __init__=not_configured),
            source("broken", __init__=broken),
            order=["bare", "broken", "absent"],
        )
        error = self.assertRaises(NotConfigured, datasources.serving, Cooling)
        self.assertFalse(error.passing)
        for words in ("bare: [bare] host", "broken: It cannot be used: ZeroDiv", "absent: Inst"):
            self.assertIn(words, str(error))

    def test_prometheus_and_aetos_exclude_each_other(self):
        datasources = self.datasources(order=["prometheus", "gnocchi", "aetos"])
        error = self.assertRaises(Invalid, datasources.serving, Cooling)
        self.assertIn("prometheus and aetos", str(error))
        self.assertIn("prometheus and aetos", datasources.report(Cooling).problem)

    def test_none_at_all(self):
        self.conf.set_override("datasources", [], group="watcher_datasources")
        error = self.assertRaises(NotConfigured, Datasources(self.conf).serving, Cooling)
        self.assertIn("[watcher_datasources] datasources", str(error))

    def test_a_cloud_that_measures_itself_is_asked_alone(self):
        own = source("own")
        tools = type("Tools", (), {"metric_map": {}})
        datasources = Datasources(self.conf, own(tools))
        self.assertEqual("own", datasources.serving(Cooling).name)
        report = datasources.report(Cooling)
        self.assertEqual(("own", True), (report.source, report.answers))
        self.assertEqual({"host_outlet_temp": True, "host_power": False}, report.metrics)

    def test_each_is_made_once(self):
        plain = source("plain")
        datasources = self.datasources(plain)
        self.assertIs(datasources.serving(Cooling), datasources.serving(Cooling))
        self.assertEqual(1, plain.made)

    def test_a_stop_ends_waits(self):
        datasources = self.datasources(source("plain"))
        datasources.stop()
        self.assertTrue(datasources.serving(Cooling).tools.wait(3600))

    def test_a_report_names_metrics_as_the_source_does(self):
        datasources = self.datasources(source("down", alive=False), source("up"))
        report = datasources.report(Cooling)
        self.assertEqual(("up", True, ""), (report.source, report.answers, report.problem))
        self.assertEqual({"up.host_outlet_temp": True, "host_power": False}, report.metrics)

    def test_a_report_of_one_that_is_down(self):
        report = self.datasources(source("down", alive=False)).report(Cooling)
        self.assertEqual(("down", False), (report.source, report.answers))
        self.assertEqual({"down.host_outlet_temp": False, "host_power": False}, report.metrics)
        self.assertIn("it is out", report.problem)

    def test_a_report_when_none_fits(self):
        report = self.datasources(source("poor", maps=())).report(Cooling)
        self.assertEqual((None, False), (report.source, report.answers))
        self.assertIn("poor: It has no host_outlet_temp", report.problem)


class TestMetricMap(TestCase):
    def made(self, text):
        path = f"{self.directory}/map.yaml"
        if text is not None:
            with open(path, "w") as file:
                file.write(text)
        self.conf.set_override("metric_map_path", path, group="watcher_decision_engine")
        self.conf.register_opts([cfg.ListOpt("datasources")], group="watcher_strategies.cooling")
        datasources = Datasources(self.conf)
        datasources.installed = {"plain": source("plain")}
        self.conf.set_override("datasources", ["plain"], group="watcher_datasources")
        return datasources.serving(Cooling).metrics

    def setUp(self):
        super().setUp()
        self.logged = self.useFixture(fixtures.FakeLogger())

    def test_it_overrides_and_adds(self):
        metrics = self.made("plain: {host_outlet_temp: outlet, host_power: watts}")
        self.assertEqual({"host_outlet_temp": "outlet", "host_power": "watts"}, metrics)
        self.assertEqual("", self.logged.output)

    def test_a_file_that_cannot_be_read(self):
        self.assertEqual({}, metric_map.load(self.directory))
        self.assertIn("left out", self.logged.output)

    def test_it_need_not_exist(self):
        self.assertEqual({"host_outlet_temp": "plain.host_outlet_temp"}, self.made(None))
        self.assertEqual("", self.logged.output)

    def test_what_does_not_fit_is_said_and_left_out(self):
        for text, words in {
            "{": "not YAML",
            "- 1": "does not map datasources",
            "plain: 1": "plain does not map metrics",
            "\x00": "not YAML",
        }.items():
            with self.subTest(text):
                self.assertEqual({"host_outlet_temp": "plain.host_outlet_temp"}, self.made(text))
                self.assertIn(words, self.logged.output)

    def test_a_metric_of_ones_own(self):
        metrics = self.made("plain: {dance_steps: steps_total}")
        self.assertEqual("steps_total", metrics["dance_steps"])

    def test_null_takes_a_metric_away(self):
        self.assertRaises(NotConfigured, self.made, "plain: {host_outlet_temp: null}")
