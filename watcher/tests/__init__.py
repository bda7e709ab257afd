# SPDX-License-Identifier: Apache-2.0
"""Tests, with native threads settled before any of them loads what picks others."""

import os

from hypothesis import HealthCheck, settings

from watcher.common import native_threads  # noqa: F401

# A busy machine is no reason to fail; and the gate judges the change at hand with the
# same examples each time, while everyone else looks for new ones.
settings.register_profile(
    "watcher",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
settings.load_profile("watcher")
