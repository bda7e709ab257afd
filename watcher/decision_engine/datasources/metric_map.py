# SPDX-License-Identifier: Apache-2.0
"""The metric map file: names of metrics in datasources that differ from the usual ones."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from oslo_log import log

from watcher.conf.datasources import METRICS

LOG = log.getLogger(__name__)

MetricMap = Mapping[str, Mapping[str, Any]]
"""By datasource and metric: the datasource's own name of the metric, or further fields."""


def load(path: str) -> MetricMap:
    """The content of the file, which need not exist. Invalid entries are logged and left out."""
    try:
        text = Path(path).read_text()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeError) as error:
        LOG.warning("metric_map_path: %s is left out: %s", path, error)
        return {}
    try:
        content = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        LOG.warning("metric_map_path: %s is left out, it is not YAML: %s", path, error)
        return {}
    if not isinstance(content, dict):
        LOG.warning("metric_map_path: %s is left out, it does not map datasources", path)
        return {}
    return {str(name): _metrics(path, name, metrics) for name, metrics in content.items()}


def _metrics(path: str, datasource: object, metrics: object) -> Mapping[str, Any]:
    if not isinstance(metrics, dict):
        LOG.warning("metric_map_path: %s: %s does not map metrics", path, datasource)
        return {}
    for own in sorted(metrics.keys() - set(METRICS), key=str):
        LOG.info("metric_map_path: %s: %s: %s is a metric of your own", path, datasource, own)
    return {str(metric): name for metric, name in metrics.items()}
