"""Other people's CoAP to talk to: aiocoap and libcoap, as servers and as clients, and datagrams as they are.

    with AiocoapServer() as server:                        # what it offers: coap_site.py
        server.ran["/echo"], server.uploads, server.notify(20)
    with LibcoapServer() as server:                        # what it offers: see there
    with AiocoapClient() as client:
        client.request("PUT", server.url + "/upload", data).code
        client.observe(server.url + "/counter").wait(5)
    libcoap("put", server.url + "/upload", payload=data).code
    with Raw(peer=server.port) as raw:                     # or Raw(), which answers who asked last
        raw.send("40 00 00 01")
        assert raw.receive() == bytes.fromhex("70 00 00 01")

All of them are at 127.0.0.1 unless told otherwise.
"""

import asyncio
import contextlib
import itertools
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import aiocoap
import pytest
from aiocoap.numbers.optionnumbers import OptionNumber

from coap_site import Site
from tools import debian
from tools.cache import Missing

LOCAL = "127.0.0.1"
PATIENCE = 30  # s
QUIET = 0.3  # s in which a peer on this machine would have answered
LARGEST = 65536


def udp_socket(host=LOCAL, port=0):
    """A bound socket; a port that the system chose is nobody else's."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, port))
    return sock


# Below those that the system chooses, so that nobody gets one between free_port() and the server's bind(), or while
# a server is started anew; each of pytest's workers has its own.
FIRST_PORT, PORTS, WORKERS = 10240, 2048, 8
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % WORKERS
_numbers = itertools.count(os.getpid())


def free_port(host=LOCAL):
    """A port of UDP and of TCP for a server that is yet to bind it."""
    while True:
        port = FIRST_PORT + WORKER * PORTS + next(_numbers) % PORTS
        with (
            contextlib.suppress(OSError),
            udp_socket(host, port) as sock,
            socket.socket(sock.family) as stream,
        ):
            stream.bind((host, port))
            return port


def base_url(host, port):
    return f"coap://[{host}]:{port}" if ":" in host else f"coap://{host}:{port}"


def until(condition, what, timeout=PATIENCE):
    """Waits for it; AssertionError with what() otherwise."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.005)


# --- datagrams ---


