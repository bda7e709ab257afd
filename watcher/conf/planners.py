# SPDX-License-Identifier: Apache-2.0
from oslo_config import cfg, types

_NUMBERS = types.Dict(types.Integer(min=0))

_PER_HOST = cfg.IntOpt(
    "migrations_per_host",
    default=2,
    min=1,
    help="Actions of a plan that may move something off or onto the same host at once.",
)

WEIGHT_OPTIONS = [
    cfg.Opt(
        "weights",
        type=_NUMBERS,
        default={
            "nop": 70,
            "volume_migrate": 60,
            "change_nova_service_state": 50,
            "sleep": 40,
            "shelve": 37,
            "stop": 35,
            "delete": 33,
            "migrate": 30,
            "resize": 20,
            "turn_host_to_acpi_s3_state": 10,
            "change_node_power_state": 9,
        },
        help="Order of the action types: those of a greater weight end before the next ones "
        "start. Types may share a weight. Every type that is used needs one.",
    ),
    cfg.Opt(
        "parallelization",
        type=_NUMBERS,
        default={
            "nop": 1,
            "volume_migrate": 2,
            "change_nova_service_state": 1,
            "sleep": 1,
            "shelve": 2,
            "stop": 2,
            "delete": 2,
            "migrate": 2,
            "resize": 2,
            "turn_host_to_acpi_s3_state": 2,
            "change_node_power_state": 2,
        },
        help="Actions of one type that run at once; 1 for types that are not named.",
    ),
    _PER_HOST,
]

STABILIZATION_OPTIONS = [
    cfg.Opt(
        "weights",
        type=_NUMBERS,
        default={
            "turn_host_to_acpi_s3_state": 0,
            "resize": 1,
            "migrate": 2,
            "sleep": 3,
            "change_nova_service_state": 4,
            "nop": 5,
        },
        help="Order in which the action types are listed; they do not wait for each other. Every "
        "type that is used needs one.",
    ),
    _PER_HOST,
]

CONSOLIDATION_OPTIONS = [_PER_HOST]
