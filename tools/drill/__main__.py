# SPDX-License-Identifier: Apache-2.0
"""Kills the services while alarms arrive, and checks that nothing is lost.

Starts the services as processes, on a MariaDB server and a RabbitMQ broker, and posts alarms to
EVENT audits.  Meanwhile it kills engines, appliers, the API and the broker with SIGKILL, and lets
their connections to the database fall silent, at moments that follow from the seed.  At the end it
looks in the database for alarms, runs and plans that are lost, doubled or stuck.
"""

import argparse
import contextlib
import random
import sys
import time
from pathlib import Path

import sqlalchemy as sa

from tools.drill import broker, findings, ledger, place, report
from tools.drill.database_proxy import DatabaseProxy
from tools.drill.processes import Process, Service, listens, wait_for
from tools.drill.sender import Senders, alarms
from tools.drill.strikes import Carrier, plan
from watcher.common.states import AuditType
from watcher.db.models import Audit, Strategy
from watcher.db.session import Database

_ACTIONS = [
    {"action_type": "nop", "input_parameters": {"message": "one"}},
    {"action_type": "nop", "input_parameters": {"message": "two"}},
    {"action_type": "sleep", "input_parameters": {"duration": 1}},
]
_TIMEOUT = 180.0
"""Seconds for the remaining work after the last strike."""


class Fleet:
    """All processes of the drill."""

    def __init__(self, directory: Path, name: str, arguments: argparse.Namespace, url: str) -> None:
        self.broker = broker.make(directory, arguments.broker)
        self.database_proxy = DatabaseProxy(directory, url)
        values = {
            "prefix": name,
            "broker": self.broker.url,
            "database": self.database_proxy.url,
            "recorded": arguments.recorded,
        }
        self.apis = [Service("watcher-api", f"api-{n}", directory, **values) for n in range(2)]
        self.engines = [
            Service("watcher-decision-engine", f"engine-{n}", directory, **values) for n in range(3)
        ]
        self.appliers = [
            Service("watcher-applier", f"applier-{n}", directory, **values) for n in range(2)
        ]

    @property
    def all(self) -> list[Process]:
        return [self.broker, *self.apis, *self.engines, *self.appliers, self.database_proxy]

    def __enter__(self) -> "Fleet":
        self.database_proxy.start()
        wait_for(lambda: listens(self.database_proxy.port), "the proxy of the database listens", 60)
        for process in self.all:
            process.start()
        wait_for(lambda: listens(self.broker.port), "the broker listens", 60)
        for api in self.apis:
            wait_for(lambda api=api: listens(api.port), f"{api.name} listens", 60)
        return self

    def __exit__(self, *error: object) -> None:
        for process in (*reversed(self.all[:-1]), self.database_proxy):
            if error[0]:
                process.kill()  # a clean end is not needed
            process.end()


def drill(directory: Path, name: str, database: Database, arguments: argparse.Namespace) -> bool:
    """Run the drill.  Returns whether it found no fault."""
    with database.engine.begin() as connection:
        ledger.open_ledger(connection)
    draw = random.Random(arguments.seed)
    url = database.engine.url.render_as_string(hide_password=False)
    with Fleet(directory, name, arguments, url) as fleet:
        wait_for(lambda: _knows(database), "the decision engines are ready", 60)
        audits = _create_audits(database, arguments.audits)
        seconds = arguments.minutes * 60
        senders = Senders(
            alarms(draw, arguments.alarms, audits, seconds),
            [api.port for api in fleet.apis],
            arguments.seed,
        )
        strikes = Carrier(fleet.all, plan(draw, len(fleet.all), seconds))
        print(
            f"{arguments.alarms:,} alarms to {arguments.audits} audits, {seconds:.0f} seconds, "
            f"seed {arguments.seed}; the broker is {fleet.broker.what}",
            flush=True,
        )
        senders.start()
        strikes.start()
        strikes.join()
        strikes.stop()
        deadline = time.monotonic() + _TIMEOUT
        senders.join_until(deadline)
        _wait_for_rest(database, deadline)
        with database.reader() as session:
            found = findings.look(session, senders.alarms, arguments.recorded >= arguments.alarms)
    return report.show(found, senders, strikes.killed)


def _knows(database: Database) -> bool:
    with database.reader() as session:
        return session.scalar(sa.select(Strategy).where(Strategy.name == "actuator")) is not None


def _create_audits(database: Database, number: int) -> list[str]:
    """Create audits; a tenth of them starts its plans, a tenth waits for the end of other plans."""
    with database.writer() as session:
        strategies = {row.name: row for row in session.scalars(sa.select(Strategy))}
        audits = []
        for index in range(number):
            acts = index % 10 == 1
            strategy = strategies["actuator" if acts else "dummy"]
            audits.append(
                Audit(
                    name=f"drill-{index}",
                    audit_type=AuditType.EVENT,
                    goal_id=strategy.goal_id,
                    strategy_id=strategy.id,
                    parameters={"actions": _ACTIONS} if acts else {},
                    auto_trigger=acts,
                    force=index % 10 != 2,
                )
            )
        session.add_all(audits)
        session.flush()
        return [audit.uuid or "" for audit in audits]


def _wait_for_rest(database: Database, deadline: float) -> None:
    def done() -> bool:
        with database.reader() as session:
            return not findings.waiting(session)

    # The remaining work counts as stuck.
    with contextlib.suppress(TimeoutError):
        wait_for(done, "all is done", deadline - time.monotonic())


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tox -e drill --", description=__doc__)
    parser.add_argument("--alarms", type=int, default=2000, help="by default 2000")
    parser.add_argument("--audits", type=int, default=50, help="by default 50")
    parser.add_argument("--seed", type=int, default=3, help="of alarms and strikes; by default 3")
    parser.add_argument(
        "--minutes", type=float, default=3.0, help="of alarms and strikes; by default 3"
    )
    parser.add_argument(
        "--recorded",
        type=int,
        default=1_000_000,
        help="[webhooks] max_recorded_per_minute; by default so many that each alarm has a row",
    )
    place.add_servers(parser)
    return parser.parse_args()


def main() -> int:
    arguments = parse()
    return place.run("drill", arguments, drill)


if __name__ == "__main__":
    sys.exit(main())
