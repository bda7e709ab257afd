# SPDX-License-Identifier: Apache-2.0
from watcher.common import native_threads  # noqa: F401
