# SPDX-License-Identifier: Apache-2.0
from oslo_config import cfg

OPTIONS = [
    cfg.ListOpt(
        "collector_plugins",
        default=["compute", "storage"],
        help="Cluster data models that the decision engine keeps: compute, storage, baremetal, "
        "or others that are installed.",
    ),
    cfg.IntOpt(
        "api_query_max_retries",
        default=10,
        min=1,
        deprecated_name="api_call_retries",
        help="Number of attempts at a request to a service of the cloud that is answered with "
        "503, for example by a proxy whose service is starting. If status_code_retries is "
        "set in the group of the service, it is used instead.",
    ),
    cfg.IntOpt(
        "api_query_interval",
        default=1,
        min=0,
        deprecated_name="api_query_timeout",
        help="Seconds before such a request is repeated. If status_code_retry_delay is set in "
        "the group of the service, it is used instead.",
    ),
    cfg.IntOpt(
        "compute_resources_collector_timeout",
        default=600,
        min=30,
        help="Seconds that an audit waits for a model to be read from the cloud. After that the "
        "run fails and is repeated later, because a strategy never gets an incomplete "
        "model.",
    ),
]

PERIOD = cfg.IntOpt(
    "period",
    default=3600,
    min=1,
    help="Seconds between two complete readings of this model. In between, only changes are read.",
)


def group(name: str) -> str:
    """The group of the collector of that name."""
    return f"watcher_cluster_data_model_collectors.{name}"
