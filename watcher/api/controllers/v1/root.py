# SPDX-License-Identifier: Apache-2.0
"""GET /v1: the list of resources."""

from typing import Any

from watcher.api.controllers.v1.action_plans import ActionPlans
from watcher.api.controllers.v1.actions import Actions
from watcher.api.controllers.v1.audit_templates import AuditTemplates
from watcher.api.controllers.v1.audits import Audits
from watcher.api.controllers.v1.data_model import DataModel
from watcher.api.controllers.v1.installed import Goals, ScoringEngines, Strategies
from watcher.api.controllers.v1.services import Services
from watcher.api.controllers.v1.webhooks import Webhooks
from watcher.api.resource import Collaborators, Request, Resource, get

_DOCUMENTATION = "https://docs.openstack.org/api-ref/resource-optimization/"
_READ = (Goals, AuditTemplates, Strategies, ScoringEngines, Services, Audits, ActionPlans, Actions)
_SINCE = {"data_model": (1, 3), "webhooks": (1, 4)}
"""The first version in which the list names a resource; requests to it work in any version."""


class V1(Resource):
    def __init__(self, collaborators: Collaborators) -> None:
        super().__init__(collaborators)
        self.webhooks = Webhooks(collaborators)
        self.children = {
            **{each.plural: each(collaborators) for each in _READ},
            "data_model": DataModel(collaborators),
            "webhooks": self.webhooks,
        }

    @get()
    def document(self, request: Request) -> dict[str, Any]:
        base = request.application_url
        named = {
            resource: [
                {"href": f"{base}/v1/{resource}/", "rel": "self"},
                {"href": f"{base}/{resource}/", "rel": "bookmark"},
            ]
            for resource in self.children
            if request.version >= _SINCE.get(resource, (1, 0))
        }
        return {
            "id": "v1",
            "media_types": [
                {"base": "application/json", "type": "application/vnd.openstack.watcher.v1+json"}
            ],
            "links": [
                {"href": f"{base}/v1/", "rel": "self"},
                {"href": _DOCUMENTATION, "rel": "describedby", "type": "text/html"},
            ],
            **named,
        }
