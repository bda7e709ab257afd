# SPDX-License-Identifier: Apache-2.0
"""Loading plug-ins from entry points.

A plug-in is a plain class.  One that does not load is reported by name and left
out: a broken third-party package never takes a service down.
"""

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from oslo_log import log
from stevedore import ExtensionManager

LOG = log.getLogger(__name__)


def load(namespace: str) -> Mapping[str, Any]:
    """What the entry points of *namespace* name, by entry-point name, sorted by it."""
    manager: ExtensionManager[Any] = ExtensionManager(namespace, on_load_failure_callback=_report)
    return {extension.name: extension.plugin for extension in sorted(manager, key=_name)}


def names(namespace: str) -> frozenset[str]:
    """What is installed, whether it loads or not."""
    return frozenset(entry_points(group=namespace).names)


def _name(extension: Any) -> str:
    name: str = extension.name
    return name


def _report(manager: Any, entry_point: Any, error: BaseException) -> None:
    LOG.error("Plug-in %s of %s is left out: %r", entry_point.name, manager.namespace, error)
