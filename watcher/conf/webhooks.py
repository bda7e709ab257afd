# SPDX-License-Identifier: Apache-2.0
from oslo_config import cfg

OPTIONS: list[cfg.Opt] = [
    cfg.IntOpt(
        "max_body_size",
        default=256 * 1024,
        min=1024,
        help="Largest body of a webhook request, in bytes. Alarm services stay far below it.",
    ),
]


def list_opts() -> dict[str | None, list[cfg.Opt]]:
    return {"webhooks": OPTIONS}
