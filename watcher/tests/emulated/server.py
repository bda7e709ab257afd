# SPDX-License-Identifier: Apache-2.0
"""A WSGI application on a free port of this machine, which can be made to fail."""

import enum
import io
import json
import socket
import threading
from collections.abc import Iterable
from typing import Any

import fixtures
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response


class Fault(enum.Enum):
    """What may be wrong with a service."""

    DOWN = "503, with a page of a proxy"
    REFUSED = "401, with a sentence in JSON"
    GONE = "the connection ends without an answer"
    SLOW = "no answer until the server stops, or ``heal``"
    HTML = "200, with a page instead of data"
    TRUNCATED = "half of the right answer"
    WRONG_SHAPE = "200, with JSON that is something else"
    HOLLOW = "the right answer, with nothing in what it has"


class _QuietHandler(WSGIRequestHandler):
    # With one of HTTP/1.1 that waits for more to send, each answer would take 40 ms.
    disable_nagle_algorithm = True

    def log(self, type: str, message: str, *args: Any) -> None:
        pass


class _KeepingHandler(_QuietHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def run_wsgi(self) -> None:
        """Answer a request; werkzeug's own method closes the connection after each."""
        response = Response.from_app(self.server.app, self.make_environ(), buffered=True)
        self.send_response(response.status_code)
        for name, value in response.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.get_data())


class EmulatedServer(fixtures.Fixture):
    """Serves *app*, which is any WSGI application, between ``setUp`` and ``cleanUp``.

    Any thread may change ``fault`` at any time; a request takes the fault of its
    beginning.
    """

    def __init__(self, app: Any, *, keeps: bool = False) -> None:
        """With *keeps*, connections stay open, as those to a real service do."""
        super().__init__()
        self._app = app
        self._handler = _KeepingHandler if keeps else _QuietHandler
        self._faults: list[Fault | None] = []
        self._healed = threading.Event()
        self.fault: Fault | None = None
        self.requests: list[Request] = []
        """All that came, in order; their bodies are read."""

    def _setUp(self) -> None:
        self._server = make_server(
            "127.0.0.1", 0, self._serve, threaded=True, request_handler=self._handler
        )
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="emulated", daemon=True
        )
        thread.start()
        self.addCleanup(self._server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(self._server.shutdown)
        self.addCleanup(self.heal)

    def fail(self, *faults: Fault | None) -> None:
        """Answer the next requests with these faults, one each, and then well again."""
        self._faults += faults

    @property
    def to_fail(self) -> int:
        """How many of the faults have not come yet."""
        return len(self._faults)

    def heal(self) -> None:
        """End every fault; slow answers come now."""
        self.fault = None
        self._faults.clear()
        self._healed.set()
        self._healed = threading.Event()

    def _serve(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        body = request.get_data()
        environ["wsgi.input"] = io.BytesIO(body)  # for the application to read it again
        self.requests.append(request)
        fault = self._faults.pop(0) if self._faults else self.fault
        response = self._answer(request, fault)
        answer: Iterable[bytes] = response(environ, start_response)
        return answer

    def _answer(self, request: Request, fault: Fault | None) -> Response:
        if fault is Fault.DOWN:
            return Response("<html>Service Unavailable</html>", 503, mimetype="text/html")
        if fault is Fault.REFUSED:
            return Response('{"error": "Unauthorized"}', 401, mimetype="application/json")
        if fault is Fault.HTML:
            return Response("<html>Please log in</html>", mimetype="text/html")
        if fault is Fault.WRONG_SHAPE:
            return Response('{"surprise": [1, "two", null]}', mimetype="application/json")
        if fault is Fault.SLOW:
            self._healed.wait()
        if fault is Fault.GONE:
            request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        response = Response.from_app(self._app, request.environ, buffered=True)
        if fault is Fault.TRUNCATED:
            response.set_data(response.get_data()[: len(response.get_data()) // 2])
        if fault is Fault.HOLLOW:
            hollow = {name: _hollow(each) for name, each in json.loads(response.data).items()}
            response.set_data(json.dumps(hollow))
        return response


def _hollow(value: Any) -> Any:
    if isinstance(value, list):
        return [_hollow(each) for each in value]
    return {} if isinstance(value, dict) else value
