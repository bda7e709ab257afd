# SPDX-License-Identifier: Apache-2.0
"""watcher-all-in-one: API, decision engine and applier as threads of one process.

For trying Watcher out, for demonstrations and for tests: a simulated cloud, an SQLite
file, no broker and no keystone, and therefore only on the loopback interface.
"""

import os
import shlex
import signal
import sys
import tempfile
import threading
from typing import NoReturn

from oslo_config import cfg
from oslo_db.exception import DBError
from oslo_log import log
from sqlalchemy.exc import SQLAlchemyError

from watcher import conf as watcher_conf
from watcher import rpc
from watcher.api import app
from watcher.api.server import ApiServer
from watcher.api.unrecorded import UnrecordedEvents
from watcher.applier.service import Applier
from watcher.cloud import Cloud
from watcher.common import logs
from watcher.common.errors import Invalid, WatcherError
from watcher.common.periodic import Ticker
from watcher.db import migration
from watcher.db.errors import WrongSchema
from watcher.db.session import Database
from watcher.decision_engine.service import DecisionEngine
from watcher.notifications import Notifications
from watcher.rpc.doorbell import LocalDoorbell
from watcher.rpc.engine_client import EngineClient
from watcher.simulation import alarm_rules
from watcher.simulation.cloud import SimulatedCloud
from watcher.simulation.scenario import example_file

LOG = log.getLogger(__name__)

LOOPBACK = "127.0.0.1"

DESCRIPTION = """The API, the decision engine and the applier of Watcher in one process, on a
simulated cloud. Needs no database server, message broker or keystone, and listens on the
loopback interface only. For trying things out, not for production."""

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
        help="Where the database and the state of the cloud are kept, by default "
        "~/.local/state/watcher. A later start goes on from there.",
    ),
    cfg.PortOpt("port", help="Port of the API; 0 takes a free one. By default [api] port."),
]


class LocalServices:
    """The three services for a cloud, wired with nothing but threads between them."""

    def __init__(self, conf: cfg.ConfigOpts, cloud: Cloud, port: int) -> None:
        """*port* 0 takes a free one."""
        transport = rpc.transport(conf, "fake://")
        self._database = database = Database(conf)
        migration.ensure(database)
        decision_engine, applier = LocalDoorbell(), LocalDoorbell()
        notifications = self._notifications = Notifications(conf, database)
        self._engine = DecisionEngine(
            conf, database, cloud, applier, notifications, transport, restart
        )
        self._applier = Applier(conf, database, cloud, decision_engine, notifications, transport)
        decision_engine.connect(self._engine.dispatcher.wake)
        applier.connect(self._applier.dispatcher.wake)
        self._unrecorded = UnrecordedEvents(database)
        self._api = ApiServer(
            conf,
            (LOOPBACK, port),
            app.build(
                conf,
                database,
                decision_engine,
                applier,
                notifications,
                EngineClient(conf, transport),
                self._unrecorded,
            ),
        )

    @property
    def endpoint(self) -> str:
        host, port = self._api.bind_addr
        return f"http://{host}:{port}"

    @property
    def metrics_port(self) -> int:
        """0 if no metrics are served."""
        return self._engine.metrics.port

    def start(self) -> None:
        """Invalid if the port is not free."""
        try:
            self._api.prepare()
        except OSError as error:
            host, port = self._api.bind_addr
            raise Invalid(f"port: nothing can listen on {host}:{port}; is it in use?") from error
        threading.Thread(target=self._api.serve, name="api", daemon=True).start()
        self._engine.start()
        self._applier.start()

    def stop(self) -> None:
        self._api.stop()
        self._unrecorded.stop()
        self._applier.stop()
        self._engine.stop()
        self._notifications.stop()
        self._database.dispose()


class AllInOne(LocalServices):
    """The services with a simulated cloud, its alarms, and the file that keeps its state."""

    def __init__(self, conf: cfg.ConfigOpts, cloud: SimulatedCloud) -> None:
        super().__init__(conf, cloud.cloud, conf.api.port if conf.port is None else conf.port)
        self.cloud = cloud
        self._alarms = alarm_rules.AlarmRules(cloud)
        self._saved_cloud = saved_cloud(conf)
        self._saver = Ticker("cloud state", self._save_cloud, lambda: 0.5)

    def start(self) -> None:
        super().start()
        self._saver.start()
        self._alarms.start(self.endpoint)

    def stop(self) -> None:
        self._alarms.stop()
        super().stop()
        self._saver.stop()
        self._save_cloud()

    def _save_cloud(self) -> None:
        self.cloud.save(self._saved_cloud)


def configure(argv: list[str]) -> cfg.ConfigOpts:
    """A configuration that needs nothing outside of the state directory."""
    conf = watcher_conf.load(argv, config_files=[], cli=CLI, description=DESCRIPTION)
    conf.set_default("state_path", os.path.abspath(conf.state_dir))
    conf.set_default("host", "all-in-one")
    conf.set_override("enable_authentication", False)
    conf.set_default("use_stderr", True)  # stdout has the endpoint only
    # A simulated cloud changes fast, and requests to it cost nothing.
    conf.set_default("migration_interval", 0.2, group="nova")
    conf.set_default("migration_interval", 0.2, group="cinder")
    conf.set_default("power_interval", 0.2, group="baremetal")
    conf.set_default("max_workers", 4, group="watcher_workflow_engines.taskflow")
    conf.set_default("collector_plugins", ["compute", "storage", "baremetal"], group="collector")
    return conf


def make_state_dir(path: str) -> None:
    """Invalid if the directory *path* cannot be made or written to."""
    try:
        os.makedirs(path, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise Invalid(f"state-dir: {path} cannot be written to: {error.strerror}.") from error


def saved_cloud(conf: cfg.ConfigOpts) -> str:
    """The file that keeps the state of the cloud, and that pictures are drawn from."""
    return os.path.join(conf.state_dir, "cloud.json")


def restart() -> None:
    """Replace this process by a new process, because some threads do not end."""
    LOG.critical("watcher-all-in-one restarts: too many of its threads do not end")
    os.execv(sys.executable, sys.orig_argv)


def prepare(conf: cfg.ConfigOpts) -> AllInOne:
    """The services with their cloud, in the state in which an earlier start left it."""
    make_state_dir(conf.state_dir)
    cloud = SimulatedCloud.from_file(conf.simulated_cloud or example_file())
    if os.path.exists(saved_cloud(conf)):
        cloud.resume(saved_cloud(conf))
    return AllInOne(conf, cloud)


def main() -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        conf = configure(sys.argv[1:])
        logs.setup(conf)
        services = prepare(conf)
        services.start()
    except WrongSchema:
        _refuse("the database is of another version of Watcher; take another state-dir.")
    except (SQLAlchemyError, DBError) as error:
        _refuse(f"the database, of [database] connection: {str(error).splitlines()[0]}.")
    except (WatcherError, cfg.Error, OSError) as error:
        _refuse(str(error).splitlines()[0])
    print(f"Watcher listens on {services.endpoint}", flush=True)
    print(
        f"Ctrl-C stops it. A later start goes on from {conf.state_dir}; to begin anew, stop it "
        f"and run: rm -r {shlex.quote(conf.state_dir)}",
        file=sys.stderr,
        flush=True,
    )
    stop.wait()
    services.stop()


def _refuse(sentence: str) -> NoReturn:
    """Exit with one sentence, also when threads are running."""
    print(f"watcher-all-in-one: {sentence}", file=sys.stderr, flush=True)
    os._exit(1)
