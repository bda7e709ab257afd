# SPDX-License-Identifier: Apache-2.0
"""watcher-all-in-one: API, decision engine and applier as threads of one process.

For trying Watcher out, for demonstrations and for tests: a simulated cloud, an SQLite
file, no broker and no keystone, and therefore only on the loopback interface.
"""

import os
import signal
import sys
import threading

from cheroot import wsgi
from oslo_config import cfg
from oslo_log import log

from watcher import conf as watcher_conf
from watcher import rpc
from watcher.api import app
from watcher.applier.service import Applier
from watcher.cloud import alarm_rules, simulated
from watcher.common.ticker import Ticker
from watcher.db import migration
from watcher.db.session import Database
from watcher.decision_engine.service import DecisionEngine
from watcher.notifications import Notifications
from watcher.rpc.doorbell import Wake

LOOPBACK = "127.0.0.1"

CLI = [
    cfg.StrOpt(
        "cloud",
        metavar="FILE",
        dest="simulated_cloud",
        help="The simulated cloud, YAML or JSON; by default the example that comes with Watcher.",
    ),
    cfg.StrOpt(
        "state-dir",
        metavar="DIR",
        default=os.path.join(
            os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state"), "watcher"
        ),
        sample_default="~/.local/state/watcher",
        help="Where the database and the state of the cloud are kept.",
    ),
    cfg.PortOpt("port", help="Port of the API; 0 takes a free one. By default [api] port."),
]


class AllInOne:
    """The three services and their cloud, wired with nothing but threads between them."""

    def __init__(self, conf: cfg.ConfigOpts, cloud: simulated.SimulatedCloud) -> None:
        transport = rpc.transport(conf, "fake://")
        database = Database(conf)
        migration.ensure(database)
        decision_engine, applier = Wake(), Wake()
        notifications = Notifications(conf, database)
        self._cloud = cloud
        self._engine = DecisionEngine(
            conf, database, cloud.cloud, applier, notifications, transport
        )
        self._applier = Applier(
            conf, database, cloud.cloud, decision_engine, notifications, transport
        )
        decision_engine.connect(self._engine.wake)
        applier.connect(self._applier.wake)
        self._api = wsgi.Server(
            (LOOPBACK, conf.port if conf.port is not None else conf.api.port),
            app.build(conf, database, decision_engine, applier, notifications),
        )
        self._alarms = alarm_rules.AlarmRules(cloud)
        self._saver = Ticker(
            "cloud state",
            lambda: cloud.save(saved_cloud(conf)),
            lambda: 0.5,
        )

    @property
    def endpoint(self) -> str:
        host, port = self._api.bind_addr
        return f"http://{host}:{port}"

    def start(self) -> None:
        self._api.prepare()
        threading.Thread(target=self._api.serve, name="api", daemon=True).start()
        self._engine.start()
        self._applier.start()
        self._saver.start()
        self._alarms.start(self.endpoint)

    def stop(self) -> None:
        self._alarms.stop()
        self._api.stop()
        self._applier.stop()
        self._engine.stop()
        self._saver.stop()


def configure(argv: list[str]) -> cfg.ConfigOpts:
    """A configuration that needs nothing outside of the state directory."""
    conf = watcher_conf.load(argv, config_files=[], cli=CLI)
    os.makedirs(conf.state_dir, exist_ok=True)
    conf.set_default("state_path", os.path.abspath(conf.state_dir))
    conf.set_default("host", "all-in-one")
    conf.set_override("enable_authentication", False)
    # A simulated cloud is quick, and costs nothing to look at.
    conf.set_default("migration_interval", 0.2, group="nova")
    conf.set_default("max_workers", 4, group="watcher_workflow_engines.taskflow")
    return conf


def saved_cloud(conf: cfg.ConfigOpts) -> str:
    """The file that keeps the state of the cloud, and that pictures are drawn from."""
    return os.path.join(conf.state_dir, "cloud.json")


def main() -> None:
    conf = configure(sys.argv[1:])
    log.setup(conf, "python-watcher")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    cloud = simulated.SimulatedCloud.from_file(conf.simulated_cloud or simulated.example_file())
    if os.path.exists(saved_cloud(conf)):
        cloud.resume(saved_cloud(conf))
    services = AllInOne(conf, cloud)
    services.start()
    print(f"Watcher listens on {services.endpoint}", flush=True)
    stop.wait()
    services.stop()
