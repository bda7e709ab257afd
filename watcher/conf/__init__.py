# SPDX-License-Identifier: Apache-2.0
"""Configuration: every option Watcher has, and the one way to build a ConfigOpts.

No module of Watcher reads a global configuration; ``load`` makes one and ``cmd/`` hands it on.
"""

from collections.abc import Mapping, Sequence

from oslo_config import cfg
from oslo_db import options as db_options
from oslo_log import log

from watcher.conf import (
    api,
    applier,
    baremetal,
    cinder,
    cloud,
    collectors,
    database,
    datasources,
    decision_engine,
    metrics,
    nova,
    optimization,
    planners,
    service,
    webhooks,
)

GROUPS: Mapping[str | None, Sequence[cfg.Opt]] = {
    None: service.OPTIONS,
    "api": api.OPTIONS,
    "ssl": api.SSL_OPTIONS,
    "webhooks": webhooks.OPTIONS,
    "database": database.OPTIONS,  # our own; the others of the group are oslo.db's
    "watcher_decision_engine": [*decision_engine.OPTIONS, datasources.METRIC_MAP_PATH],
    "watcher_datasources": datasources.WATCHER_DATASOURCES,
    "gnocchi_client": datasources.GNOCCHI,
    "prometheus_client": datasources.PROMETHEUS,
    "aetos_client": datasources.AETOS,
    "grafana_client": datasources.GRAFANA,
    "grafana_translators": datasources.GRAFANA_TRANSLATORS,
    "optimization": optimization.OPTIONS,
    "watcher_planners.weight": planners.WEIGHT_OPTIONS,
    "watcher_planners.workload_stabilization": planners.STABILIZATION_OPTIONS,
    "watcher_planners.node_resource_consolidation": planners.CONSOLIDATION_OPTIONS,
    "watcher_applier": applier.OPTIONS,
    "watcher_workflow_engines.taskflow": applier.WORKFLOW_OPTIONS,
    "cloud": cloud.OPTIONS,
    "collector": collectors.OPTIONS,
    **{collectors.group(name): [collectors.PERIOD] for name in ("compute", "storage", "baremetal")},
    "nova": nova.OPTIONS,
    "compute_model": nova.MODEL_OPTIONS,
    "cinder": cinder.OPTIONS,
    "baremetal": baremetal.OPTIONS,
    "maas_client": baremetal.MAAS_OPTIONS,
    "metrics": metrics.OPTIONS,
}


def list_opts() -> list[tuple[str | None, list[cfg.Opt]]]:
    """All options by group; the entry point of oslo.config's sample generator."""
    return [(group, [*GROUPS[group]]) for group in sorted(GROUPS, key=lambda group: group or "")]


def register(conf: cfg.ConfigOpts) -> None:
    log.register_options(conf)
    conf.register_opts(db_options.database_opts, group="database")
    database.set_defaults(conf)
    for group, options in list_opts():
        conf.register_opts(options, group=group)


def load(
    argv: Sequence[str] = (),
    config_files: Sequence[str] | None = None,
    cli: Sequence[cfg.Opt] = (),
    description: str | None = None,
) -> cfg.ConfigOpts:
    """A configuration from the command line *argv* and files (by default oslo.config's).

    *cli* are the options of this command beside the common ones; its ``--help`` begins with
    *description*.
    """
    from importlib.metadata import version

    conf = cfg.ConfigOpts()
    register(conf)
    conf.register_cli_opts(cli)
    conf(
        list(argv),
        project="watcher",
        version=version("python-watcher"),
        default_config_files=list(config_files) if config_files is not None else None,
        default_config_dirs=[] if config_files is not None else None,
        description=description,
    )
    return conf
