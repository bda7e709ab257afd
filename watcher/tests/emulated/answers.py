# SPDX-License-Identifier: Apache-2.0
import json
from typing import Any

from werkzeug.wrappers import Response


def json_response(content: Any, status: int = 200) -> Response:
    return Response(json.dumps(content), status, mimetype="application/json")
