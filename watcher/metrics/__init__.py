# SPDX-License-Identifier: Apache-2.0
"""Metrics for Prometheus, read from the rows at each scrape."""

from watcher.metrics.endpoint import MetricsServer

__all__ = ["MetricsServer"]
