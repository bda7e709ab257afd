# SPDX-License-Identifier: Apache-2.0
from oslo_config import cfg

OPTIONS = [
    cfg.IntOpt(
        "migration_max_retries",
        default=180,
        min=1,
        help="Looks at a server that migrates or is resized. A live migration that is not at its "
        "end after the last one is aborted.",
    ),
    cfg.FloatOpt(
        "migration_interval",
        default=5.0,
        min=0.1,
        help="Seconds between two looks at a server that migrates, is resized or stopped.",
    ),
    cfg.IntOpt(
        "delete_max_retries",
        default=15,
        min=1,
        help="Looks at a server that is being deleted, before its action fails.",
    ),
    cfg.FloatOpt(
        "delete_interval",
        default=1.0,
        min=0.1,
        help="Seconds between two looks at a server that is being deleted.",
    ),
    cfg.IntOpt(
        "shelve_max_retries",
        default=15,
        min=1,
        help="Looks at a server that is being shelved, before its action fails. To shelve a "
        "server copies its disk to the image service.",
    ),
    cfg.FloatOpt(
        "shelve_interval",
        default=1.0,
        min=0.1,
        help="Seconds between two looks at a server that is being shelved.",
    ),
    cfg.IntOpt(
        "http_retries",
        default=3,
        min=1,
        help="How often a request to nova is repeated that got no connection. connect_retries, "
        "where it is set, counts instead.",
    ),
    cfg.FloatOpt(
        "http_retry_interval",
        default=2.0,
        min=0.1,
        help="Seconds before a request is repeated that got no connection. connect_retry_delay, "
        "where it is set, counts instead.",
    ),
    cfg.StrOpt(
        "api_version",
        default="2.56",
        deprecated_group="nova_client",
        regex=r"^2\.\d+$",
        help="The microversion of nova's API that may be relied on, at least 2.56. Nova itself is "
        "asked what it has, and used as it is.",
    ),
]

MODEL_OPTIONS: list[cfg.Opt] = [
    cfg.BoolOpt(
        "enable_extended_attributes",
        default=False,
        help="Whether the data model of the API shows the extra specs of flavors and the "
        "availability zones that servers are pinned to. Strategies keep to these in any case.",
    ),
    cfg.BoolOpt(
        "stay_in_zone",
        default=True,
        help="Whether servers stay in their availability zone where nova does not show if they "
        "were asked to be there, as it does from microversion 2.96 on. A destination that an "
        "audit names counts more.",
    ),
]


def list_opts() -> dict[str | None, list[cfg.Opt]]:
    return {"nova": OPTIONS, "compute_model": MODEL_OPTIONS}
