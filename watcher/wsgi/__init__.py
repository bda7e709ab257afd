# SPDX-License-Identifier: Apache-2.0
"""What a WSGI server loads."""

from watcher.common import native_threads  # noqa: F401
