"""
Lines echoed by an ``asyncio.Protocol``, on uvloop.

    python line_protocol.py PORT
"""

import asyncio
import sys

import uvloop


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.rest = b""

    def data_received(self, data):
        *lines, self.rest = (self.rest + data).split(b"\n")
        # Once for all of them: uvloop sends at each write.
        self.transport.write(b"".join([self.line_received(line) for line in lines]))

    def line_received(self, line):
        return line + b"\n"


async def main(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


uvloop.run(main(int(sys.argv[1])))
