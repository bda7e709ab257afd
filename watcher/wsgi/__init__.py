# SPDX-License-Identifier: Apache-2.0
"""The module that a WSGI server loads."""

from watcher.common import native_threads  # noqa: F401
