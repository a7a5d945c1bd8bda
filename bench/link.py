#!/usr/bin/env python3
"""What the link costs: time, bytes, memory, all measured here and now, the times as ratios.

A ratio compares two programs in the same seconds on the same machine, turn and turn about; a time alone says
more of the machine than of ben. The clients are the MicroPython unix port.
"""

import os
import re
import socket
import statistics
import sys
import time
import timeit

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[0] = ROOT  # not this folder: its names are not for others
sys.path.append(os.path.join(ROOT, "tests"))

from ben import client, keys  # noqa: E402
from proxy import Faults, Proxy  # noqa: E402
from tools import bench  # noqa: E402
from tools.bench import HEAP, LIB  # noqa: E402
from tools.cache import run_script  # noqa: E402

HEADERS = 20 + 8  # bytes of IPv4 and UDP before a datagram
SLOW_PATH = 0.025  # s each way
FLEETS = {8: 2000, 200: 80}  # boards at once, and requests of each
REPEATED = 3  # times that each fleet sends, turn and turn about with the bare one


def main(arguments):
    return bench.main(arguments, "link", __doc__, Link)


class Link(bench.Bench):
    """The link beside a bare echo."""

    def __init__(self, folder, share):
        super().__init__(folder, share)
        self.ben = self.serve("link.py")
        self.echo = self.serve("echo.py")

    def tables(self):
        return (
            self.request,
            self.slow_path,
            self.network,
            self.host,
            self.crypto,
            self.heap,
            self.flash,
        )

    def request(self):
        """a client's request beside a bare echo of the same sizes, which blocks in both rows"""
        yield (
            f"warm request, heap {HEAP}",
            "us",
            "bare echo, us",
            "ratio (median of rounds)",
            "lowest",
            "highest",
        )
        for name, script in (("blocking", "blocking.py"), ("asyncio", "with_asyncio.py")):
            yield name, *self.compared(script, self.ben, self.echo, rounds=30, count=200)

    def slow_path(self):
        """the same through a slow path"""
        path = f"through {SLOW_PATH * 1000:.0f} ms each way"
        yield path, "us", "bare echo, us", "ratio (median of rounds)", "lowest", "highest"
        slow = Faults(delay=SLOW_PATH)
        with Proxy(self.ben, slow, slow) as ben, Proxy(self.echo, slow, slow) as echo:
            for name, script in (("blocking", "blocking.py"), ("asyncio", "with_asyncio.py")):
                yield name, *self.compared(script, ben.port, echo.port, rounds=5, count=20)

    def network(self):
        """what crosses the network"""
        yield 'a reading of 40 bytes, answered by "ok"', "datagrams", "bytes with IPv4 and UDP"
        with Proxy(self.ben) as path:
            self.run("one_of_many.py", "ben", path.port, 1, 1, bits=32)
        sizes = [[len(each) + HEADERS for _, each in way] for way in (path.requests, path.replies)]
        for name, part in (("the first of a board", slice(0, 2)), ("every other", slice(2, None))):
            crossed = [size for way in sizes for size in way[part]]
            yield name, len(crossed), sum(crossed)

    def host(self):
        """what the server takes for many boards at once"""
        yield "boards", "requests/s", "CPU us each", "bare asyncio echo/s", "CPU us each", "ratio of CPU"
        for boards, each in FLEETS.items():
            each = max(1, int(each * self.share))
            pairs = [
                (self.fleet("ben", boards, each), self.fleet("echo", boards, each)) for _ in range(REPEATED)
            ]
            (rate, cpu), (bare_rate, bare_cpu) = (map(statistics.median, zip(*each)) for each in zip(*pairs))
            ratio = statistics.median(ben[1] / bare[1] for ben, bare in pairs)
            yield boards, f"{rate:.0f}", f"{cpu:.0f}", f"{bare_rate:.0f}", f"{bare_cpu:.0f}", f"{ratio:.1f}"

    def crypto(self):
        """the part that cryptography has in that"""
        yield "of the server's CPU, a request and its reply", "us"
        key = keys.directions(bytes(32))[0]
        request = key.seal(bytes(16), b"", bytes(5), bytes(34))
        reply = key.seal(b"head", request[-16:], bytes(2), b"ok")
        both = (
            ("opening one and sealing the other", lambda: (key.open(request, 16), seal())),
            (
                "of that, both tags (HMAC-SHA256)",
                lambda: (tag(request, 16, b""), tag(reply, 4, request[-16:])),
            ),
        )

        def seal():
            return key.seal(b"head", request[-16:], bytes(2), b"ok")

        def tag(datagram, head, extra):
            return key.tag(datagram[:head], extra, datagram[head:-16])

        count = max(1, int(5000 * self.share))
        for name, work in both:
            yield name, f"{min(timeit.repeat(work, number=count, repeat=5)) / count * 1e6:.1f}"

    def heap(self):
        """what is on the board's heap"""
        yield "bytes of a 32-bit heap", "modules", "a client", "its first send", "each send, until collected"
        compiled = os.path.join(self.release(), "lib")
        for name, script in (("blocking", "heap.py"), ("asyncio (itself not counted)", "heap_asyncio.py")):
            for kind, lib in ((".py", LIB), (".mpy", compiled)):
                yield f"{name}, {kind}", *self.run(script, self.ben, bits=32, lib=lib).split()

    def flash(self):
        """what is on the board's flash"""
        yield "compiled", "bytes"
        yield from re.findall(r"^(\S.*?) +(\d+) bytes$", self.sizes(), re.MULTILINE)

    # What they are made with

    def compared(self, script, ben, echo, rounds, count):
        """Cells of a table: a client beside the bare echo in the same process."""
        rounds, count = max(3, int(rounds * self.share)), max(5, int(count * self.share))
        printed = self.run(script, ben, echo, rounds, count, bits=32, heap=HEAP)
        pairs = [tuple(map(float, line.split())) for line in printed.splitlines()]
        bare, ben = map(statistics.median, zip(*pairs))
        ratios = sorted(b / a for a, b in pairs)
        return (
            f"{ben:.0f}",
            f"{bare:.0f}",
            f"{statistics.median(ratios):.2f}",
            f"{ratios[0]:.2f}",
            f"{ratios[-1]:.2f}",
        )

    def fleet(self, what, boards, each):
        """(requests a second, CPU microseconds of the server for each) with so many boards at once."""
        port = self.ben if what == "ben" else self.echo
        fleet = [self.start("one_of_many.py", what, port, device, each, bits=64) for device in range(boards)]
        if any(board.stdout.readline() != "ready\n" for board in fleet):
            raise RuntimeError("a board did not start")
        cpu, began = self.cpu(what), time.monotonic()
        for board in fleet:
            board.stdin.write("\n")
            board.stdin.flush()
        if any(board.communicate()[1] or board.returncode for board in fleet):
            raise RuntimeError("a board did not come to its end")
        seconds, cpu = time.monotonic() - began, self.cpu(what) - cpu
        return boards * each / seconds, cpu / (boards * each) * 1e6

    def cpu(self, what):
        """Seconds of CPU time that a server has taken."""
        if what == "ben":
            return client("127.0.0.1", self.ben, keyfile=self.key).send({"action": "cpu"})
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.connect(("127.0.0.1", self.echo))
            asking.send(bytes(2))
            return float(asking.recv(100))


if __name__ == "__main__":
    run_script(main, sys.argv[1:])
