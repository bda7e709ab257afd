# SPDX-License-Identifier: Apache-2.0
from typing import Any

from oslo_config import cfg

OPTIONS = [
    cfg.IntOpt(
        "power_timeout",
        default=600,
        min=1,
        help="Seconds after which a machine that has not been switched counts as failed.",
    ),
    cfg.FloatOpt(
        "power_interval",
        default=10.0,
        min=0.1,
        help="Seconds between two checks of a machine that is being switched.",
    ),
]

_DEPRECATED: dict[str, Any] = {
    "deprecated_for_removal": True,
    "deprecated_since": "2026.1",
    "deprecated_reason": "Bare metal is Ironic's; the support of MAAS is no longer developed.",
}

MAAS_OPTIONS = [
    cfg.StrOpt(
        "url",
        help="URL of MAAS, for example http://maas.example.com:5240/MAAS. If it is set, "
        "machines are those of MAAS, not of Ironic.",
        **_DEPRECATED,
    ),
    cfg.StrOpt(
        "api_key",
        secret=True,
        help="API key of a user of MAAS: three parts with colons between them.",
        **_DEPRECATED,
    ),
    cfg.IntOpt(
        "timeout", default=60, min=1, help="Seconds to wait for an answer of MAAS.", **_DEPRECATED
    ),
]
