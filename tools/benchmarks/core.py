# SPDX-License-Identifier: Apache-2.0
"""From an alarm to a plan, many audits at once, big plans, big lists, and the services' size."""

import argparse
import datetime
import json
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from oslo_utils import timeutils
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from benchmarks import clusters
from benchmarks.report import Figure, percentile, show
from benchmarks.stack import (
    ALARM,
    DEADLINE,
    Stack,
    child,
    database_of,
    free_port,
    memory,
    processes,
    script,
    wait,
)
from watcher import conf as watcher_conf
from watcher.common.alarms import AlarmMessage, WebhookFacts
from watcher.common.states import ActionState, AuditState, AuditType, Decision, PlanState, RunState
from watcher.db import action_plans, events, migration, models
from watcher.db.action_plans import PlannedAction
from watcher.db.models import (
    Action,
    ActionPlan,
    Audit,
    AuditRun,
    EfficacyIndicator,
    Strategy,
)
from watcher.db.session import Database
from watcher.simulation.cloud import SimulatedCloud


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench core", description=__doc__)
    parser.add_argument("--database", help="URL of an empty database; by default an SQLite file")
    parser.add_argument("--cluster", type=Path, help="another file for the 1000x20000 cluster")
    parser.add_argument("--only", help="run the parts whose names contain this")
    arguments = parser.parse_args(argv)
    figures: list[Figure] = []
    for part in (latency, stabilization, throughput, big_plan, big_lists, services):
        if arguments.only and arguments.only not in part.__name__:
            continue
        print(f"... {part.__name__}", flush=True)
        with tempfile.TemporaryDirectory() as directory:
            figures += part(Path(directory), arguments)
    show(figures)
    return 0


