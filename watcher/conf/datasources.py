# SPDX-License-Identifier: Apache-2.0
from typing import Any

from oslo_config import cfg

DATASOURCES_HELP = (
    "Datasources in the order of preference. The first one serves that has every metric that the "
    "strategy requires, is configured and answers. Known are gnocchi, grafana, prometheus, aetos "
    "and what other packages add. prometheus and aetos exclude each other."
)

HOST_METRICS = (
    "host_cpu_usage",
    "host_ram_usage",
    "host_outlet_temp",
    "host_inlet_temp",
    "host_airflow",
    "host_power",
)
SERVER_METRICS = (
    "instance_cpu_usage",
    "instance_ram_usage",
    "instance_ram_allocated",
    "instance_l3_cache_usage",
    "instance_root_disk_size",
)
METRICS = (*HOST_METRICS, *SERVER_METRICS)

_INTERFACES = ["public", "internal", "admin", "publicURL", "internalURL", "adminURL"]

WATCHER_DATASOURCES = [
    cfg.ListOpt("datasources", default=["gnocchi", "grafana", "aetos"], help=DATASOURCES_HELP),
    cfg.IntOpt(
        "query_max_retries",
        default=10,
        min=1,
        mutable=True,
        help="Number of attempts at a query to a datasource that gives no answer or an unusable "
        "one. After that the run fails, and is repeated according to "
        "[watcher_decision_engine] max_attempts.",
    ),
    cfg.IntOpt(
        "query_interval",
        default=1,
        min=0,
        mutable=True,
        deprecated_name="query_timeout",
        help="Seconds before a query is repeated. Each further pause is twice as long, up to "
        "eight times this.",
    ),
]

DATASOURCES_OF_STRATEGY = cfg.ListOpt(
    "datasources",
    help="Datasources for this strategy, instead of [watcher_datasources] datasources.",
)

METRIC_MAP_PATH = cfg.StrOpt(
    "metric_map_path",
    default="/etc/watcher/metric_map.yaml",
    help="YAML file with the names of metrics in datasources: {datasource: {metric: name}}. It "
    "need not exist.",
)

GNOCCHI = [
    cfg.StrOpt("api_version", default="1", help="Version of gnocchi's API."),
    cfg.StrOpt(
        "endpoint_type",
        default="public",
        choices=_INTERFACES,
        help="Which of gnocchi's endpoints in the service catalogue is used.",
    ),
    cfg.StrOpt("region_name", help="Region of gnocchi's endpoint."),
]


def _labels(**deprecated: Any) -> list[cfg.Opt]:
    return [
        cfg.StrOpt(
            "fqdn_label",
            default="fqdn",
            help="Label of host metrics that has the host's name.",
            **deprecated,
        ),
        cfg.StrOpt(
            "instance_uuid_label",
            default="resource",
            help="Label of server metrics that has the server's UUID.",
            **deprecated,
        ),
    ]


_USE_AETOS: dict[str, Any] = {
    "deprecated_for_removal": True,
    "deprecated_since": "2026.1",
    "deprecated_reason": "aetos is Prometheus behind keystone.",
}

PROMETHEUS = [
    cfg.StrOpt("host", help="Host name or address of Prometheus.", **_USE_AETOS),
    cfg.PortOpt("port", default=9090, help="Port of Prometheus.", **_USE_AETOS),
    *_labels(**_USE_AETOS),
    cfg.StrOpt("username", help="User for basic authentication.", **_USE_AETOS),
    cfg.StrOpt("password", secret=True, help="Its password.", **_USE_AETOS),
    cfg.StrOpt(
        "cafile",
        help="CA certificates that Prometheus' certificate is checked with; Prometheus is asked "
        "through TLS if this is set.",
        **_USE_AETOS,
    ),
    cfg.StrOpt(
        "certfile", help="Client certificate; it needs keyfile and cafile too.", **_USE_AETOS
    ),
    cfg.StrOpt("keyfile", help="Key of the client certificate.", **_USE_AETOS),
]

AETOS = [
    cfg.StrOpt(
        "interface",
        default="public",
        choices=_INTERFACES,
        help="Which of aetos' endpoints in the service catalogue is used.",
    ),
    cfg.StrOpt("region_name", help="Region of aetos' endpoint."),
    *_labels(),
]


_GRAFANA_HELP = {
    "project_id": "Metric to the number of the data source in Grafana's proxy.",
    "database": "Metric to the InfluxDB database.",
    "attribute": "Metric to the attribute of a host (hostname, uuid) or server (uuid, name) that "
    "the query names it by.",
    "translator": "Metric to the kind of database behind Grafana: influxdb.",
    "query": "Metric to its InfluxQL query for one host or server, with placeholders: {0} "
    "aggregate, {1} the attribute's value, {2} period in seconds, {3} granularity in seconds, {4} "
    "retention period. The query names its column like the aggregate.",
}

GRAFANA = [
    cfg.StrOpt("token", secret=True, help="Token of a Grafana user who may query the data source."),
    cfg.StrOpt(
        "base_url",
        help="URL of Grafana's proxy up to the number of the data source, for example "
        "https://grafana.example.org/api/datasources/proxy/",
    ),
    *(
        cfg.DictOpt(f"{what}_map", default=dict.fromkeys(METRICS), help=text)
        for what, text in _GRAFANA_HELP.items()
    ),
    cfg.IntOpt("http_timeout", default=60, min=0, help="Seconds that Grafana may take to answer."),
]

GRAFANA_TRANSLATORS = [
    cfg.DictOpt(
        "retention_periods",
        default={"one_week": 604800, "one_month": 2592000, "five_years": 31556952},
        help="Retention period of InfluxDB to its length in seconds. A query gets the shortest "
        "one that is longer than its period.",
    )
]
