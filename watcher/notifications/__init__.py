# SPDX-License-Identifier: Apache-2.0
"""What we tell the world: versioned notifications, after the fact and at no one's cost."""

from watcher.common import native_threads  # noqa: F401  isort: skip

from watcher.notifications.monitor import ServiceMonitor
from watcher.notifications.notifications import Notifications

__all__ = ["Notifications", "ServiceMonitor"]
