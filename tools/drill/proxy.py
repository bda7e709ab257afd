# SPDX-License-Identifier: Apache-2.0
"""Passes connections on: ``python -m tools.drill.proxy PORT HOST:PORT``.

At SIGUSR1 it passes nothing on over the present connections, without closing them; new connections
work.  At SIGUSR2 it passes on what was sent meanwhile, and all connections work again.
"""

import asyncio
import contextlib
import signal
import sys


class Flow:
    """Passes data on, or holds it back."""

    def __init__(self) -> None:
        self._silent: list[asyncio.Event] = []
        self._new()

    def _new(self) -> None:
        self.moving = asyncio.Event()
        self.moving.set()

    def freeze(self) -> None:
        self.moving.clear()
        self._silent.append(self.moving)
        self._new()

    def thaw(self) -> None:
        while self._silent:
            self._silent.pop().set()


async def serve(port: int, host: str, target: int) -> None:
    flow = Flow()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, flow.freeze)
    loop.add_signal_handler(signal.SIGUSR2, flow.thaw)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        moving = flow.moving
        with contextlib.closing(writer), contextlib.suppress(OSError):
            there, back = await asyncio.open_connection(host, target)
            with contextlib.closing(back):
                await asyncio.gather(_copy(reader, back, moving), _copy(there, writer, moving))

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    await server.serve_forever()


async def _copy(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, moving: asyncio.Event
) -> None:
    with contextlib.suppress(OSError), contextlib.closing(sink):
        while True:
            piece = await source.read(65536)
            await moving.wait()  # before a close, too, because that would be noticed
            if not piece:
                return
            sink.write(piece)
            await sink.drain()


if __name__ == "__main__":
    host, _, target = sys.argv[2].rpartition(":")
    asyncio.run(serve(int(sys.argv[1]), host, int(target)))
