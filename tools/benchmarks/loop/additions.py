# SPDX-License-Identifier: Apache-2.0
"""The inputs of a run that come from earlier moves; a policy without them does not know its
moves."""

import dataclasses

from watcher.db.moves import EarlierMove
from watcher.decision_engine import same_metrics
from watcher.decision_engine.feedback import restraints
from watcher.decision_engine.feedback.recent_moves import HostLoads
from watcher.decision_engine.strategies.base import Inputs

from .audits import Engine
from .readings import Readings, moment
from .world import World

AUDIT = GOAL = 1
"""There is one audit."""


def earlier_moves(world: World, since: float) -> list[EarlierMove]:
    """The migrations of Watcher that ended after the minute *since*, the oldest first."""
    hosts, servers = world.inventory.hosts, world.inventory.servers
    return [
        EarlierMove(
            server=servers[move.server].uuid,
            source=hosts[move.source].hostname,
            destination=hosts[move.destination].hostname,
            succeeded=move.succeeded,
            ended=moment(move.ended),
            audit_id=AUDIT,
            goal_id=GOAL,
        )
        for move in world.history
        if move.by_watcher and move.ended > since
    ]


def remembering(engine: Engine, inputs: Inputs, world: World) -> Inputs:
    """*inputs* with the restraints by earlier moves, the remaining bounds of the plan, loads of
    hosts that are corrected for the last moves, expected loads of servers, and how long metrics
    stay the same."""
    horizon = restraints.horizon(engine.conf).total_seconds() / 60
    moves = earlier_moves(world, world.now - horizon)
    failed = restraints.failures(moves, engine.conf, inputs.now)
    model = restraints.restrained(
        inputs.compute_model(), failed, moves, AUDIT, GOAL, engine.conf, inputs.now, automatic=True
    )
    bounds = restraints.bounds(model, moves, engine.conf, inputs.now)
    readings = Readings(world)
    loads = HostLoads(inputs.now, lambda: readings, readings.migrations, lambda: model.servers)
    return dataclasses.replace(
        inputs,
        compute_model=lambda: model,
        bounds=lambda: bounds,
        host_metric=loads.metric,
        expected=lambda reading, *of: engine.usual_loads.expected(
            readings, reading, inputs.now, *of
        ),
        step=lambda: same_metrics.step_of(lambda: readings, inputs.parameters["granularity"]),
    )
