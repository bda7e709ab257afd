# SPDX-License-Identifier: Apache-2.0
"""Seven days of alarms in virtual time: the effect of Watcher on a cloud, by policy."""

from .command import main

__all__ = ["main"]
