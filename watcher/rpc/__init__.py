# SPDX-License-Identifier: Apache-2.0
"""The message bus: topics, methods and how they are called.

The bus carries doorbells (casts with a UUID that make a worker look at the database at once)
and calls to the decision engine whose answer the API waits for.
"""

from watcher.common import native_threads  # noqa: F401  isort: skip

import contextlib
import importlib

import oslo_messaging
from oslo_config import cfg

from watcher.common import errors

EXCHANGE = "watcher"


def transport(conf: cfg.ConfigOpts, url: str | None = None) -> oslo_messaging.Transport:
    """The transport of doorbells and calls: *url*, or ``[DEFAULT] transport_url``."""
    oslo_messaging.set_transport_defaults(control_exchange=EXCHANGE)
    _register(conf)
    return oslo_messaging.get_rpc_transport(conf, url=url, allowed_remote_exmods=[errors.__name__])


def notification_transport(conf: cfg.ConfigOpts) -> oslo_messaging.Transport:
    """The transport of ``[oslo_messaging_notifications]``, by default the same broker."""
    oslo_messaging.set_transport_defaults(control_exchange=EXCHANGE)
    return oslo_messaging.get_notification_transport(conf)


def _register(conf: cfg.ConfigOpts) -> None:
    """Register options that each cast and call reads: oslo.messaging registers them on the global
    configuration only.  Tracing came with release 18."""
    for subject in ("metrics", "tracing"):
        group = f"oslo_messaging_{subject}"
        with contextlib.suppress(ModuleNotFoundError):
            module = importlib.import_module(f"oslo_messaging._{subject}.client")
            conf.register_opts(getattr(module, group), group=group)