class Raw:
    """A UDP socket that sends and receives what the test says: a client, or a server that follows a script.

    It sends to `peer`, a port or an address, and to who last sent something here if none was given.
    """

    def __init__(self, peer=None, host=LOCAL, port=0):
        self.peer = (host, peer) if isinstance(peer, int) else peer
        self._fixed = peer is not None
        self._socket = udp_socket(host, port)
        self.port = self._socket.getsockname()[1]
        self.url = base_url(host, self.port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def send(self, datagram):
        """Sends bytes, or what hexadecimal digits say."""
        data = bytes.fromhex(datagram) if isinstance(datagram, str) else datagram
        self._socket.sendto(data, self.peer)

    def receive(self, timeout=PATIENCE):
        """The next datagram, None if there is none in time."""
        self._socket.settimeout(timeout)
        try:
            data, sender = self._socket.recvfrom(LARGEST)
        except socket.timeout:
            return None
        if not self._fixed:
            self.peer = sender
        return data

    def ask(self, datagram, timeout=PATIENCE):
        """What comes after this was sent."""
        self.send(datagram)
        return self.receive(timeout)

    def silence(self, timeout=QUIET):
        """Nothing comes for so long."""
        came = self.receive(timeout)
        assert came is None, came.hex(" ")


# --- aiocoap ---


class Loop:
    """An asyncio loop in a thread of its own."""

    def __enter__(self):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        try:
            self._context = self.run(self._open())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_):
        self.run(self._close())
        self._end()

    def _end(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self._loop.close()

    def run(self, coroutine, timeout=PATIENCE):
        """The result of a coroutine that runs there."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout)

    async def _close(self):
        await self._context.shutdown()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


class AiocoapServer(Loop):
    """An aiocoap server with the resources of coap_site.py, in a thread of the tests'."""

    def __init__(self, host=LOCAL, port=None):
        self.host = host
        self.port = port

    async def _open(self):
        self.site = Site()
        if self.port:
            return await self._listen(self.port)
        while True:
            self.port = free_port(self.host)
            with contextlib.suppress(OSError):  # somebody else took it meanwhile
                return await self._listen(self.port)

    async def _listen(self, port):
        # Its usual transport needs IPv6. All of them share their port with others, unless told not to.
        with mock.patch.dict(os.environ, AIOCOAP_REUSE_PORT="0"):
            return await aiocoap.Context.create_server_context(
                self.site, bind=(self.host, port), transports=["simplesocketserver"]
            )

    @property
    def url(self):
        return base_url(self.host, self.port)

    @property
    def ran(self):
        """How often handlers ran, by path: once for a block-wise request, once for each notification."""
        return self.site.ran

    @property
    def requests(self):
        """(method, path, aiocoap's message) of each of those."""
        return self.site.requests

    @property
    def uploads(self):
        """The bodies that /upload took."""
        return self.site.uploads

    def notify(self, count=1, interval=0.02, confirmable=True):
        """Has /counter send so many notifications; returns when the last one was given to aiocoap.

        It sends a confirmable one to a client only when the one before was acknowledged. A client that
        answers NON with RST stays on its list: it forgets only who resets a CON, or lets all its
        retransmissions time out.
        """
        self.run(self.site.counter.count(count, interval, confirmable), PATIENCE + count * interval)

    def end_observations(self, code=132):
        """Sends the observers of /counter an error, by default 4.04, after which nothing comes."""
        self.run(self.site.counter.end(aiocoap.Code(code)))

    def wait_for_observers(self, count):
        """Until /counter has so many."""
        counter = self.site.counter
        until(lambda: counter.observers == count, lambda: f"{counter.observers} observers")


class AiocoapClient(Loop):
    """An aiocoap client, for requests from one thread; all to one server leave from the same port.

    Options have aiocoap's names (content_format=50, accept=0, etags=[b"1"], if_match=[b""],
    if_none_match=True, no_response=2); extra=[(number, bytes)] are others. Its methods return aiocoap's
    messages: code, payload, opt, mtype, mid, token, remote.
    """

    async def _open(self):
        return await aiocoap.Context.create_client_context(transports=["simple6"])

    def request(self, method, url, payload=b"", *, timeout=PATIENCE, blockwise=True, **fields):
        """The response, put together if it came in blocks. Raises aiocoap.error.NetworkError if RST came.

        block: the size of blocks, in both directions. token: 0 to 8 bytes. confirmable, tuning: how it is
        sent. blockwise=False sends and returns one message as it is. asyncio.TimeoutError if none came.
        """
        asked = self._asked(method, url, payload, timeout, blockwise, **fields)
        return self.run(asked, timeout + PATIENCE)

    def observe(self, url, method="GET", payload=b"", *, blockwise=False, **fields):
        """An Observation. With blockwise=True aiocoap fetches all blocks of each, and skips some."""
        return self.run(self._observed(method, url, payload, blockwise, **fields))

    async def _asked(self, method, url, payload, timeout, blockwise, token=None, **fields):
        message = _message(method, url, payload, **fields)
        with self._next_token(token):
            asked = self._context.request(message, handle_blockwise=blockwise)
            return await asyncio.wait_for(asked.response, timeout)

    async def _observed(self, method, url, payload, blockwise, token=None, **fields):
        message = _message(method, url, payload, observe=0, **fields)
        with self._next_token(token):
            asked = self._context.request(message, handle_blockwise=blockwise)
            observation = Observation(self, url, asked)
            observation.responses.insert(0, await asyncio.wait_for(asked.response, PATIENCE))
        return observation

    @contextlib.contextmanager
    def _next_token(self, token):
        manager = self._context.request_interfaces[0]
        if token is None:
            yield
            return
        manager.next_token = lambda: token
        try:
            yield
        finally:
            del manager.next_token


def _message(method, url, payload, confirmable=True, block=None, tuning=None, extra=(), **options):
    code = getattr(aiocoap, {"IPATCH": "iPATCH"}.get(method.upper(), method.upper()))
    message = aiocoap.Message(code=code, uri=url, payload=payload, transport_tuning=tuning, **options)
    if not confirmable:
        message.mtype = aiocoap.NON
    if block:
        # Its way to set this for a server, maximum_block_size_exp, would hold for later requests, too.
        message.opt.block2 = (0, False, block.bit_length() - 5)
        message.opt.block1 = message.opt.block2 if payload else None
    for number, value in extra:
        message.opt.add_option(OptionNumber(number).create_option(decode=value))
    return message


class Observation:
    """What came for an observation: the first response, and the notifications."""

    def __init__(self, client, url, asked):
        self.responses = []
        self.ended = None  # or aiocoap's exception: the server ended it
        self._client = client
        self._url = url
        self._asked = asked  # aiocoap stops when nobody keeps it
        # Its iterator loses notifications that come while one is looked at; its method for these only warns.
        asked.observation.callbacks.append(self.responses.append)
        asked.observation.errbacks.append(self._end)

    def _end(self, error):
        self.ended = error

    @property
    def payloads(self):
        return [response.payload for response in self.responses]

    def wait(self, count, timeout=PATIENCE):
        """The first so many responses, as soon as they are there."""
        until(lambda: len(self.responses) >= count, lambda: (self.payloads, self.ended), timeout)
        return self.responses[:count]

    def wait_for_end(self, timeout=PATIENCE):
        """Until the server ended it."""
        until(lambda: self.ended, lambda: self.payloads, timeout)

    def forget(self):
        """Wants no more of it.

        aiocoap still acknowledges the next notification. The one after that gets RST, if it is confirmable.
        """
        self._client.run(self._forget())

    async def _forget(self):
        self._asked.observation.cancel()

    def deregister(self):
        """The response to a GET with Observe 1 and the same token."""
        token = self.responses[0].token
        response = self._client.request("GET", self._url, observe=1, token=token, blockwise=False)
        self.forget()
        return response


# --- libcoap ---


def libcoap_program(name):
    """coap-server-NAME or coap-client-NAME, of a version with OSCORE; skips a test only outside CI."""
    try:
        return debian.program("libcoap3-bin", "/usr/bin/" + name, at_least="4.3.4")
    except Missing as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))


