# SPDX-License-Identifier: Apache-2.0
"""Importing this makes the process use native threads.

oslo.service requires eventlet to be installed, and futurist, under oslo.messaging, imports it if it
is installed: 20 MiB that are never used.  oslo.service uses its back end for eventlet unless
another one is chosen before the first use.
"""

import sys

from oslo_service import backend

sys.modules.setdefault("eventlet", None)  # type: ignore[arg-type]
backend.init_backend(backend.BackendType.THREADING)
