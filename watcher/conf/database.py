# SPDX-License-Identifier: Apache-2.0
from oslo_config import cfg
from oslo_db import options as db_options


def set_defaults(conf: cfg.ConfigOpts) -> None:
    db_options.set_defaults(
        conf,
        connection="sqlite:///$state_path/watcher.sqlite",
        # As many as the threads of a busy process: those beyond are opened for one
        # transaction each, which takes longer than the transaction.  Idle threads open none.
        max_pool_size=20,
    )


def list_opts() -> dict[str | None, list[cfg.Opt]]:
    """None of our own; those of the group are oslo.db's."""
    return {}
