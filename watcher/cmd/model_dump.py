# SPDX-License-Identifier: Apache-2.0
"""watcher-status model dump: the cloud and its metrics, as watcher-all-in-one reads them."""

import json
import os
import sys
from typing import Any

from oslo_config import cfg

from watcher.cmd import cloud as clouds
from watcher.common import logs
from watcher.common.errors import WatcherError
from watcher.decision_engine.catalog import Catalog
from watcher.decision_engine.datasources.choice import Datasources
from watcher.simulation import recording

PERIOD = 600
"""Seconds; most strategies ask for a period of about this length."""


def run(conf: cfg.ConfigOpts) -> int:
    """Write the file, whole or not at all; 0, or 1 after one sentence that says why not."""
    logs.setup(conf)
    try:
        content = _record(conf)
        if conf.command.output:
            _write(conf.command.output, content)
        else:
            json.dump(content, sys.stdout)
    except (WatcherError, OSError) as error:
        print(f"watcher-status: {error}", file=sys.stderr)
        return 1
    _print_summary(content)
    return 0


def _record(conf: cfg.ConfigOpts) -> dict[str, Any]:
    cloud = clouds.connect(conf)
    Catalog(conf)  # registers the options of strategies, which name datasources
    datasources = Datasources(conf, cloud.own_metrics)
    try:
        sources, problems = datasources.all()
        for name, problem in problems.items():
            _warn(f"datasource {name}: {problem}")
        return recording.record(cloud, sources, conf.command.period, _warn)
    finally:
        datasources.stop()


def _warn(sentence: str) -> None:
    print(f"watcher-status: {sentence}", file=sys.stderr)


def _write(path: str, content: dict[str, Any]) -> None:
    new = f"{path}.new"
    with open(new, "w", encoding="utf-8") as file:
        json.dump(content, file)
    os.replace(new, path)


def _print_summary(content: dict[str, Any]) -> None:
    metrics = content["metrics"]
    print(
        f"{len(content['hosts'])} hosts, {len(metrics['host'])} of them measured; "
        f"{len(content['servers'])} servers, {len(metrics['instance'])} of them measured; "
        f"{len(content.get('storage', {}).get('volumes', ()))} volumes",
        file=sys.stderr,
    )
