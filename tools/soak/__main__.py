# SPDX-License-Identifier: Apache-2.0
"""Mixed work for a long time: nothing may grow, and no log may have an error.

Starts the three services as processes, on a MariaDB server, a RabbitMQ broker and an emulated
cloud with Prometheus, and lets users, alarm services, dashboards and an operator work with them.
Memory, threads and open files of each process and the rows of each table are sampled; the slope
of each series, as a median, has a limit.
"""

import argparse
import contextlib
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tools.drill import broker, place
from tools.drill.processes import Process, free_port, listens, wait_for
from tools.soak.cloud import Cloud
from tools.soak.samples import Samples
from tools.soak.work import Work
from watcher.db.session import Database

_CONFIGURATION = """\
[DEFAULT]
transport_url = {broker}
state_path = {directory}
enable_authentication = false
[database]
connection = {database}
[oslo_messaging_rabbit]
amqp_auto_delete = true
[oslo_messaging_notifications]
driver = messagingv2
topics = {name}
[api]
port = {port}
workers = 2
[metrics]
enabled = true
port = {metrics}
[nova]
migration_interval = 0.5
[optimization]
max_gib_per_hour = 1000000
broken_promises = 0
[watcher_decision_engine]
conductor_topic = {name}.decision
check_periodic_interval = 15
[watcher_applier]
conductor_topic = {name}.applier
[watcher_datasources]
datasources = prometheus
{cloud}"""

_SERVICES = ("watcher-api", "watcher-decision-engine", "watcher-applier")
_ARENAS = {"MALLOC_ARENA_MAX": "2"}
"""As in the systemd units.  With more arenas, threads do not share freed memory, so it takes longer
until memory stops growing."""
_PAUSE = 5.0
"""Seconds between two samples."""
_ERROR = re.compile(r" (?:ERROR|CRITICAL) |^Traceback", re.MULTILINE)


def soak(directory: Path, name: str, database: Database, arguments: argparse.Namespace) -> bool:
    """Whether nothing grew and nothing failed."""
    samples = Samples(database)
    with _running(directory, name, database, arguments) as (services, work):
        print(f"{arguments.minutes:g} minutes of mixed work", flush=True)
        until = time.monotonic() + arguments.minutes * 60
        with work:
            while time.monotonic() < until:
                samples.take(services)
                time.sleep(_PAUSE)
        alive = all(service.alive for service in services)
    well = samples.show()
    errors = [f"{each.log.name}: {line}" for each in services for line in _errors(each.log)]
    for what in (*errors, *work.errors):
        print(what)
    print(", ".join(f"{number:,} {what}" for what, number in sorted(work.counts.items())))
    print(f"{len(errors)} errors in the logs, {len(work.errors)} requests that failed")
    return well and alive and not errors and not work.errors


@contextlib.contextmanager
def _running(
    directory: Path, name: str, database: Database, arguments: argparse.Namespace
) -> Iterator[tuple[list[Process], Work]]:
    port, metrics = free_port(), free_port()
    bus, configuration = broker.make(directory, arguments.broker), directory / "watcher.conf"
    with Cloud() as cloud, contextlib.ExitStack() as exits:
        configuration.write_text(
            _CONFIGURATION.format(
                broker=bus.url,
                directory=directory,
                database=database.engine.url.render_as_string(hide_password=False),
                name=name,
                port=port,
                metrics=metrics,
                cloud=cloud.configuration,
            )
        )
        scripts, options = Path(sys.executable).parent, ["--config-file", str(configuration)]
        services = [
            Process(each, [str(scripts / each), *options], directory, {**os.environ, **_ARENAS})
            for each in _SERVICES
        ]
        for process in (bus, *services):
            exits.callback(process.end)
            process.start()
            if process is bus:
                wait_for(lambda: listens(bus.port), "the broker listens", 120)
        for each in (port, metrics):
            wait_for(lambda each=each: listens(each), "the services are ready", 120)
        purge = [str(scripts / "watcher-db-manage"), *options, "purge", "--yes"]
        yield services, Work(f"http://127.0.0.1:{port}", metrics, cloud, database, purge)


def _errors(log: Path) -> Iterator[str]:
    return (line for line in log.read_text().splitlines() if _ERROR.search(line))


def main() -> int:
    parser = argparse.ArgumentParser(prog="tox -e soak --", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="by default 30")
    place.add_servers(parser)
    return place.run("soak", parser.parse_args(), soak)


if __name__ == "__main__":
    sys.exit(main())
