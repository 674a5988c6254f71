"""
Lines echoed by asyncio's streams, on uvloop.

    python line_streams.py PORT
"""

import asyncio
import sys
from contextlib import suppress

import uvloop


async def echo(reader, writer):
    with suppress(ConnectionError):
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
    writer.close()


async def main(port: int) -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


uvloop.run(main(int(sys.argv[1])))
