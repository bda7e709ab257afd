# SPDX-License-Identifier: Apache-2.0
"""The three services, for the time of the tests, as processes on this machine."""

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from tools.drill.processes import Process, listens, wait_for

_CONFIGURATION = """\
[DEFAULT]
transport_url = {broker}
state_path = {directory}

[database]
connection = {database}

[api]
host = {host}
port = {port}
workers = 2

[nova]
api_version = 2.96

[compute_model]
enable_extended_attributes = true

[watcher_datasources]
datasources = {datasource}
{auth}"""

_AUTH = """
[{group}]
auth_type = password
auth_url = {url}
username = {username}
password = {password}
project_name = {project}
user_domain_name = {user_domain}
project_domain_name = {project_domain}
"""


@contextmanager
def running(host: str, port: int, directory: Path, datasource: str) -> Iterator[None]:
    """Services with an empty database of their own, at the address of the catalog."""
    path = directory / "watcher.conf"
    broker = os.environ.get("WATCHER_TEST_RABBIT_URL", "rabbit://guest:guest@127.0.0.1:5672/")
    with _database() as url:
        path.write_text(
            _CONFIGURATION.format(
                broker=broker,
                directory=directory,
                database=url,
                host=host,
                port=port,
                datasource=datasource,
                auth=_auth(),
            )
        )
        with _started(path, port, directory):
            yield


@contextmanager
def _database() -> Iterator[str]:
    """The URL of an empty database, which is dropped at the end."""
    server = sa.make_url(
        os.environ.get("WATCHER_TEST_MYSQL_URL", "mysql+pymysql://root@127.0.0.1:3306/mysql")
    )
    name = f"watcher_tempest_{uuid.uuid4().hex[:8]}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name}")
        engine.dispose()


@contextmanager
def _started(path: Path, port: int, directory: Path) -> Iterator[None]:
    """The services with the configuration file *path*."""
    scripts = Path(sys.executable).parent
    options = ["--config-file", str(path)]
    services = [
        Process(each, [str(scripts / each), *options], directory)
        for each in ("watcher-api", "watcher-decision-engine", "watcher-applier")
    ]
    try:
        schema = Process("schema", [str(scripts / "watcher-db-manage"), *options], directory)
        schema.start()
        wait_for(lambda: not schema.alive, "the schema is made", 120)
        for service in services:
            service.start()
        wait_for(lambda: listens(port), f"the API listens ({services[0].log})", 60)
        yield
    finally:
        for service in services:
            service.end()


def _auth() -> str:
    """Credentials for tokens of callers and for the cloud: the administrator's own."""
    read = os.environ.get
    return "".join(
        _AUTH.format(
            group=group,
            url=os.environ["OS_AUTH_URL"],
            username=read("OS_USERNAME", "admin"),
            password=os.environ["OS_PASSWORD"],
            project=read("OS_PROJECT_NAME", "admin"),
            user_domain=read("OS_USER_DOMAIN_NAME", "Default"),
            project_domain=read("OS_PROJECT_DOMAIN_NAME", "Default"),
        )
        for group in ("keystone_authtoken", "watcher_clients_auth")
    )
