# SPDX-License-Identifier: Apache-2.0
import os
import socket

from oslo_config import cfg

OPTIONS = [
    cfg.HostAddressOpt(
        "host",
        default=socket.gethostname(),
        sample_default="localhost",
        help="Name of this node: of its services, in the heartbeat, and on audits and plans "
        "that it works on.",
    ),
    cfg.StrOpt(
        "state_path",
        default=os.path.join(os.sep, "var", "lib", "watcher"),
        help="Directory for files of the services.",
    ),
    cfg.IntOpt(
        "service_down_time",
        default=90,
        min=1,
        help="Seconds without a heartbeat after which a service is listed as FAILED.",
    ),
    cfg.IntOpt(
        "lease_duration",
        default=30,
        min=3,
        help="Seconds for which an engine's claim on a run or an action plan holds without a "
        "heartbeat. When it has lapsed another engine takes over. The heartbeat comes three "
        "times as often.",
    ),
    cfg.StrOpt(
        "notification_level",
        default="info",
        choices=["", "debug", "info", "warning", "error", "critical"],
        help="Lowest priority of notifications that are sent; empty sends none.",
    ),
    cfg.BoolOpt(
        "enable_authentication", default=True, help="Authenticate API requests with keystone."
    ),
]
