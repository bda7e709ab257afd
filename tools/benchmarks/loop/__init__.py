# SPDX-License-Identifier: Apache-2.0
"""Seven days of alarms in virtual time: what Watcher does to a cloud, policy by policy."""

from .command import main

__all__ = ["main"]
