# SPDX-License-Identifier: Apache-2.0
from oslo_config import cfg

OPTIONS: list[cfg.Opt] = [
    cfg.StrOpt(
        "simulation",
        help="File that describes a simulated cloud to work on, YAML or JSON.",
    ),
]


def list_opts() -> dict[str | None, list[cfg.Opt]]:
    return {"cloud": OPTIONS}
