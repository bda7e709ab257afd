# SPDX-License-Identifier: Apache-2.0
"""The services on virtual time: a seed decides which task runs next, which process dies and which
message is lost."""

from watcher.common import native_threads  # noqa: F401  before oslo.messaging
