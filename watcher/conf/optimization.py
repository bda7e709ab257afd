# SPDX-License-Identifier: Apache-2.0
from oslo_config import cfg

OPTIONS = [
    cfg.IntOpt(
        "server_rest",
        default=3600,
        min=0,
        mutable=True,
        help="Seconds that a server stays where Watcher has moved it, before a plan that starts on "
        "its own may move it again.",
    ),
    cfg.IntOpt(
        "max_moves_per_server",
        default=1,
        min=1,
        mutable=True,
        help="Moves of one server within an hour, at most, by plans that start on their own.",
    ),
    cfg.IntOpt(
        "max_gib_per_hour",
        default=1024,
        min=1,
        mutable=True,
        help="Memory of servers, in GiB, that migrations of plans which start on their own copy "
        "within an hour, in the whole cloud.",
    ),
    cfg.IntOpt(
        "migration_bandwidth",
        default=10000,
        min=1,
        mutable=True,
        help="Mbit/s at which a host's network copies the memory of a server that migrates.",
    ),
    cfg.FloatOpt(
        "move_margin",
        default=1.5,
        min=0,
        mutable=True,
        help="How many times as much as its cost a move has to gain. The cost is the share of "
        "server_rest for which the move occupies the networks of two hosts; the gain is "
        "the share of a host's load that it evens out. With 0 every move that gains "
        "anything is made.",
    ),
    cfg.FloatOpt(
        "hysteresis",
        default=0.1,
        min=0,
        max=0.9,
        mutable=True,
        help="Share of its threshold by which a balancing that starts on its own goes below it, "
        "once it is exceeded, so that the next small change of loads does not exceed it again.",
    ),
    cfg.IntOpt(
        "history_weeks",
        default=3,
        min=0,
        max=52,
        mutable=True,
        help="Earlier weeks from which workload_balance, in audits that start plans on their own, "
        "expects the loads of the next five hours: the usual load of a server is the median of "
        "the same hour of these weeks. With 0 only measured loads count.",
    ),
    cfg.IntOpt(
        "respect_hours",
        default=6,
        min=0,
        mutable=True,
        help="Hours for which a plan that starts on its own does not change servers and hosts "
        "that a plan of an audit with another goal has changed.",
    ),
    cfg.IntOpt(
        "failed_move_backoff",
        default=900,
        min=0,
        mutable=True,
        help="Seconds for which a server stays where it is after its migration has failed; each "
        "further failure in a row doubles it, up to failed_move_memory.",
    ),
    cfg.IntOpt(
        "failed_move_memory",
        default=86400,
        min=0,
        mutable=True,
        help="Seconds after which a failed migration is forgotten.",
    ),
    cfg.IntOpt(
        "broken_promises",
        default=3,
        min=0,
        mutable=True,
        help="Number of plans in a row that have each done less than half of what they "
        "promised, at which an audit loses auto_trigger until a user sets it again; with 0 "
        "it keeps auto_trigger.",
    ),
]