class LibcoapServer:
    """libcoap's example server, as a process.

    /              GET: two lines of text
    /time          GET: the time as text, ?ticks as a number; changes each second, to be observed. PUT sets it
    /async?N       GET: "done", separately, after N s; 4.00 for 0, and 4 s without a query
    /example_data  GET PUT: block-wise, with ETag, to be observed: PUT notifies. 1,500 bytes at first;
                   the first PUT says 2.01
    others         made by PUT or POST (2.01; after POST with Location-Path), up to 20; then GET PUT DELETE,
                   to be observed, too; DELETE of what is not there says 2.02

    FETCH does what GET does, but 4.15 without a Content-Format; PATCH and iPATCH are 4.05. It ignores Accept,
    If-Match and GET's ETag; If-None-Match works. It runs the handler of a duplicate again: 2.01, then 2.04
    for the same PUT. To the last block of a PUT it responds without Block1. Notifications are confirmable;
    with "-N" each sixth is. While a client has not fetched all blocks of one, the next ones wait, for 2 s.
    """

    def __init__(self, *arguments, host=LOCAL, port=0, program="coap-server-notls", verbosity=4):
        self.host = host
        self.port = port
        self._options = ["-d", "20", "-v", str(verbosity), *map(str, arguments)]
        self._program = libcoap_program(program)
        self._log = tempfile.TemporaryFile("w+", errors="replace")

    def __enter__(self):
        with udp_socket(self.host, self.port) as held:
            self.port = held.getsockname()[1]
            # Nobody else gets this port now; but the server does, since it sets this, too.
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            command = [self._program, "-A", self.host, "-p", str(self.port), *self._options]
            self.process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT)
            try:
                self._wait()
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self._log.close()

    @property
    def url(self):
        return base_url(self.host, self.port)

    def log(self):
        """What it printed: with a verbosity of 6 each message that came or went, of 7 everything."""
        self._log.seek(0)
        return self._log.read()

    def _wait(self):
        deadline = time.monotonic() + PATIENCE
        with Raw(self.port, self.host) as raw:
            while raw.ask("40 00 00 01", timeout=0.02) is None:  # a ping, which RST answers
                assert self.process.poll() is None and time.monotonic() < deadline, self.log()


