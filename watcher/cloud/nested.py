# SPDX-License-Identifier: Apache-2.0
"""What servers have of providers below those of their hosts, as one of their needs."""

import dataclasses
from collections.abc import Iterable, Mapping

from watcher.cloud.compute import Host, Server
from watcher.cloud.needs import Holding

Nested = Mapping[tuple[str, str], tuple[Holding, ...]]
"""Hostname and uuid of a server to what the server has below that host."""


def nested_of(hosts: Iterable[Host]) -> Nested:
    return {
        (host.hostname, uuid): holdings for host in hosts for uuid, holdings in host.nested.items()
    }


def with_nested(server: Server, nested: Nested) -> Server:
    """The server with what it has below its host among its needs."""
    holdings = nested.get((server.host, server.uuid))
    if not holdings:
        return server
    return dataclasses.replace(server, needs=server.needs.with_holdings(holdings))
