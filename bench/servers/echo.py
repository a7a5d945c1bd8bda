"""The least that asyncio can do: a datagram comes, one of as many bytes as it says leaves.

Its first two bytes are that number; with 0 the answer is the seconds of CPU time that this process has taken.
"""

import asyncio
import time


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, datagram, address):
        size = int.from_bytes(datagram[:2], "big")
        self.transport.sendto(bytes(size) if size else repr(time.process_time()).encode(), address)


async def main():
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    print(transport.get_extra_info("sockname")[1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
