# SPDX-License-Identifier: Apache-2.0
"""The cloud that the environment variables ``OS_*`` lead to."""

import os

import openstack

from watcher.cloud.compute import Compute, Server
from watcher.cmd import cloud
from watcher.conf import clients
from watcher.tests import base

_SETTLING = 120.0


class RealCloudTestCase(base.TestCase):
    """A test with the real cloud in ``conf``, as an administrator."""

    def setUp(self) -> None:
        super().setUp()
        if "OS_AUTH_URL" not in os.environ:
            self.skipTest("Set OS_AUTH_URL and the like to those of a cloud for tests.")
        from keystoneauth1 import loading

        clients.register(self.conf)
        options = loading.get_auth_plugin_conf_options(os.environ.get("OS_AUTH_TYPE", "password"))
        self.conf.register_opts(options, group=clients.AUTH)
        self.conf.set_override(
            "auth_type", os.environ.get("OS_AUTH_TYPE", "password"), clients.AUTH
        )
        for option in options:
            value = os.environ.get(f"OS_{option.dest.upper()}")
            if value:
                self.conf.set_override(option.dest, value, clients.AUTH)

    def admin(self) -> openstack.connection.Connection:
        """openstacksdk's own connection, to prepare what a test needs."""
        connection = openstack.connect()
        self.addCleanup(connection.close)
        return connection

    def boot(self, compute: Compute, name: str, flavor: str, **metadata: str) -> str:
        """The uuid of a new server at rest, which the end of the test deletes."""
        connection = self.admin()
        server = connection.compute.create_server(
            name=name,
            flavor_id=connection.compute.find_flavor(flavor, ignore_missing=False).id,
            image_id=next(connection.image.images()).id,
            networks="none",
            metadata=metadata,
        )
        self.addCleanup(connection.compute.wait_for_delete, server)
        self.addCleanup(connection.compute.delete_server, server)
        self.at_rest(compute, server.id)
        return str(server.id)

    def at_rest(self, compute: Compute, uuid: str, *states: str) -> Server:
        """The server once it is in one of *states* and nova does nothing with it."""

        def look() -> Server | None:
            server = compute.server(uuid)
            done = server.task_state is None and server.state in (states or ("active",))
            return server if done else None

        return base.wait_for(look, f"server {uuid} {states}", _SETTLING)

    def compute(self) -> Compute:
        return cloud.connect(self.conf).compute
