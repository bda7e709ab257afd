# SPDX-License-Identifier: Apache-2.0
"""``application`` for WSGI servers such as gunicorn, uWSGI and mod_wsgi.

The command line belongs to the server, so the configuration comes from the usual files of
/etc/watcher, or from those that OS_WATCHER_CONFIG_FILES names, separated by semicolons.
"""

import atexit
import os
from typing import Any

from watcher import conf as watcher_conf
from watcher.cmd import api, open_webhooks
from watcher.common import logs
from watcher.common.errors import Conflict
from watcher.db import schema
from watcher.db.errors import WrongSchema


def _application() -> Any:
    files = os.environ.get("OS_WATCHER_CONFIG_FILES")
    conf = watcher_conf.load([], files.split(";") if files else None)
    logs.setup(conf)
    try:
        wired, stop = api.wired(conf)
    except WrongSchema:
        raise Conflict(schema.SENTENCE) from None
    atexit.register(stop)
    open_webhooks.warn(conf)
    return wired


application = _application()
