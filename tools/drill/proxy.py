# SPDX-License-Identifier: Apache-2.0
"""Passes connections on: ``python -m tools.drill.proxy PORT HOST:PORT``."""

import asyncio
import contextlib
import sys


async def serve(port: int, host: str, target: int) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            there, back = await asyncio.open_connection(host, target)
            with contextlib.closing(back):
                await asyncio.gather(_copy(reader, back), _copy(there, writer))

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    await server.serve_forever()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError), contextlib.closing(sink):
        while piece := await source.read(65536):
            sink.write(piece)
            await sink.drain()


if __name__ == "__main__":
    host, _, target = sys.argv[2].rpartition(":")
    asyncio.run(serve(int(sys.argv[1]), host, int(target)))