@dataclass
class Packet:
    """One message, as libcoap prints it."""

    sent: bool  # or received
    type: str  # CON NON ACK RST
    code: str  # "GET", "2.05", "0.00"
    mid: str  # hexadecimal, as the token
    token: str
    options: str  # "Content-Format:text/plain, Block2:0/M/1024"
    payload: str  # "'text'", "binary data length 64", or nothing


@dataclass
class Answer:
    """What came of a run of libcoap's client."""

    status: int  # 0 although an error came, or nothing at all
    packets: list
    payload: bytes  # of all responses, one after the other; put together if it came in blocks
    log: str

    @property
    def code(self):
        """Of the last response; None if there was none."""
        codes = [packet.code for packet in self.responses]
        return codes[-1] if codes else None

    @property
    def responses(self):
        """Those with a code 2.00 or higher."""
        return [packet for packet in self.packets if not packet.sent and "2" <= packet.code[0] <= "5"]


def libcoap(method, url, *arguments, payload=None, wait=10, program="coap-client-notls"):
    """The Answer that libcoap's client gets, waiting so many seconds.

    payload: text or bytes. Arguments: "-N" sends NON; "-b", 64 the size of blocks; "-s", 3 observes for 3 s;
    "-A", 50 and "-t", 50 are Accept and Content-Format, "-O", "4,0x1122" any option; "-T", "abc" is the
    token, text of up to 8 characters, of which it counts the last up: "abd"; "-U" leaves out Uri-Port, which
    it always sends otherwise.

    An observation ends with a GET with Observe 1, whose response is the last one here; `wait` must be longer.
    What it does not accept, such as another token, is among the packets and responses, but not in the
    payload. It does not accept a response with an unknown critical option, such as its own server's 4.02. It
    waits on when nobody listens.
    """
    with tempfile.TemporaryDirectory(prefix="libcoap-") as folder:
        sent, got = Path(folder, "sent"), Path(folder, "got")
        command = [libcoap_program(program), "-v", "7", "-B", str(wait), "-m", method.lower(), "-o", str(got)]
        if payload is not None:
            sent.write_bytes(payload.encode() if isinstance(payload, str) else payload)
            command += ["-f", str(sent)]  # of its standard input it takes 20,000 bytes only
        done = subprocess.run(
            [*command, *map(str, arguments), url],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=wait + PATIENCE,
        )
        log = done.stdout.decode(errors="replace")
        return Answer(done.returncode, packets(log), got.read_bytes() if got.exists() else b"", log)


PACKET = re.compile(
    r"netif: (sent|recv) .*\n"
    r"v:1 t:(\w+) c:(\S+) i:(\w+) \{(\w*)\} \[ ?(.*?) ?\](?: :: (.*))?$",
    re.MULTILINE,
)


def packets(log):
    """The messages in what libcoap prints with a verbosity of 7."""
    return [Packet(way == "sent", *fields) for way, *fields in PACKET.findall(log)]
