# SPDX-License-Identifier: Apache-2.0
"""openstack optimize service status: whether each kind of service is there."""

import argparse
from typing import Any
from urllib.parse import urlsplit

from osc_watcher import commands
from osc_watcher.commands import Field, row

_KINDS = ("watcher-decision-engine", "watcher-applier")
_FIELDS = (
    Field("Name", "name"),
    Field("Host", "host"),
    Field("Status", "status"),
    Field("Last Seen Up", "last_seen_up"),
    Field("Remark", "remark"),
)


class ServiceStatus(commands.Table):
    """Show the API, the decision engines and the appliers, and which of them live.

    A kind of which there is none is MISSING.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        answer, _ = self.api.send("GET")
        services = self.api.items("services", "detail", limit=0, sort_key="name")
        known = {service["name"] for service in services}
        missing = [
            {"name": kind, "status": "MISSING", "remark": "none has ever been started"}
            for kind in _KINDS
            if kind not in known
        ]
        found = [_api(answer), *services, *missing]
        return [field.label for field in _FIELDS], [row(_FIELDS, each) for each in found]


def _api(answer: Any) -> dict[str, str]:
    lowest, highest = (
        answer.headers.get(f"OpenStack-API-{end}-Version", "?") for end in ("Minimum", "Maximum")
    )
    return {
        "name": "watcher-api",
        "host": urlsplit(answer.url).netloc,
        "status": "ACTIVE",
        "remark": f"versions {lowest} to {highest}",
    }
