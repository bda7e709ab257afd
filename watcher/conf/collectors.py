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
        help="How often a request to a service of the cloud is made in all that is answered with "
        "503, as by a proxy whose service is about to start. status_code_retries of the group of "
        "the service, where it is set, counts instead.",
    ),
    cfg.IntOpt(
        "api_query_interval",
        default=1,
        min=0,
        deprecated_name="api_query_timeout",
        help="Seconds before such a request is made again. status_code_retry_delay of the group "
        "of the service, where it is set, counts instead.",
    ),
    cfg.IntOpt(
        "compute_resources_collector_timeout",
        default=600,
        min=30,
        help="Seconds that an audit waits for a model to be read from the cloud. After that "
        "the model is refused, and the audit tried again later: a part of a cloud is never "
        "taken for the whole.",
    ),
]

PERIOD = cfg.IntOpt(
    "period",
    default=3600,
    min=1,
    help="Seconds between two times that everything of this model is read anew. In between, "
    "what has changed is.",
)


def group(name: str) -> str:
    """The group of the collector of that name."""
    return f"watcher_cluster_data_model_collectors.{name}"


def list_opts() -> dict[str | None, list[cfg.Opt]]:
    periods: dict[str | None, list[cfg.Opt]] = {
        group(name): [PERIOD] for name in ("compute", "storage", "baremetal")
    }
    return {"collector": OPTIONS, **periods}
