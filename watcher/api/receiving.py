# SPDX-License-Identifier: Apache-2.0
"""Receives requests until they are complete, all of them in one thread.

A worker gets a connection when the whole request has arrived.  So a client that sends slowly
takes a socket and some memory, but no worker.
"""

import contextlib
import io
import re
import socket
import ssl
from collections.abc import Sequence
from typing import Any, Final

from watcher.api import errors
from watcher.api.bodies import MAX_READ
from watcher.common.errors import Invalid

MAX_CONNECTIONS: Final = 512
"""Connections whose request has not arrived completely; beyond this the oldest is refused."""

MAX_MEMORY: Final = 64 * 1024 * 1024
"""Bytes of all these requests in memory."""

MAX_HEAD: Final = 64 * 1024
"""Bytes of a request line with its headers."""

_PIECE: Final = 64 * 1024
_READS_IN_A_ROW: Final = 4
"""Pieces that are read from one connection before other connections are read."""

_HEADERS: Final = re.compile(
    rb"\r\n(content-length|transfer-encoding|expect)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE
)
_UNCLEAR: Final = re.compile(rb"\r\n[ \t]|\r\n[^:\r\n]*[ \t]:")
"""A header that goes on in the next line, or has a space before its colon."""
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
_HEX: Final = re.compile(rb"[0-9a-fA-F]{1,16}")
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


def refusal(status: str, sentence: str = "") -> bytes:
    """The last answer of a connection; it has no body without a *sentence*."""
    body = errors.respond(Invalid(sentence)).body if sentence else b""
    headers = "Content-Type: application/json" if sentence else "Retry-After: 5"
    return (
        f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        "Connection: close\r\n\r\n"
    ).encode("ascii") + body


class BufferedRequest:
    """The file from which a worker reads a request, in place of the socket."""

    def __init__(self, data: bytes) -> None:
        self._file, self._size = io.BytesIO(data), len(data)
        self.read, self.readline = self._file.read, self._file.readline
        self.close = self._file.close

    @property
    def closed(self) -> bool:
        return self._file.closed

    @property
    def bytes_read(self) -> int:
        return self._file.tell()

    def has_data(self) -> bool:
        return self._file.tell() < self._size

    def rest(self) -> bytes:
        """The bytes that arrived after the request: the beginning of the next one."""
        return self._file.read().lstrip(b"\r\n")


class Chunks:
    """Finds the end of a chunked body that arrives in pieces of any size."""

    def __init__(self) -> None:
        self.broken = False
        """Whether the body is not valid."""
        self._left = 0
        self._line = b""
        self._ends_chunk = self._last = False

    def feed(self, data: bytes) -> bool:
        """Take the next piece.  Whether the body is complete or broken."""
        position = 0
        while position < len(data):
            if self._left:
                step = min(self._left, len(data) - position)
                self._left -= step
                position += step
                continue
            end = data.find(b"\n", position)
            if end < 0:
                self._line += data[position:]
                self.broken = len(self._line) > MAX_HEAD
                return self.broken
            line, self._line = (self._line + data[position:end]).strip(), b""
            position = end + 1
            if self._ends_chunk:
                self._ends_chunk, self.broken = False, bool(line)
            elif self._last:
                if not line:
                    return True
            else:
                self._begin(line.partition(b";")[0].strip())
            if self.broken:
                return True
        return False

    def _begin(self, size: bytes) -> None:
        if not _HEX.fullmatch(size):
            self.broken = True
            return
        self._left = int(size, 16)
        self._ends_chunk, self._last = self._left > 0, self._left == 0


