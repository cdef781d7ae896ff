"""Opens connections from three addresses of this machine, twenty a second, and asks nothing."""

import asyncio
import itertools
import sys


async def main(port):
    held = []
    for n in itertools.count():
        try:
            held.append(await asyncio.open_connection("127.0.0.1", port, local_addr=(f"127.66.0.{n % 3 + 1}", 0)))
        except OSError:
            pass
        held = [one for one in held if not one[0].at_eof()]
        await asyncio.sleep(0.05)


asyncio.run(main(int(sys.argv[1])))
