# SPDX-License-Identifier: Apache-2.0
"""Configuration: every option Watcher has, and the one way to build a ConfigOpts.

No module of Watcher reads a global configuration; ``load`` makes one and ``cmd/``
hands it on.
"""

from collections.abc import Sequence

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

_MODULES = (
    service,
    api,
    webhooks,
    database,
    decision_engine,
    datasources,
    optimization,
    planners,
    applier,
    cloud,
    collectors,
    nova,
    cinder,
    baremetal,
    metrics,
)

Groups = dict[str | None, list[cfg.Opt]]


def list_opts() -> list[tuple[str | None, list[cfg.Opt]]]:
    """All options by group; the entry point of oslo.config's sample generator."""
    groups: Groups = {}
    for module in _MODULES:
        for group, options in module.list_opts().items():
            groups.setdefault(group, []).extend(options)
    return sorted(groups.items(), key=lambda item: item[0] or "")


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

    *cli* are the options that this command has beside the common ones, and
    *description* is what its ``--help`` begins with.
    """
    conf = cfg.ConfigOpts()
    register(conf)
    conf.register_cli_opts(cli)
    conf(
        list(argv),
        project="watcher",
        version=_version(),
        default_config_files=list(config_files) if config_files is not None else None,
        default_config_dirs=[] if config_files is not None else None,
        description=description,
    )
    return conf


def _version() -> str:
    from importlib.metadata import version

    return version("python-watcher")
