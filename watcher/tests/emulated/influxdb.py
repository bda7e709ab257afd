# SPDX-License-Identifier: Apache-2.0
"""InfluxDB behind Grafana's proxy for data sources."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from werkzeug.wrappers import Request, Response

from watcher.tests.emulated.keystone import answer

TOKEN = "eyJrIjoi"


class InfluxDB:
    """A WSGI application.

    *databases* maps a database to its values, by the first string in a statement.  The
    column of a value has the name of the function that a statement begins with.
    """

    def __init__(self, databases: Mapping[str, Mapping[str, Any]]) -> None:
        self.databases = databases
        self.statements: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            response: Any = Response('{"message": "Unauthorized"}', 401)
        elif not re.fullmatch(r"/proxy/\d+/query", request.path):
            response = Response(status=404)
        else:
            response = self._query(request.values["db"], request.values["q"])
        return response(environ, start_response)

    def _query(self, database: str, query: str) -> Response:
        statements = re.findall(r"(?:'(?:[^'\\]|\\.)*'|[^;'])+", query)
        self.statements += statements
        results = [
            {"statement_id": number} | self._result(database, statement)
            for number, statement in enumerate(statements)
        ]
        return answer({"results": results})

    def _result(self, database: str, statement: str) -> dict[str, Any]:
        if statement == "SHOW DATABASES":
            rows = [[name] for name in self.databases]
            return {"series": [{"name": "databases", "columns": ["name"], "values": rows}]}
        function = re.match(r"SELECT (\w+)\(", statement)
        named = re.search(r"= '((?:[^'\\]|\\.)*)'", statement)
        if function is None or named is None:
            return {"error": "error parsing query"}
        name = re.sub(r"\\(.)", r"\1", named[1])
        if name not in self.databases.get(database, {}):
            return {}
        row = [1795366146276, self.databases[database][name]]
        return {"series": [{"name": "any", "columns": ["time", function[1]], "values": [row]}]}