def latency(directory: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """One alarm after another on one audit with the dummy strategy."""
    for size, target, today in (("50x500", 30, 60), ("200x4000", 100, 1160)):
        state = directory / size
        cluster = clusters.write(directory / f"{size}.json", *clusters.SIZES[size])
        with Stack(state, cluster, arguments.database) as stack:
            audit = stack.create_audit(f"latency-{size}", "dummy")
            times = [stack.alarm_to_plan(audit) * 1000 for _ in range(60)][10:]
        yield Figure(
            f"alarm to plan, dummy, {size}, p50", percentile(times, 50), "ms", target, today
        )
        yield Figure(f"alarm to plan, dummy, {size}, p95", percentile(times, 95), "ms")


def stabilization(directory: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """workload_stabilization on the largest cluster, and the gain of its plan."""
    cluster = arguments.cluster or clusters.write(
        directory / "cluster.json", *clusters.SIZES["1000x20000"]
    )
    with Stack(directory / "state", cluster, arguments.database) as stack:
        audit = stack.create_audit("stabilization", "workload_stabilization")
        times = [stack.alarm_to_plan(audit) for _ in range(3)]
        with stack.database.reader() as session:
            plan_id = session.scalars(select(func.max(ActionPlan.id))).one()
            moves = session.scalars(select(Action).where(Action.action_plan_id == plan_id)).all()
            indicators = dict(
                session.execute(
                    select(EfficacyIndicator.name, EfficacyIndicator.data).where(
                        EfficacyIndicator.action_plan_id == plan_id
                    )
                ).all()
            )
    name = "workload_stabilization, 1000x20000"
    yield Figure(f"alarm to plan, {name}, best of 3", min(times), "s", 3, 209)
    yield Figure(f"migrations, {name}", len(moves), "", 2623, 2623)
    before = indicators["standard_deviation_before_audit"]
    yield Figure(f"deviation before, {name}", before, "", None, 0.311)
    after = indicators["standard_deviation_after_audit"]
    yield Figure(f"deviation after, {name}", after, "", 0.1, 0.0999)
    yield Figure(f"hosts ever over capacity, {name}", _overloads(cluster, moves), "", 0)


def throughput(directory: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """200 EVENT audits that have an event each, and one decision engine process."""
    database = database_of(directory, arguments.database)
    cluster = clusters.write(directory / "cluster.json", *clusters.SIZES["50x500"])
    config = directory / "watcher.conf"
    config.write_text(
        f"[DEFAULT]\ntransport_url = fake://\n[cloud]\nsimulation = {cluster}\n"
        "[watcher_decision_engine]\npoll_interval = 1\n"
        f"[database]\nconnection = {database.engine.url.render_as_string(hide_password=False)}\n"
    )
    command = [script("watcher-decision-engine"), "--config-file", str(config)]
    with child(command, directory / "log") as (process, log):
        wait(lambda: "is ready" in log.read_text(), process)
        with database.writer() as session:
            strategy = session.scalars(select(Strategy).where(Strategy.name == "dummy")).one()
            audits = [
                Audit(
                    audit_type=AuditType.EVENT,
                    name=f"throughput-{number}",
                    goal_id=strategy.goal_id,
                    strategy_id=strategy.id,
                )
                for number in range(200)
            ]
            session.add_all(audits)
        rates = [_rate(database, [audit.id for audit in audits]) for _ in range(5)]
    yield Figure("runs per second, 200 EVENT audits at once", max(rates), "/s", 100, 11, True)
    database.dispose()


def _rate(database: Database, audits: list[int]) -> float:
    """Runs per second from the first claim to the last end, an event for each audit."""
    with database.writer() as session:
        first = session.scalar(select(func.max(AuditRun.id))) or 0
        for audit in audits:
            facts = WebhookFacts(audit, "", AuditType.EVENT, AuditState.PENDING)
            event = AlarmMessage("generic", payload=ALARM)
            row = events.row(facts, event, timeutils.utcnow(), Decision.ACCEPTED)
            events.append(session.connection(), [row])
    mine = select(
        func.count(AuditRun.id), func.min(AuditRun.started_at), func.max(AuditRun.finished_at)
    ).where(AuditRun.id > first, AuditRun.state == RunState.SUCCEEDED)
    deadline = time.monotonic() + DEADLINE
    while True:
        time.sleep(0.2)
        with database.reader() as session:
            ended, began, end = session.execute(mine).one()
        if ended == len(audits):
            return len(audits) / float((end - began).total_seconds())
        if time.monotonic() > deadline:
            raise RuntimeError(f"{ended} of {len(audits)} runs ended in {DEADLINE} s")


def big_plan(directory: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """A plan of 5,000 actions, as the runner writes it."""
    database = database_of(directory, arguments.database)
    with database.writer() as session:
        audit, strategy = add_audit(session, "big-plan")
    actions = [
        PlannedAction(models.new_uuid(), "migrate", {"resource_id": models.new_uuid()}, ())
        for _ in range(5000)
    ]
    began = time.perf_counter()
    write_plan(database, audit, strategy, actions)
    yield Figure("plan of 5,000 actions written", time.perf_counter() - began, "s", 1, 52)
    database.dispose()


def write_plan(
    database: Database, audit: int, strategy: int, actions: Sequence[PlannedAction]
) -> None:
    database.write(
        lambda session: action_plans.create(
            session,
            audit_id=audit,
            strategy_id=strategy,
            state=PlanState.RECOMMENDED,
            global_efficacy=[],
            indicators=[],
            actions=actions,
            now=datetime.datetime(2026, 1, 1),
        )
    )


def big_lists(directory: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """Pages of 1,000 out of 100,000 rows, over HTTP."""
    cluster = clusters.write(directory / "cluster.json", *clusters.SIZES["50x500"])
    database = database_of(directory / "state", arguments.database)
    with database.writer() as session:
        _fill(session)
    database.dispose()
    with Stack(directory / "state", cluster, arguments.database) as stack:
        for path, today in (("audits", 4), ("actions", 10), ("audits/detail", None)):
            times = []
            for _ in range(5):
                began = time.perf_counter()
                page = json.loads(stack.request("GET", f"/v1/{path}?limit=1000"))
                times.append((time.perf_counter() - began) * 1000)
                assert len(page[path.split("/")[0]]) == 1000
            yield Figure(
                f"page of 1,000 {path} of 100,000", min(times), "ms", 200, today and today * 1000
            )


def services(directory: Path, arguments: argparse.Namespace) -> Iterator[Figure]:
    """The three services as processes of their own: until ready, and memory."""
    config = directory / "watcher.conf"
    port = free_port()
    config.write_text(
        f"[DEFAULT]\nstate_path = {directory}\ntransport_url = fake://\n"
        "enable_authentication = false\n"
        f"[api]\nport = {port}\nworkers = 1\n"
    )
    migration.ensure(Database(watcher_conf.load([], [str(config)])))
    for name, today in (
        ("watcher-api", None),
        ("watcher-decision-engine", 244),
        ("watcher-applier", None),
    ):
        began = time.perf_counter()
        command = [script(name), "--config-file", str(config)]
        with child(command, directory / f"{name}.log") as (process, log):
            wait(lambda: re.search(r"is ready|listens on", log.read_text()), process)
            seconds = time.perf_counter() - began
            sizes = [memory(pid) for pid in processes(process.pid)]
        yield Figure(f"{name} ready", seconds, "s", 2, 3.3)
        yield Figure(
            f"{name} memory, biggest process (RSS)", max(s[0] for s in sizes), "MiB", 90, today
        )
        yield Figure(f"{name} memory, all its processes (PSS)", sum(s[1] for s in sizes), "MiB")


def _overloads(cluster: Path, moves: Any) -> int:
    """Carry the migrations out in their order and count hosts pushed over their capacity."""
    cloud = SimulatedCloud.from_file(cluster)
    hosts = {host.hostname: host for host in cloud.hosts()}
    servers = {server.uuid: server for server in cloud.servers()}
    used = {name: [0, 0, 0] for name in hosts}

    def add(name: str, server: Any, sign: int) -> None:
        for column, amount in enumerate((server.vcpus, server.memory_mb, server.disk_gb)):
            used[name][column] += sign * amount

    for server in servers.values():
        add(server.host, server, 1)
    over = set()
    for move in moves:
        parameters = move.input_parameters
        server = servers[parameters["resource_id"]]
        add(parameters["source_node"], server, -1)
        name = parameters["destination_node"]
        add(name, server, 1)
        host = hosts[name]
        capacity = (
            (host.vcpus - host.vcpus_reserved) * host.vcpu_ratio,
            (host.memory_mb - host.memory_mb_reserved) * host.memory_ratio,
            (host.disk_gb - host.disk_gb_reserved) * host.disk_ratio,
        )
        if any(amount > limit for amount, limit in zip(used[name], capacity, strict=True)):
            over.add(name)
    return len(over)


def add_audit(session: Session, name: str) -> tuple[int, int]:
    goal = models.Goal(name=name, display_name=name, efficacy_specification=[])
    session.add(goal)
    session.flush()
    strategy = models.Strategy(name=name, display_name=name, goal_id=goal.id, parameters_spec={})
    session.add(strategy)
    session.flush()
    audit = models.Audit(
        name=name, audit_type=AuditType.ONESHOT, goal_id=goal.id, strategy_id=strategy.id
    )
    audit.state = AuditState.SUCCEEDED
    session.add(audit)
    session.flush()
    return audit.id, strategy.id


def _fill(session: Session) -> None:
    audit_id, strategy_id = add_audit(session, "big-lists")
    goal_id = session.get_one(Audit, audit_id).goal_id
    session.execute(
        insert(Audit),
        [
            {
                "name": f"audit-{number}",
                "audit_type": AuditType.ONESHOT,
                "state": AuditState.SUCCEEDED,
                "goal_id": goal_id,
                "strategy_id": strategy_id,
                "parameters": {"para1": 3.2, "para2": "hello"},
            }
            for number in range(100_000)
        ],
    )
    plan = ActionPlan(audit_id=audit_id, strategy_id=strategy_id, state=PlanState.SUCCEEDED)
    session.add(plan)
    session.flush()
    session.execute(
        insert(Action),
        [
            {
                "action_plan_id": plan.id,
                "action_type": "nop",
                "input_parameters": {"message": f"number {number}"},
                "state": ActionState.SUCCEEDED,
            }
            for number in range(100_000)
        ],
    )
