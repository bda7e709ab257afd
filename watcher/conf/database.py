# SPDX-License-Identifier: Apache-2.0
from oslo_config import cfg
from oslo_db import options as db_options

OPTIONS = [
    cfg.IntOpt(
        "call_timeout",
        default=10,
        min=0,
        help="Seconds that one call to the database may take. A connection that does not answer "
        "within this time is closed, and what needed it fails; a request is answered with "
        "503. The server is configured to end a statement, and a wait for a lock, before "
        "that, and to end a transaction in which nothing arrives for that time (MySQL: for six "
        "times as long). 0 is no limit; watcher-db-manage never has one. With SQLite it is "
        "the longest wait for a lock.",
    )
]


def set_defaults(conf: cfg.ConfigOpts) -> None:
    db_options.set_defaults(
        conf,
        connection="sqlite:///$state_path/watcher.sqlite",
        # As many as the threads of a busy process: those beyond are opened for one
        # transaction each, which takes longer than the transaction.  Idle threads open none.
        max_pool_size=20,
    )
