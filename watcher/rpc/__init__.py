# SPDX-License-Identifier: Apache-2.0
"""The bus contract: topics, methods and how they are called.

The bus carries doorbells (casts with a UUID, which only wake a worker that would
find the row by itself a little later) and questions (calls to the decision engine).
"""

from watcher.common import native_threads  # noqa: F401
