# SPDX-License-Identifier: Apache-2.0
from oslo_config import cfg

OPTIONS = [
    cfg.StrOpt("simulation", help="File that describes a simulated cloud to work on, YAML or JSON.")
]
