#!/usr/bin/env python3
"""What the hub costs: the way from a controller to a board, messages a second, memory, measured here and now.

The boards are the MicroPython unix port, and so are the controllers of the second table; the others are CPython.
A bare round trip is that of datagrams of a request's size, there and back, by a few lines of asyncio.
"""

import asyncio
import os
import resource
import statistics
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[0] = ROOT  # not this folder: its names are not for others
sys.path.append(os.path.join(ROOT, "tests"))

from ben import aiohub, client  # noqa: E402
from proxy import Faults, Proxy  # noqa: E402
from tools import bench  # noqa: E402
from tools.bench import HEAP, LIB  # noqa: E402
from tools.cache import run_script, say  # noqa: E402

LOCAL = "127.0.0.1"
SLOW_PATH = (
    0.025  # s each way, of a controller and of a board: from one to the other as long as there and back
)
REQUEST = 96  # bytes of the bare datagram
REPLY = 52  # of its answer, which its first two bytes ask for
PAIRS = 8  # of a controller and a board
IDLE = 500  # boards that listen, and to whom nobody sends
QUIET = 8  # s for which they are watched: a receive() takes 7.5


def main(arguments):
    return bench.main(arguments, "hub", __doc__, Hub)


class Hub(bench.Bench):
    """The hub beside bare datagrams."""

    def __init__(self, folder, share):
        super().__init__(folder, share)
        self.ben = self.serve("hub.py")
        self.echo = self.serve("echo.py")
        self.asking = client(LOCAL, self.ben, keyfile=self.key)
        self.devices = iter(range(1000, 1 << 20))

    def tables(self):
        return self.way, self.messages, self.idle, self.heap

    def way(self):
        """the way from a controller to a board, beside a bare round trip of the controller"""
        yield (
            f"to a board with a heap of {HEAP}",
            "us one way",
            "us until it is confirmed",
            "bare round trip, us",
            "ratio of the way (median of rounds)",
            "lowest",
            "highest",
        )
        yield "directly", *asyncio.run(self.compared(self.ben, self.ben, self.echo, 30, 50))
        slow = Faults(delay=SLOW_PATH)
        with Proxy(self.ben, slow, slow) as near, Proxy(self.ben, slow, slow) as far:
            with Proxy(self.echo, slow, slow) as echo:
                ways = asyncio.run(self.compared(near.port, far.port, echo.port, 5, 10))
        yield f"both {SLOW_PATH * 1000:.0f} ms from the server", *ways

    def messages(self):
        """messages through one server, each confirmed before the next"""
        yield "pairs of a controller and a board", "messages/s", "CPU us each"
        count = max(20, int(1500 * self.share))
        boards, controllers = [], []
        try:
            for number in range(PAIRS):
                boards.append(self.listener(self.ben, f"sink {number}", bits=64))
                self.wait_for(f"sink {number}")
                arguments = self.ben, f"sink {number}", next(self.devices), count
                controllers.append(self.start("hub_sends.py", *arguments, bits=64))
                if controllers[-1].stdout.readline() != "ready\n":
                    raise RuntimeError(controllers[-1].communicate()[1])
            cpu, began = self.ask("cpu"), time.monotonic()
            for each in controllers:
                each.stdin.write("\n")
                each.stdin.flush()
            if any(each.communicate()[1] or each.returncode for each in controllers):
                raise RuntimeError("a controller did not come to its end")
            seconds, cpu = time.monotonic() - began, self.ask("cpu") - cpu
        finally:
            end(boards + controllers)
        yield PAIRS, f"{PAIRS * count / seconds:.0f}", f"{cpu / (PAIRS * count) * 1e6:.0f}"

    def idle(self):
        """boards that listen, and to whom nobody sends"""
        yield "boards", "over", "KB of the server's memory each", "% of a processor for all"
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * IDLE)), hard))
        count = max(20, int(IDLE * self.share))
        for over, port in (("UDP", self.ben), ("TCP", self.ask("tcp"))):
            yield count, over, *asyncio.run(self.listening(count, over == "TCP", port))

    def heap(self):
        """what is on the heap of a board that listens"""
        yield "bytes of a 32-bit heap", "modules", "a Hub", "its first receive()", "each, until collected"
        for kind, lib in ((".py", LIB), (".mpy", os.path.join(self.release(), "lib"))):
            yield f"blocking, {kind}", *self.run("hub_heap.py", self.ben, bits=32, lib=lib).split()

    # What they are made with

    async def compared(self, controller, board, echo, rounds, count):
        """Cells: times of messages to a board beside those of a bare echo, turn and turn about."""
        rounds, count = max(3, int(rounds * self.share)), max(5, int(count * self.share))
        loop = asyncio.get_running_loop()
        mark, bare = Inbox(), Inbox()
        transport, _ = await loop.create_datagram_endpoint(lambda: mark, local_addr=(LOCAL, 0))
        asking, _ = await loop.create_datagram_endpoint(lambda: bare, remote_addr=(LOCAL, echo))
        name = f"lamp {controller} {board}"
        lamp = self.listener(board, name, transport.get_extra_info("sockname")[1], bits=32)
        hub = aiohub.Hub(LOCAL, controller, keyfile=self.key, device=next(self.devices), timeout=60)
        try:
            self.wait_for(name)
            times = []
            for round in range(rounds + 1):
                trips, ways, confirmed = [], [], []
                for _ in range(count):
                    began = time.perf_counter()
                    asking.sendto(REPLY.to_bytes(2, "big") + bytes(REQUEST - 2))
                    trips.append(await bare.came() - began)
                for _ in range(count):
                    began = time.perf_counter()
                    await hub.send(name, {"on": True})
                    confirmed.append(time.perf_counter() - began)
                    ways.append(await mark.came() - began)
                if round:  # the first one warms up
                    times.append([statistics.median(each) for each in (ways, confirmed, trips)])
        finally:
            end([lamp])
            hub.close()
            transport.close()
            asking.close()
        ratios = sorted(way / trip for way, _, trip in times)
        microseconds = [f"{statistics.median(each) * 1e6:.0f}" for each in zip(*times)]
        return *microseconds, *(f"{each:.2f}" for each in (statistics.median(ratios), ratios[0], ratios[-1]))

    async def listening(self, count, tcp, port):
        """Cells: what so many boards cost that only listen."""
        memory = self.ask("memory")
        hubs = [
            aiohub.Hub(
                LOCAL, port, f"idle {tcp} {number}", "", 10, self.key, device=next(self.devices), tcp=tcp
            )
            for number in range(count)
        ]
        tasks = [asyncio.create_task(hub.listen(print)) for hub in hubs]
        desk = aiohub.Hub(LOCAL, self.ben, keyfile=self.key, device=next(self.devices), timeout=60)
        while sum(each["name"].startswith(f"idle {tcp}") for each in await desk.targets()) < count:
            await asyncio.sleep(0.2)
        await asyncio.sleep(1)
        memory = self.ask("memory") - memory
        cpu, began = self.ask("cpu"), time.monotonic()
        await asyncio.sleep(QUIET if self.share == 1 else 1)
        cpu, seconds = self.ask("cpu") - cpu, time.monotonic() - began
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for hub in (*hubs, desk):
            hub.close()
        return f"{memory / count / 1024:.1f}", f"{100 * cpu / seconds:.1f}"

    def listener(self, port, name, mark=0, *, bits):
        heap = HEAP if bits == 32 else "64K"
        return self.start("hub_listens.py", port, name, next(self.devices), mark, bits=bits, heap=heap)

    def wait_for(self, name):
        """Until a board has joined."""
        deadline = time.monotonic() + 30
        while not any(each["name"] == name for each in self.ask("hub.list", name[:-1])):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name} did not join")
            time.sleep(0.05)

    def ask(self, action, *data):
        return self.asking.send({"action": action, "data": data[0]} if data else {"action": action})

    def close(self):
        self.asking.close()
        super().close()


class Inbox(asyncio.DatagramProtocol):
    """When datagrams came."""

    def __init__(self):
        self._times = asyncio.Queue()

    def datagram_received(self, data, addr):
        self._times.put_nowait(time.perf_counter())

    async def came(self):
        """The moment of the next one."""
        return await asyncio.wait_for(self._times.get(), 10)


def end(processes):
    for each in processes:
        each.kill()
        each.communicate()


if __name__ == "__main__":
    if not os.path.exists("/proc/self/statm"):
        say("memory can be read on Linux only")
        sys.exit(1)
    run_script(main, sys.argv[1:])
