# SPDX-License-Identifier: Apache-2.0
"""The services on virtual time: a seed decides who goes next, who dies and what gets lost."""

from watcher.common import native_threads  # noqa: F401  before oslo.messaging
