# SPDX-License-Identifier: Apache-2.0
"""What can be measured, for Prometheus: read from the rows at the moment it is asked for."""

from watcher.metrics.endpoint import Endpoint

__all__ = ["Endpoint"]
