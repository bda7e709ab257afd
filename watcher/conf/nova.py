# SPDX-License-Identifier: Apache-2.0
from oslo_config import cfg

OPTIONS = [
    cfg.IntOpt(
        "migration_max_retries",
        default=180,
        min=1,
        help="Looks at a server that migrates. A live migration that is not at its end after the "
        "last one is aborted.",
    ),
    cfg.FloatOpt(
        "migration_interval",
        default=5.0,
        min=0.1,
        help="Seconds between two looks at a server that migrates.",
    ),
]


def list_opts() -> dict[str | None, list[cfg.Opt]]:
    return {"nova": OPTIONS}
