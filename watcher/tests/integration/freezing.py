# SPDX-License-Identifier: Apache-2.0
"""A proxy whose connections can fall silent, without an end that anybody would notice."""

import contextlib
import socket
import threading


class Freezing:
    """Passes TCP connections on to *target*, between ``start`` and ``stop``."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._frozen: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.swallowed = threading.Event()
        """Set when somebody has sent what gets lost."""

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def start(self) -> None:
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        for each in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def freeze(self) -> int:
        """Let all present connections fall silent; how many there are.  New ones work."""
        with self._lock:
            before = len(self._frozen)
            self._frozen.update(self._sockets)
            return (len(self._frozen) - before) // 2

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _address = self._listener.accept()
                far = socket.create_connection(self._target)
                with self._lock:
                    self._sockets += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                # A frozen pair goes on reading, so that the kernel goes on acknowledging.
                if source in self._frozen:
                    self.swallowed.set()
                else:
                    sink.sendall(piece)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
