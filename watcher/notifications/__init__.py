# SPDX-License-Identifier: Apache-2.0
"""Versioned notifications about audits, action plans, actions and services."""

from watcher.common import native_threads  # noqa: F401  isort: skip

from watcher.notifications.monitor import ServiceMonitor
from watcher.notifications.notifications import Notifications

__all__ = ["Notifications", "ServiceMonitor"]
