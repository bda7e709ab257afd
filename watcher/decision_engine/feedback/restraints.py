# SPDX-License-Identifier: Apache-2.0
"""The effect of earlier moves on a run: servers that stay, hosts that take none, and limits.

Pure functions of records, options and the present moment.
"""

import dataclasses
import datetime
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from oslo_config import cfg

from watcher.db.moves import EarlierMove
from watcher.decision_engine.solution import ProposedAction
from watcher.model import undone
from watcher.model.bounds import Bounds
from watcher.model.compute import ComputeModel
from watcher.model.undone import Undone

HOUR = datetime.timedelta(hours=1)

REFUSED_BY = 2
"""If the last moves of so many servers to one host failed, no server is moved there."""


@dataclasses.dataclass(frozen=True)
class Failure:
    """How many migrations of a server have failed since the last one that succeeded."""

    server: str
    destination: str
    """Hostname, of the last failed migration; empty if the scheduler picked the host."""
    count: int
    last: datetime.datetime
    until: datetime.datetime
    """When the server may be moved again."""
    reason: str


def horizon(options: cfg.ConfigOpts) -> datetime.timedelta:
    """How long earlier moves matter."""
    conf = options.optimization
    return datetime.timedelta(
        seconds=max(
            HOUR.total_seconds(),
            conf.server_rest,
            conf.respect_hours * HOUR.total_seconds(),
            conf.failed_move_memory,
        )
    )


def failures(
    moves: Iterable[EarlierMove], options: cfg.ConfigOpts, now: datetime.datetime
) -> Mapping[str, Failure]:
    """The servers whose migrations failed and that are not to be moved again yet, by uuid."""
    conf = options.optimization
    oldest = now - datetime.timedelta(seconds=conf.failed_move_memory)
    in_a_row: dict[str, list[EarlierMove]] = defaultdict(list)
    for move in moves:
        if move.succeeded:
            in_a_row.pop(move.server, None)
        elif move.ended > oldest:
            in_a_row[move.server].append(move)
    found = {}
    for server, failed in in_a_row.items():
        seconds = min(
            conf.failed_move_backoff * 2.0 ** min(len(failed) - 1, 30), conf.failed_move_memory
        )
        last = failed[-1]
        until = last.ended + datetime.timedelta(seconds=seconds)
        if until > now:
            found[server] = Failure(
                server, last.destination, len(failed), last.ended, until, last.reason
            )
    return found


def failed_moves(model: ComputeModel, failed: Mapping[str, Failure]) -> list[dict[str, Any]]:
    """The *failed* servers (``failures``) that *model* has, as JSON for users."""
    return [
        {
            "server": model.servers[model.server_index[uuid]].name,
            "server_uuid": uuid,
            "destination": failure.destination or None,
            "failures": failure.count,
            "last": failure.last.isoformat(),
            "tried_again": failure.until.isoformat(),
            "reason": failure.reason,
        }
        for uuid, failure in failed.items()
        if uuid in model.server_index
    ]


def closed_hosts(model: ComputeModel) -> list[Undone]:
    """The hosts in service to which the plan moves no servers, because of earlier moves."""
    texts = {
        undone.OTHER_AUDIT: "emptied by a plan of an audit with another goal",
        undone.FAILED_BEFORE: "with failed migrations of several servers",
    }
    hosts = [host.hostname for host in model.hosts if host.available]
    found = undone.grouped(
        ((name, model.not_taking[name]) for name in hosts if name in model.not_taking),
        "destinations",
    )
    return [dataclasses.replace(each, text=texts[each.reason]) for each in found]


