# SPDX-License-Identifier: Apache-2.0
from oslo_config import cfg

OPTIONS = [
    cfg.IntOpt(
        "migration_timeout",
        default=21600,
        min=1,
        help="Seconds after which the move of a volume that has not arrived counts as failed. "
        "The move itself continues, because block storage cannot abort it.",
    ),
    cfg.FloatOpt(
        "migration_interval",
        default=10.0,
        min=0.1,
        help="Seconds between two checks of a volume that moves.",
    ),
]
