# SPDX-License-Identifier: Apache-2.0
from oslo_config import cfg

OPTIONS = [
    cfg.BoolOpt(
        "enabled", default=False, help="Whether the decision engine serves metrics for Prometheus."
    ),
    cfg.HostAddressOpt(
        "host",
        default="127.0.0.1",
        help="Address on which the metrics are served. They are served without authentication "
        "or encryption, so use an address that only Prometheus can reach.",
    ),
    cfg.PortOpt(
        "port",
        default=9323,
        help="Port on which the metrics are served; 0 takes a free one. A decision engine that "
        "finds the port in use logs that and works without metrics.",
    ),
]
