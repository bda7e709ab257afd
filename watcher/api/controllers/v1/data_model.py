# SPDX-License-Identifier: Apache-2.0
"""/v1/data_model: the cloud as the decision engine sees it."""

from typing import Any

from watcher.api.resource import Request, Resource, get
from watcher.common.errors import Invalid, NotAcceptable, NotFound
from watcher.db import audits

_COMPUTE = "compute"
_LATER = ("server_pinned_az", "server_flavor_extra_specs")
"""Fields that version 1.6 added."""


class DataModel(Resource):
    @get(query={"data_model_type": str, "audit_uuid": str})
    def get_all(
        self, request: Request, data_model_type: str = _COMPUTE, audit_uuid: str | None = None
    ) -> dict[str, Any]:
        """The compute model, or the part of it in the scope of an audit."""
        if request.version < (1, 3):
            raise NotAcceptable("data_model: needs version 1.3 of the API or later.")
        if data_model_type != _COMPUTE:
            raise NotFound(
                f"data_model_type: there is no '{data_model_type[:60]}'; allowed is {_COMPUTE}."
            )
        self.authorize(request, "data_model:get_all")
        audit = audit_uuid and self._known(audit_uuid)
        rows = self.engine_client.data_model(data_model_type, audit or None)
        if request.version < (1, 6):
            for row in rows:
                for field in _LATER:
                    row.pop(field, None)
        return {"context": rows}

    def _known(self, ident: str) -> str:
        """The uuid of the audit with that uuid or name.  Invalid if there is none."""
        with self.database.reader() as session:
            try:
                return audits.get(session, ident).uuid or ""
            except NotFound as error:
                raise Invalid(f"audit_uuid: {error}") from None
