# SPDX-License-Identifier: Apache-2.0
"""The options that configurations of existing clouds set: names, types and defaults are kept."""

import pathlib

from oslo_config import cfg, generator

from watcher import conf as watcher_conf
from watcher.cloud import Cloud
from watcher.conf import clients
from watcher.decision_engine.collectors.collectors import Collectors
from watcher.tests import base
from watcher.tests.unit.test_repository import ROOT

NUMBERS = {
    "collector": {
        "api_query_max_retries": 10,
        "api_query_interval": 1,
        "compute_resources_collector_timeout": 600,
    },
    "watcher_decision_engine": {"max_general_workers": 4},
    "watcher_cluster_data_model_collectors.compute": {"period": 3600},
    "watcher_cluster_data_model_collectors.storage": {"period": 3600},
    "watcher_cluster_data_model_collectors.baremetal": {"period": 3600},
    "watcher_datasources": {"query_max_retries": 10, "query_interval": 1},
    "nova": {
        "migration_max_retries": 180,
        "migration_interval": 5.0,
        "http_retries": 3,
        "http_retry_interval": 2.0,
    },
    "prometheus_client": {"port": 9090},
    "grafana_client": {"http_timeout": 60},
    "maas_client": {"timeout": 60},
}
OTHERS = {
    "collector": {"collector_plugins": ["compute", "storage"]},
    "compute_model": {"enable_extended_attributes": False, "stay_in_zone": True},
    "watcher_decision_engine": {
        "notification_topics": ["nova.versioned_notifications", "openstack.notifications"],
        "metric_map_path": "/etc/watcher/metric_map.yaml",
    },
    "watcher_datasources": {"datasources": ["gnocchi", "grafana", "aetos"]},
    "nova": {"api_version": "2.56", "region_name": None, "valid_interfaces": None},
    "placement": {"region_name": None, "valid_interfaces": None},
    "cinder": {"region_name": None, "valid_interfaces": None},
    "watcher_clients_auth": {"auth_type": None, "auth_section": None, "cafile": None},
    "nova_client": {"endpoint_type": "publicURL"},
    "cinder_client": {"endpoint_type": "publicURL"},
    "ironic_client": {"endpoint_type": "publicURL"},
    "placement_client": {"interface": "public"},
    "gnocchi_client": {"api_version": "1", "endpoint_type": "public", "region_name": None},
    "aetos_client": {
        "interface": "public",
        "region_name": None,
        "fqdn_label": "fqdn",
        "instance_uuid_label": "resource",
    },
    "prometheus_client": {
        "host": None,
        "fqdn_label": "fqdn",
        "instance_uuid_label": "resource",
        "username": None,
        "password": None,
        "cafile": None,
        "certfile": None,
        "keyfile": None,
    },
    "grafana_client": {"token": None, "base_url": None},
    "grafana_translators": {
        "retention_periods": {"one_week": 604800, "one_month": 2592000, "five_years": 31556952}
    },
    "maas_client": {"url": None, "api_key": None},
}
FORMER = {
    ("nova_client", "api_version"): ("nova", "api_version", "2.60"),
    ("nova_client", "region_name"): ("nova", "region_name", "one"),
    ("cinder_client", "region_name"): ("cinder", "region_name", "one"),
    ("placement_client", "region_name"): ("placement", "region_name", "one"),
    ("ironic_client", "region_name"): ("ironic", "region_name", "one"),
    ("collector", "api_call_retries"): ("collector", "api_query_max_retries", 7),
    ("collector", "api_query_timeout"): ("collector", "api_query_interval", 7),
    ("watcher_datasources", "query_timeout"): ("watcher_datasources", "query_interval", 7),
}
SECRETS = {
    ("prometheus_client", "password"),
    ("grafana_client", "token"),
    ("maas_client", "api_key"),
    (clients.AUTH, "password"),
}


def _registered(*config_files: str) -> cfg.ConfigOpts:
    conf = watcher_conf.load([], config_files)
    conf.set_override("collector_plugins", ["compute", "storage", "baremetal"], group="collector")
    Collectors(conf, Cloud())
    conf.clear_override("collector_plugins", group="collector")
    clients.register(conf)
    return conf


class TestOptions(base.TestCase):
    def test_names_types_and_defaults(self) -> None:
        conf = _registered()
        for table in (NUMBERS, OTHERS):
            for group, options in table.items():
                for name, default in options.items():
                    value = conf[group][name]
                    self.assertEqual((default, type(default)), (value, type(value)), (group, name))

    def test_former_names_count(self) -> None:
        for (group, name), (new_group, new_name, value) in FORMER.items():
            path = pathlib.Path(self.directory, "former.conf")
            path.write_text(f"[{group}]\n{name} = {value}\n")
            self.assertEqual(value, _registered(str(path))[new_group][new_name], (group, name))

    def test_all_are_in_the_sample(self) -> None:
        sample = self.sample()
        for table in (NUMBERS, OTHERS):
            for group, options in table.items():
                for name in options:
                    self.assertIn(f"#{name} = ", sample[group], f"[{group}] {name}")

    def sample(self) -> dict[str, str]:
        """What ``tox -e genconfig`` writes, by group."""
        written, conf = pathlib.Path(self.directory, "sample"), cfg.ConfigOpts()
        generator.register_cli_opts(conf)
        config_file = ROOT / "etc/watcher/oslo-config-generator.conf"
        conf(["--config-file", str(config_file), "--output-file", str(written)])
        generator.generate(conf)
        sections = (each.partition("]\n") for each in written.read_text().split("\n["))
        return {head: rest for head, _, rest in sections}

    def test_secrets_are_not_logged(self) -> None:
        known = {
            (group, option.dest): option.secret
            for group, options in (*watcher_conf.list_opts(), *clients.list_opts())
            for option in options
        }
        for each in SECRETS:
            self.assertTrue(known[each], each)