def restrained(
    model: ComputeModel,
    failed: Mapping[str, Failure],
    moves: Sequence[EarlierMove],
    audit_id: int,
    goal_id: int,
    options: cfg.ConfigOpts,
    now: datetime.datetime,
    *,
    automatic: bool,
) -> ComputeModel:
    """*model* with the servers that stay and the hosts that take none, and why.

    *failed* (``failures``) restrains every run.  Only if the plan starts on its own (*automatic*),
    servers that were moved lately stay, and moves of audits with other goals are respected.
    """
    staying = dict.fromkeys(failed, undone.FAILED_BEFORE)
    not_taking = dict.fromkeys(_refusing(failed.values()), undone.FAILED_BEFORE)
    if automatic:
        others = [
            move
            for move in _since(moves, now - options.optimization.respect_hours * HOUR)
            if move.succeeded and move.audit_id != audit_id and move.goal_id != goal_id
        ]
        occupied = {server.host for server in model.servers}
        staying = {
            **dict.fromkeys(_resting(moves, options, now), undone.RESTING),
            **dict.fromkeys((move.server for move in others), undone.OTHER_AUDIT),
            **staying,
        }
        emptied = {move.source for move in others} - occupied
        not_taking = {**dict.fromkeys(emptied, undone.OTHER_AUDIT), **not_taking}
    return (
        dataclasses.replace(model, staying=staying, not_taking=not_taking)
        if staying or not_taking
        else model
    )


def bounds(
    model: ComputeModel,
    moves: Sequence[EarlierMove],
    options: cfg.ConfigOpts,
    now: datetime.datetime,
    max_actions: int | None = None,
) -> Bounds:
    """The limits that remain for a plan that starts on its own."""
    conf = options.optimization
    index = model.server_index
    copied = sum(
        model.servers[index[move.server]].memory_mb
        for move in _since(moves, now - HOUR)
        if move.server in index
    )
    return Bounds(
        actions=max_actions,
        memory_mb=max(0.0, conf.max_gib_per_hour * 1024.0 - copied),
        margin=conf.move_margin,
        bandwidth=float(conf.migration_bandwidth),
        lasting=float(conf.server_rest or HOUR.total_seconds()),
        hysteresis=conf.hysteresis,
    )


def exceeded(bounds: Bounds, model: ComputeModel, actions: Iterable[ProposedAction]) -> str:
    """How a plan exceeds its bounds, so that a person has to decide; empty if it does not.

    Strategies that use a ``WhatIf`` with these bounds stay within them.
    """
    uuids = [
        str(action.input_parameters.get("resource_id"))
        for action in actions
        if action.action_type == "migrate"
    ]
    servers = [
        model.servers[model.server_index[uuid]] for uuid in uuids if uuid in model.server_index
    ]
    refused = [server.name for server in servers if server.uuid in model.staying]
    copied, left = sum(server.memory_mb for server in servers) / 1024, bounds.memory_mb / 1024
    reasons = []
    if refused:
        reasons.append(
            f"the plan moves {len(refused)} servers that are to stay, such as {refused[0]}"
        )
    if copied > left:
        reasons.append(
            f"the plan copies {copied:.1f} GiB, and {left:.1f} are left of max_gib_per_hour"
        )
    return "; ".join(reasons)


def _refusing(failed: Iterable[Failure]) -> set[str]:
    """Hosts to which the moves of several servers failed, so the host is the likely cause."""
    servers: dict[str, set[str]] = defaultdict(set)
    for failure in failed:
        servers[failure.destination].add(failure.server)
    return {host for host, each in servers.items() if host and len(each) >= REFUSED_BY}


def _resting(
    moves: Sequence[EarlierMove], options: cfg.ConfigOpts, now: datetime.datetime
) -> set[str]:
    """Servers that were moved a short time ago, or already as often as allowed."""
    conf = options.optimization
    rest = datetime.timedelta(seconds=conf.server_rest)
    number: dict[str, int] = defaultdict(int)
    resting = set()
    for move in moves:
        if not move.succeeded:
            continue
        if move.ended > now - HOUR:
            number[move.server] += 1
        if move.ended > now - rest or number[move.server] >= conf.max_moves_per_server:
            resting.add(move.server)
    return resting


def _since(moves: Iterable[EarlierMove], moment: datetime.datetime) -> list[EarlierMove]:
    return [move for move in moves if move.ended > moment]
