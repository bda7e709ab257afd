# SPDX-License-Identifier: Apache-2.0
"""What of nova's API is emulated."""

from werkzeug.routing import Map, Rule

URLS = Map(
    [
        Rule("/v2.1/", endpoint="version", strict_slashes=False),
        Rule("/v2.1/os-hypervisors/detail", endpoint="hypervisors"),
        Rule("/v2.1/os-hypervisors/<ident>", endpoint="hypervisor"),
        Rule("/v2.1/os-services", endpoint="services"),
        Rule("/v2.1/os-services/<ident>", endpoint="set_service", methods=["PUT"]),
        Rule("/v2.1/os-aggregates", endpoint="aggregates"),
        Rule("/v2.1/os-server-groups", endpoint="server_groups"),
        Rule("/v2.1/os-migrations", endpoint="all_migrations"),
        Rule("/v2.1/servers/detail", endpoint="servers"),
        Rule("/v2.1/servers/<ident>", endpoint="server", methods=["GET"]),
        Rule("/v2.1/servers/<ident>", endpoint="delete", methods=["DELETE"]),
        Rule("/v2.1/servers/<ident>/action", endpoint="act", methods=["POST"]),
        Rule("/v2.1/servers/<ident>/migrations", endpoint="migrations"),
        Rule("/v2.1/servers/<ident>/migrations/<int:number>", endpoint="abort", methods=["DELETE"]),
        Rule("/v2.1/servers/<ident>/os-instance-actions", endpoint="instance_actions"),
        Rule("/v2.1/servers/<ident>/os-instance-actions/<name>", endpoint="instance_action"),
        Rule("/v2.1/flavors/detail", endpoint="flavors"),
        Rule("/v2.1/flavors/<ident>", endpoint="flavor"),
    ]
)
