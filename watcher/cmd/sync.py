# SPDX-License-Identifier: Apache-2.0
"""watcher-sync: write the installed plug-ins to the database, once."""

import sys

from oslo_utils import timeutils

from watcher import conf as watcher_conf
from watcher.common import logs
from watcher.db.session import Database
from watcher.decision_engine.catalog import Catalog


def main() -> None:
    conf = watcher_conf.load(sys.argv[1:])
    logs.setup(conf)
    catalog = Catalog(conf)
    Database(conf).write(lambda session: catalog.sync(session, timeutils.utcnow()))
