# SPDX-License-Identifier: Apache-2.0
from oslo_config import cfg

OPTIONS = [
    cfg.IntOpt(
        "migration_max_retries",
        default=180,
        min=1,
        help="Number of checks of a server that migrates or is resized. A live migration that "
        "has not ended at the last check is aborted.",
    ),
    cfg.FloatOpt(
        "migration_interval",
        default=5.0,
        min=0.1,
        help="Seconds between two checks of a server that migrates, is resized or stopped.",
    ),
    cfg.IntOpt(
        "delete_max_retries",
        default=15,
        min=1,
        help="Number of checks of a server that is being deleted, before its action fails.",
    ),
    cfg.FloatOpt(
        "delete_interval",
        default=1.0,
        min=0.1,
        help="Seconds between two checks of a server that is being deleted.",
    ),
    cfg.IntOpt(
        "shelve_max_retries",
        default=15,
        min=1,
        help="Number of checks of a server that is being shelved, before its action fails. "
        "Shelving copies the disk of the server to the image service.",
    ),
    cfg.FloatOpt(
        "shelve_interval",
        default=1.0,
        min=0.1,
        help="Seconds between two checks of a server that is being shelved.",
    ),
    cfg.IntOpt(
        "http_retries",
        default=3,
        min=1,
        help="How often a request to nova that got no connection is repeated. If "
        "connect_retries is set, it is used instead.",
    ),
    cfg.FloatOpt(
        "http_retry_interval",
        default=2.0,
        min=0.1,
        help="Seconds before a request that got no connection is repeated. If "
        "connect_retry_delay is set, it is used instead.",
    ),
    cfg.StrOpt(
        "api_version",
        default="2.56",
        deprecated_group="nova_client",
        regex=r"^2\.\d+$",
        help="Minimum microversion of nova's API, at least 2.56. Watcher asks nova which later "
        "ones it has, and uses these as well.",
    ),
]

MODEL_OPTIONS = [
    cfg.BoolOpt(
        "enable_extended_attributes",
        default=False,
        help="Whether the data model of the API shows the extra specs of flavors and the "
        "availability zones that servers are pinned to. Strategies keep to these in any case.",
    ),
    cfg.BoolOpt(
        "stay_in_zone",
        default=True,
        help="Whether servers stay in their availability zone if nova does not show whether "
        "they were requested to be there, which it does from microversion 2.96 on. A "
        "destination that an audit names overrides this.",
    ),
]
