# SPDX-License-Identifier: Apache-2.0
"""GET /: which versions there are.  The one document that needs no token."""

from typing import Any

from watcher.api import microversions
from watcher.api.controllers.v1.root import V1
from watcher.api.resource import Collaborators, Request, Resource, get


class Root(Resource):
    def __init__(self, collaborators: Collaborators) -> None:
        super().__init__(collaborators)
        v1 = V1(collaborators)
        self.children = {"v1": v1}
        self.webhooks = v1.webhooks

    @get()
    def document(self, request: Request) -> dict[str, Any]:
        v1 = {
            "id": "v1",
            "status": "CURRENT",
            "min_version": microversions.text(microversions.MINIMUM),
            "max_version": microversions.text(microversions.MAXIMUM),
            "links": [{"href": f"{request.application_url}/v1/", "rel": "self"}],
        }
        return {
            "name": "Watcher",
            "description": "Optimizes where the servers of an OpenStack cloud run.",
            "versions": [v1],
            "default_version": v1,
        }
