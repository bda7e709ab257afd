# SPDX-License-Identifier: Apache-2.0
"""Console scripts: parse, wire, start.  No logic."""

from watcher.common import native_threads  # noqa: F401