class Incoming:
    """A connection and what has arrived of its request."""

    def __init__(self, connection: Any, data: bytes, max_kept: int, deadline: float) -> None:
        """Keep at most *max_kept* bytes; all has to arrive until *deadline*, a monotonic time."""
        self.connection, self.deadline = connection, deadline
        self.waits_to_write = False
        """Whether TLS waits to write rather than to read."""
        self.gone = False
        """Whether the client has closed the connection."""
        self._max_kept = max_kept
        self._kept = bytearray()
        self._size = 0
        self._end: int | None = None
        self._chunks: Chunks | None = None
        self._head = 0
        self._complete = self._expects = False
        self._problem = ""
        self._in_handshake = isinstance(connection.socket, ssl.SSLSocket) and not (
            connection.socket.version()
        )
        if data:
            self._feed(data)

    @property
    def kept(self) -> int:
        return len(self._kept)

    @property
    def begun(self) -> bool:
        return self._size > 0

    @property
    def truncated(self) -> bool:
        """Whether a part of the request was discarded."""
        return self._size > len(self._kept)

    @property
    def problem(self) -> str:
        """Why it is not clear where the request ends; empty if it is."""
        if self._chunks is not None and self._chunks.broken:
            return "The body is not in such chunks as it says."
        return self._problem

    def data(self) -> bytes:
        return bytes(self._kept)

    def advance(self) -> bool:
        """Read what has arrived, without waiting.  True if there is nothing more to read: the
        request is complete, not valid or too long, or the client has closed the connection."""
        self.waits_to_write = False
        try:
            if self._in_handshake:
                self.connection.socket.do_handshake()
                self._in_handshake = False
            for _ in range(_READS_IN_A_ROW):
                if self._complete:
                    return True
                data = self.connection.socket.recv(_PIECE)
                if not data:
                    self.gone = not self._size
                    return True
                self._feed(data)
        except (BlockingIOError, ssl.SSLWantReadError):
            return self._complete
        except ssl.SSLWantWriteError:
            self.waits_to_write = True
            return self._complete
        except OSError:
            self.gone = True
            return True
        return self._complete

    def _feed(self, data: bytes) -> None:
        self._size += len(data)
        if self._head:
            self._add_body(data)
            return
        self._kept += data
        head, separator, body = self._kept.partition(b"\r\n\r\n")
        if not separator:
            self._complete = len(self._kept) > MAX_HEAD or b"\n\n" in self._kept
            return
        self._begin_body(bytes(head))
        self._size = self._head + len(body)
        self._add_body(bytes(body))
        if self._expects and not self._complete:
            with contextlib.suppress(OSError):
                self.connection.socket.send(_CONTINUE)

    def _begin_body(self, head: bytes) -> None:
        fields = [(name.lower(), value.strip()) for name, value in _HEADERS.findall(head)]
        self._problem, headers = _problem(head, fields), dict(fields)
        if headers.get(b"expect", b"").lower() == b"100-continue":
            self._expects = True
            # Answered here, so the worker must not answer it again.
            head = re.sub(rb"(?i)\r\nexpect[ \t]*:[^\r\n]*", b"", head)
        self._kept[:] = head + b"\r\n\r\n"
        self._head = len(self._kept)
        if b"chunked" in headers.get(b"transfer-encoding", b"").lower():
            self._chunks = Chunks()
            return
        length = headers.get(b"content-length", b"0")
        self._end = self._head + (0 if self._problem else int(length))

    def _add_body(self, data: bytes) -> None:
        room = self._max_kept - len(self._kept)
        if room > 0:
            self._kept += data[:room]
        if self._chunks is not None:
            ended = bool(self._problem) or self._chunks.feed(data)
            self._complete = ended or self._size > MAX_READ
        else:
            assert self._end is not None
            self._complete = self._size >= min(self._end, MAX_READ)


def _problem(head: bytes, fields: Sequence[tuple[bytes, bytes]]) -> str:
    """Why servers could differ on where a request with these *fields* in its *head* ends; empty
    if they cannot."""
    lengths = {value for name, value in fields if name == b"content-length"}
    if _UNCLEAR.search(head):
        return "A header must be on one line, and must not have a space before its colon."
    if lengths and (len(lengths) > 1 or any(name == b"transfer-encoding" for name, _ in fields)):
        return "Content-Length: only one is allowed, and none beside Transfer-Encoding."
    if not all(map(_LENGTH.fullmatch, lengths)):
        return "Content-Length: this must be a number, of 0 or more."
    return ""


def refuse(connection: Any, status: str, sentence: str = "") -> None:
    """Refuse a request and close its connection, without waiting."""
    with contextlib.suppress(OSError):
        connection.socket.send(refusal(status, sentence))
    with contextlib.suppress(OSError):
        connection.socket.shutdown(socket.SHUT_RDWR)
    connection.close()
