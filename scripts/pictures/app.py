"""The app behind the gate: it confirms who is logged in, and its search takes long."""

import asyncio
import random
import sys

SECONDS = {b"/search": 0.08}


class Client(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.head = transport, b""

    def data_received(self, data):
        self.head += data
        if b"\r\n\r\n" not in self.head:
            return
        head, self.head = self.head, b""
        path = head.split(b" ", 2)[1]
        seconds = SECONDS.get(path, 0.006) * random.uniform(0.7, 1.6)
        asyncio.get_running_loop().call_later(seconds, self.answer, b"session=open" in head)

    def answer(self, customer):
        confirmed = b"x-tidegate-known: 1\r\n" if customer else b""
        body = b"x" * random.randint(2_000, 9_000)
        self.transport.write(b"HTTP/1.1 200 OK\r\n%scontent-length: %d\r\n\r\n%s" % (confirmed, len(body), body))


async def main(port):
    server = await asyncio.get_running_loop().create_server(Client, "127.0.0.1", port)
    await server.serve_forever()


asyncio.run(main(int(sys.argv[1])))
