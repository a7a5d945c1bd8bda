"""CoAP on the server: aiocoap's client, and datagrams of our own where every byte counts."""

import asyncio
import gc
import json
import logging
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings

import pytest
from aiocoap import Context, Message, error
from aiocoap.numbers import codes
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.contentformat import ContentFormat
from aiocoap.numbers.optionnumbers import OptionNumber

import benserver
from ben.coap import Client
from benserver import Server, coap, coap_actions, generate_new_secret, status
from benserver.actions import Refusal
from benserver.coap_actions import Kept
from hosts import PATIENCE, Host, ServeProcess

LOCAL = "127.0.0.1"
CON, NON, ACK, RST = range(4)
GET, POST, PUT, DELETE = range(1, 5)
JSON, TEXT, BYTES, LINKS = 50, 0, 42, 40
MOST = 4096  # bytes of a body


# aiocoap warns of itself.
pytestmark = pytest.mark.filterwarnings("ignore:Initializing messages with an:DeprecationWarning")


@pytest.fixture
def host(tmp_path):
    """A server whose CoAP is at hand, as `transport`."""
    host = Host(tmp_path / "key.sec", coap=0)
    host.transport = coap.Coap(host.server.actions, MOST)
    host.server._coap_class = lambda *_: host.transport
    host.handle("echo", lambda *data: data[0] if data else None, insecure=True)
    with host:
        yield host


# A client of aiocoap's


@pytest.fixture
def ask(host, monkeypatch):
    """Sends a request and returns the response."""
    monkeypatch.setenv("AIOCOAP_CLIENT_TRANSPORT", "simple6")
    return lambda *arguments, **options: asyncio.run(asked(host.coap, *arguments, **options))


async def asked(port, path, payload=b"", code=codes.POST, exponent=None, query="", **options):
    context = await Context.create_client_context()
    try:
        uri = f"coap://{LOCAL}:{port}/{path}{query}"
        request = Message(code=code, payload=payload, uri=uri, **options)
        if exponent is not None:
            request.opt.block2 = (0, False, exponent)
            request.opt.block1 = request.opt.block2 if payload else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of the hint at a size
            return await asyncio.wait_for(context.request(request).response, PATIENCE)
    finally:
        await context.shutdown()


def told(response):
    """Code, Content-Format and payload, in short."""
    form = response.opt.content_format
    return response.code.dotted, None if form is None else int(form), response.payload


@pytest.mark.parametrize(
    ("form", "payload", "data", "answer"),
    [
        (JSON, b'{"t": [21.5, null]}', {"t": [21.5, None]}, (JSON, b'{"t":[21.5,null]}')),
        (JSON, b'"text"', "text", (TEXT, b"text")),
        (JSON, b"null", None, (None, b"")),
        (TEXT, "zw\u00f6lf".encode(), "zw\u00f6lf", (TEXT, "zw\u00f6lf".encode())),
        (BYTES, b"\0\xff", b"\0\xff", (BYTES, b"\0\xff")),
        (None, b"{}", b"{}", (BYTES, b"{}")),
    ],
)
def test_a_format_is_a_type(host, ask, form, payload, data, answer):
    assert told(ask("echo", payload, content_format=form)) == ("2.04", *answer)
    assert host.calls == [("echo", (data,))]


@pytest.mark.parametrize("form", [None, TEXT, JSON, BYTES])
def test_an_empty_body_is_no_data(host, ask, form):
    assert told(ask("echo", content_format=form)) == ("2.04", None, b"")
    assert host.calls == [("echo", ())]


@pytest.mark.parametrize(
    ("result", "form"), [("", TEXT), (b"", BYTES), (bytearray(b"x"), BYTES), ([], JSON), (0, JSON)]
)
def test_a_result_says_what_it_is(host, ask, result, form):
    host.handle("get", lambda: result, insecure=True)
    assert told(ask("get"))[:2] == ("2.04", form)


@pytest.mark.parametrize(
    "name", ["a/b/c", "zw\u00f6lf", "a//b", "/a", "a/", "a b?&", "x" * 255, ".well-known"]
)
def test_any_name(host, ask, name):
    host.handle(name, lambda: "here", insecure=True)
    links = ask(".well-known/core", code=codes.GET).payload.decode()
    [link] = [link for link in links.split(",") if link != "</echo>"]
    assert link[:2] == "</" and link[:3] != "<//" and link[-1] == ">"
    assert ask(link[2:-1]).payload == b"here"
    assert host.calls == [(name, ())]


@pytest.mark.parametrize("exponent", [None, 0, 2, 5, 6])
@pytest.mark.parametrize("length", [1, 1024, 1025, MOST])
def test_bodies_in_blocks(host, ask, length, exponent):
    body = random.Random(length).randbytes(length)
    response = ask("echo", body, exponent=exponent)
    assert (response.code.dotted, response.payload) == ("2.04", body)
    assert host.calls == [("echo", (body,))]


def test_text_and_numbers_in_blocks(host, ask):
    text, numbers = "\u20ac" * 1000, list(range(800))
    assert ask("echo", text.encode(), content_format=TEXT, exponent=4).payload.decode() == text
    dumped = json.dumps(numbers).encode()[:MOST]
    assert json.loads(ask("echo", dumped, content_format=JSON, exponent=4).payload) == numbers
    assert [data for _, data in host.calls] == [(text,), (numbers,)]


@pytest.mark.parametrize("exponent", [None, 2, 6])
def test_a_body_that_is_too_big(host, ask, exponent):
    for length in (MOST + 1, 9000):
        response = ask("echo", bytes(length), exponent=exponent)
        assert (response.code.dotted, response.opt.size1) == ("4.13", MOST)
    assert host.calls == []


def test_results_that_cannot_be_sent(host, ask):
    results = {"long": bytes(MOST + 1), "strange": {1, 2}, "nan": float("nan")}
    for name, result in results.items():
        host.handle(name, lambda result=result: result, insecure=True)
    assert told(ask("long")) == ("5.00", None, b"its result is over 4096 bytes")
    for name in ("strange", "nan"):
        assert told(ask(name)) == ("5.00", None, b"its result cannot be encoded")


def test_what_is_not_reached(host, ask):
    host.handle("door", lambda *data: "open")
    host.handle("fresh", lambda *data: "open", fresh=1)
    for name in ("door", "fresh", "hub.list", "hub.send"):
        assert told(ask(name, b"1")) == ("4.01", None, f"{name} takes no unprotected request".encode())
    for exponent in (2, 6):
        assert ask("door", bytes(3000), exponent=exponent).code.dotted == "4.01"
    for code in (codes.GET, codes.PUT, codes.DELETE):
        assert ask("door", code=code).code.dotted == "4.01"
    for name in ("", "ech", "echo/", "echo/x", "%0aecho", "x" * 200):
        assert ask(name).code.dotted == "4.04"
    assert told(ask("nothing")) == ("4.04", None, b"no such action: nothing")
    for code in (codes.GET, codes.PUT, codes.DELETE, codes.FETCH, codes.PATCH, codes.iPATCH):
        assert ask("echo", code=code).code.dotted == "4.05"
    assert host.calls == []


@pytest.mark.parametrize(
    ("form", "payload", "answer"),
    [
        (JSON, b"{", "4.00"),
        (JSON, b"NaN", "4.00"),
        (JSON, b"[" * 2000, "4.00"),
        (JSON, b"\xff", "4.00"),
        (TEXT, b"\xff", "4.00"),
        (60, b"\xf6", "4.15"),
        (LINKS, b"</x>", "4.15"),
        (11050, b"{}", "4.15"),
        (60, b"", "4.15"),
    ],
)
def test_a_body_that_is_not_what_it_says(host, ask, form, payload, answer):
    assert ask("echo", payload, content_format=ContentFormat(form)).code.dotted == answer
    assert host.calls == []


def test_accept(host, ask):
    for accept, form, answer in (
        (JSON, JSON, "2.04"),
        (BYTES, BYTES, "2.04"),
        (60, BYTES, "4.06"),
        (LINKS, BYTES, "4.06"),
    ):
        assert ask("echo", b"1", content_format=form, accept=accept).code.dotted == answer
    assert len(host.calls) == 2, "what cannot be had did not run"
    late = ask("echo", b"1", content_format=JSON, accept=TEXT)
    assert told(late) == ("4.06", None, b"it ran; its result has the format 50")
    assert ask("echo", accept=TEXT).code.dotted == "2.04", "no content is of no format"


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        (status.UNKNOWN, "4.04"),
        (status.TOO_BIG, "4.13"),
        (status.MALFORMED, "4.00"),
        (status.GONE, "5.00"),
        (status.OUT_OF_ORDER, "4.08"),
        (status.REFUSED, "4.03"),
        (99, "5.00"),
    ],
)
def test_a_handler_that_refuses(host, ask, number, answer):
    def refuse():
        raise Refusal(number, "\u20ac" * 200)

    host.handle("refuse", refuse, insecure=True)
    assert told(ask("refuse")) == (answer, None, "\u20ac".encode() * 85)


@pytest.mark.parametrize("kind", [ValueError, KeyError, SystemExit, asyncio.CancelledError, error.BadRequest])
def test_a_handler_that_fails(host, ask, kind):
    def function():
        raise kind("for nobody else")

    async def coroutine():
        function()

    host.handle("function", function, insecure=True)
    host.handle("coroutine", coroutine, insecure=True)
    host.handle("thread", function, insecure=True, thread=True)
    for name in ("function", "coroutine", "thread"):
        assert told(ask(name)) == ("5.00", None, kind.__name__.encode())
    assert ask("echo", b"x").payload == b"x"


def test_how_handlers_run(host, ask):
    seen = {}

    def note(name):
        seen[name] = benserver.sender(), threading.current_thread().name
        return name

    async def coroutine():
        await asyncio.sleep(0.15)  # longer than aiocoap waits before it acknowledges
        assert asyncio.get_running_loop() is host.server._loop
        return note("coroutine")

    host.handle("function", lambda: note("function"), insecure=True)
    host.handle("coroutine", coroutine, insecure=True)
    host.handle("thread", lambda: time.sleep(0.15) or note("thread"), insecure=True, thread=True)
    assert [ask(name).payload for name in ("function", "coroutine", "thread")] == [
        b"function",
        b"coroutine",
        b"thread",
    ]
    for sender, _ in seen.values():
        assert (sender.transport, sender.device, sender.name, sender.secure) == ("coap", None, None, False)
        assert sender.address.startswith(LOCAL + ":")
    assert seen["function"][1] == seen["coroutine"][1] == host._thread.name
    assert seen["thread"][1].startswith("action")


def test_the_list(host, ask):
    def listed(**options):
        return told(ask(".well-known/core", code=codes.GET, **options))

    host.handle("door", lambda: None)
    host.handle("b/c", lambda: None, insecure=True)
    assert listed() == listed(accept=LINKS) == ("2.05", LINKS, b"</b/c>,</echo>")
    assert listed(accept=JSON)[0] == "4.06"
    assert listed(observe=0) == listed()
    assert ask(".well-known/core").code.dotted == "4.05"
    for number in range(200):
        host.handle(f"many/{number:03}", lambda: None, insecure=True)
    links = listed()[2].decode()
    assert links.split(",")[2:] == [f"</many/{number:03}>" for number in range(200)]
    assert listed(exponent=1)[2].decode() == links


def test_nothing_can_be_observed(host, monkeypatch):
    monkeypatch.setenv("AIOCOAP_CLIENT_TRANSPORT", "simple6")

    async def observe(path, code):
        context = await Context.create_client_context()
        uri = f"coap://{LOCAL}:{host.coap}/{path}"
        request = context.request(Message(code=code, uri=uri, observe=0))
        response = await asyncio.wait_for(request.response, PATIENCE)
        with pytest.raises(error.NotObservable):
            raise request.observation._cancellation_reason
        await context.shutdown()
        return response.code.dotted

    assert asyncio.run(observe(".well-known/core", codes.GET)) == "2.05"
    assert asyncio.run(observe("echo", codes.POST)) == "2.04"
    assert asyncio.run(observe("echo", codes.GET)) == "4.05"


# Datagrams of our own


def options_of(*pairs):
    """The bytes of options: (number, value), in order."""
    made, last = b"", 0
    for number, value in pairs:
        delta, more = half(number - last)
        length, longer = half(len(value))
        made += bytes((delta << 4 | length,)) + more + longer + value
        last = number
    return made


def half(value):
    if value < 13:
        return value, b""
    if value < 269:
        return 13, bytes((value - 13,))
    return 14, (value - 269).to_bytes(2, "big")


def datagram(mid, *options, kind=CON, code=POST, token=b"T", payload=b"", path="echo"):
    """A request."""
    before = [(11, part.encode()) for part in path.split("/")] if path else []
    body = b"\xff" + payload if payload else b""
    head = bytes((0x40 | kind << 4 | len(token), code)) + mid.to_bytes(2, "big") + token
    return head + options_of(*sorted([*before, *options], key=lambda pair: pair[0])) + body


class Raw:
    """A client that does as it is told."""

    def __init__(self, port, host=LOCAL):
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect((host, port))
        self._barriers = 0xF000

    def send(self, *datagrams):
        for each in datagrams:
            self.sock.send(each)

    def hear(self):
        return self.sock.recv(9000)

    def ask(self, request):
        self.send(request)
        return self.hear()

    def heard(self):
        """What has come until now: all that was to come of what was sent before and ran at once."""
        self._barriers += 1
        self.send(datagram(self._barriers, token=b"barrier", payload=b"!"))
        heard = []
        while b"barrier" not in (each := self.hear()):
            heard.append(each)
        return heard

    def close(self):
        self.sock.close()


@pytest.fixture
def raw(host):
    raw = Raw(host.coap)
    yield raw
    raw.close()


def calls_of(host, name="echo"):
    return [data for called, data in host.calls if called == name and data != (b"!",)]


def code_of(datagram):
    return f"{datagram[1] >> 5}.{datagram[1] & 31:02}"


def kind_of(datagram):
    return datagram[0] >> 4 & 3


def test_every_byte_of_an_answer(host, raw):
    octets = options_of((12, b"\x2a"))
    assert raw.ask(datagram(1, payload=b"x")) == b"\x61\x44\0\1T" + octets + b"\xffx"
    assert raw.ask(datagram(2, token=b"")) == b"\x60\x44\0\2"
    got = raw.ask(datagram(3, kind=NON, token=b"12345678", payload=b"x"))
    assert (got[:2], got[4:]) == (b"\x58\x44", b"12345678" + octets + b"\xffx")
    assert raw.ask(b"\x40\0\0\4") == b"\x70\0\0\4", "a ping"
    assert raw.ask(b"\x41\x45\0\5T") == b"\x70\0\0\5", "an answer to nothing"
    for kind in (NON, ACK):
        raw.send(bytes((0x41 | kind << 4,)) + b"\x45\0\6T")
    raw.send(b"\x60\0\0\7", b"\x70\0\0\x08", b"\x50\0\0\x09")
    assert raw.heard() == []


def test_an_answer_that_comes_later(host, raw):
    answered = threading.Event()

    async def slow():
        while not answered.is_set():
            await asyncio.sleep(0.02)
        return "late"

    host.handle("slow", slow, insecure=True)
    request = datagram(1, path="slow")
    assert raw.ask(request) == b"\x60\0\0\1"
    assert raw.ask(request) == b"\x60\0\0\1", "to a copy, too"
    answered.set()
    late = raw.hear()
    assert (kind_of(late), code_of(late), late[-4:]) == (CON, "2.04", b"late")
    raw.send(b"\x60\0" + late[2:4])
    assert raw.ask(request) == b"\x60\0\0\1"
    raw.send(datagram(2, path="slow", kind=NON))
    late = raw.hear()
    assert (kind_of(late), late[-4:]) == (NON, b"late")
    assert len(calls_of(host, "slow")) == 2


def test_blocks_of_a_body_are_answered_where_its_answer_is_not_wanted(host):
    """Their sender waits for that, to go on (RFC 7959, 2.9.1)."""
    came = []
    host.handle("log", lambda data: came.append(data), insecure=True)
    reply = Client().post(f"coap://127.0.0.1:{host.coap}/log", bytes(3000), no_response=2)
    assert (reply, came) == (None, [bytes(3000)])


def test_an_answer_that_comes_later_is_repeated(host, raw, monkeypatch):
    monkeypatch.setattr(TransportTuning, "ACK_TIMEOUT", 0.05)
    monkeypatch.setattr(TransportTuning, "EMPTY_ACK_DELAY", 0.01)

    async def slow():
        await asyncio.sleep(0.05)

    host.handle("slow", slow, insecure=True)
    assert raw.ask(datagram(1, path="slow")) == b"\x60\0\0\1"
    late = raw.hear()
    assert raw.hear() == raw.hear() == late
    raw.send(b"\x60\0" + late[2:4])
    assert raw.heard() == []


def test_a_copy_runs_nothing(host, raw):
    running = threading.Event()

    async def slow():
        while not running.is_set():
            await asyncio.sleep(0.01)
        return "done"

    host.handle("slow", slow, insecure=True)
    request = datagram(1, payload=b"one")
    answer = raw.ask(request)
    assert [raw.ask(request) for _ in range(3)] == [answer] * 3
    raw.send(*[datagram(2, kind=NON, payload=b"two")] * 3)
    assert len(raw.heard()) == 1, "nor does it bring a second answer, if it was a NON"
    raw.send(*[datagram(3, path="slow")] * 3)
    assert raw.heard() == []
    running.set()
    assert raw.hear()[-4:] == b"done"
    assert calls_of(host) == [(b"one",), (b"two",)] and len(calls_of(host, "slow")) == 1


def test_what_differs_or_comes_from_elsewhere_is_no_copy(host, raw):
    raw.ask(datagram(1, payload=b"one"))
    raw.ask(datagram(1, payload=b"two", token=b"another life"[:8]))
    other = Raw(host.coap)
    other.ask(datagram(1, payload=b"one"))
    other.close()
    assert calls_of(host) == [(b"one",), (b"two",), (b"one",)]


CRITICAL = {
    "unknown": [(9999, b"")],
    "unknown, large": [(65001, b"x" * 300)],
    "If-Match": [(1, b"tag")],
    "If-None-Match": [(5, b"")],
    "OSCORE": [(9, b"\x09\x00\x01")],
    "Uri-Path-Abbrev": [(13, b"\0")],
    "Q-Block1": [(19, b"\0")],
    "two Accept": [(17, b"\x2a"), (17, b"\x2a")],
    "two Uri-Host": [(3, b"a"), (3, b"b")],
    "long Accept": [(17, b"\0\0\x2a")],
    "long Block1": [(27, b"\0\0\0\6")],
    "long Block2": [(23, b"\0\0\0\6")],
    "long Uri-Path": [(11, b"x" * 256)],
    "long Uri-Port": [(7, b"\0\0\1")],
}


@pytest.mark.parametrize("options", CRITICAL.values(), ids=CRITICAL)
def test_critical_options_that_mean_nothing_here(host, raw, options):
    assert raw.ask(datagram(1, *options, payload=b"x")) == b"\x61\x82\0\1T"
    raw.send(datagram(2, *options, kind=NON, payload=b"x"))
    assert raw.heard() == []
    listing = datagram(3, *options, path=".well-known/core", code=GET)
    assert code_of(raw.ask(listing)) == "4.02"
    assert calls_of(host) == []


def test_options_that_may_be_passed_over(host, raw):
    harmless = [
        (3, b"localhost"),
        (4, b"tag"),
        (6, b""),
        (7, b"\x16\x33"),
        (8, b"x"),
        (14, b"\1"),
        (15, b"a=1"),
        (15, b"b"),
        (16, b"\1"),
        (60, b"\1"),
        (252, b"echo"),
        (292, b"tag"),
        (65000, b"x"),
    ]
    assert raw.ask(datagram(1, *harmless, payload=b"x"))[-2:] == b"\xffx"
    twice = datagram(2, (12, b"\x32"), (12, b"\x3c"), payload=b"1")
    assert raw.ask(twice)[-2:] == b"\xff1"
    assert calls_of(host) == [(b"x",), (1,)]


@pytest.mark.parametrize("option", [(35, b"coap://elsewhere/echo"), (39, b"coap")])
def test_it_is_no_proxy(host, raw, option):
    assert code_of(raw.ask(datagram(1, option, payload=b"x"))) == "5.05"
    assert calls_of(host) == []


def test_no_response(host, raw):
    raw.send(datagram(1, (258, b"\x02"), kind=NON, payload=b"x"))
    assert raw.heard() == []
    assert raw.ask(datagram(2, (258, b"\x1a"), payload=b"y")) == b"\x60\0\0\2"
    assert code_of(raw.ask(datagram(3, (258, b"\x02"), path="nothing"))) == "4.04"
    assert calls_of(host) == [(b"x",), (b"y",)]


NO_COAP = {
    "nothing": b"",
    "short": b"\x40\2\0",
    "version 0": b"\0\2\0\1\xb4echo",
    "version 2": b"\x80\2\0\1\xb4echo",
    "no token": b"\x44\2\0\1abc",
    "token of 9": b"\x49\2\0\1" + b"123456789\xb4echo",
    "token of 15": b"\x4f\2\0\1" + b"123456789012345\xb4echo",
    "an end without payload": b"\x40\2\0\1\xb4echo\xff",
    "number 15": b"\x40\2\0\1\xf4\0\0\0echo",
    "length 15": b"\x40\2\0\1\xbf\0\0\0echo" + bytes(300),
    "cut option": b"\x40\2\0\1\xb5echo",
    "cut number": b"\x40\2\0\1\xb4echo\xd0",
    "cut long number": b"\x40\2\0\1\xb4echo\xe0\0",
    "cut length": b"\x40\2\0\1\xb4echo\x0d",
    "number over 65535": b"\x40\2\0\1\xb4echo\xe0\xff\xff",
    "no UTF-8 in the path": b"\x40\2\0\1\xb2\xc3\x28",
    "no UTF-8 in the host": b"\x40\2\0\1\x32\xc3\x28\x84echo",
    "a ping with a token": b"\x41\0\0\1T",
    "a ping with a payload": b"\x40\0\0\1\xff!",
    "endless options": b"\x40\2\0\1\xb4echo" + b"\x41x\0" * 500,
    "a code of no class": b"\x40\x20\0\1",
    "a signal": b"\x40\xe1\0\1",
    "a request that acknowledges": b"\x60\2\0\1\xb4echo",
    "a request that resets": b"\x70\2\0\1\xb4echo",
}


@pytest.mark.parametrize("junk", NO_COAP.values(), ids=NO_COAP)
def test_what_is_no_coap_is_not_answered(host, raw, caplog, junk):
    raw.send(junk)
    assert raw.heard() == []
    assert calls_of(host) == [] and caplog.records[1:] == []


@pytest.mark.parametrize("code", [8, 31])
def test_methods_that_nobody_knows(host, raw, code):
    assert code_of(raw.ask(datagram(1, code=code))) == "4.05"
    assert calls_of(host) == []


def block(number, more=False, exponent=0):
    return (number << 4 | more << 3 | exponent).to_bytes(3, "big").lstrip(b"\0")


def test_blocks_out_of_order(host, raw):
    def put(mid, number, more, payload=bytes(16), *options):
        return code_of(raw.ask(datagram(mid, (27, block(number, more)), *options, payload=payload)))

    assert put(1, 1, False) == "4.08", "without the first"
    assert [put(2, 0, True), put(3, 2, False)] == ["2.31", "4.08"], "one is missing"
    assert [put(4, 0, True), put(5, 1, True), put(6, 1, True)] == ["2.31", "2.31", "4.08"], "one came again"
    assert put(7, 2, False) == "4.08", "and has to begin again"
    assert [put(8, 0, True), put(9, 1, True, b"short")] == ["2.31", "4.00"]
    assert [put(10, 0, True), put(11, 0, True), put(12, 1, False, b"!!")] == ["2.31", "2.31", "2.04"]
    assert put(13, 1, False) == "4.08", "once only"
    assert [put(14, 0, True, bytes(16), (292, b"1")), put(15, 1, False, b"x", (292, b"2"))] == [
        "2.31",
        "4.08",
    ]
    assert calls_of(host) == [(bytes(16) + b"!!",)]


def test_blocks_of_two_clients_are_apart(host, raw):
    other = Raw(host.coap)
    for client, letter in ((raw, b"a"), (other, b"b")):
        assert code_of(client.ask(datagram(1, (27, block(0, True)), payload=letter * 16))) == "2.31"
    answers = [client.ask(datagram(2, (27, block(1)), payload=b"end")) for client in (raw, other)]
    other.close()
    assert all(b"\xff" + letter * 16 in answer for letter, answer in zip((b"a", b"b"), answers))
    assert calls_of(host) == [(b"a" * 16 + b"end",), (b"b" * 16 + b"end",)]


def test_a_body_says_early_that_it_is_too_big(host, raw):
    first = datagram(1, (27, block(0, True)), (60, (MOST + 1).to_bytes(2, "big")), payload=bytes(16))
    assert raw.ask(first) == b"\x61\x8d\0\1T" + options_of((60, b"\x10\0")) + b"\xffover 4096 bytes"
    assert code_of(raw.ask(datagram(2, (27, block(1)), payload=b"end"))) == "4.08"
    for mid, length in ((3, MOST), (4, MOST + 1), (5, MOST + 1040), (6, 60000)):
        raw.send(datagram(mid, (258, b"\2"), kind=NON, payload=bytes(length)))
    answers = raw.heard()
    assert [code_of(answer) for answer in answers] == ["4.13"] * 3
    assert calls_of(host) == [(bytes(MOST),)]


def test_pieces_of_a_result(host, raw):
    host.handle("get", lambda: bytes(range(256)), insecure=True)

    def get(mid, number, exponent=2, **options):
        return raw.ask(datagram(mid, (23, block(number, False, exponent)), path="get", **options))

    assert code_of(get(1, 1)) == "4.08", "of nothing"
    pieces = [get(2 + number, number) for number in range(4)]
    assert b"".join(each.split(b"\xff", 1)[1] for each in pieces) == bytes(range(256))
    assert get(6, 7, 1).split(b"\xff", 1)[1] == bytes(range(224, 256)), "smaller ones"
    assert code_of(get(7, 4)) == code_of(get(8, 0xFFFFF, 2)) == "4.00"
    assert [code_of(get(9 + number, number, 7)) for number in (0, 1)] == ["4.00", "4.00"]
    assert code_of(raw.ask(datagram(11, (27, block(0, True, 7)), payload=bytes(1024), path="get"))) == "4.00"
    other = Raw(host.coap)
    assert code_of(other.ask(datagram(1, (23, block(1, False, 2)), path="get"))) == "4.08", "another's"
    other.close()
    assert len(calls_of(host, "get")) == 1


def test_pieces_of_two_results_differ(host, raw):
    results = [b"a" * 100, b"b" * 100]
    host.handle("get", lambda: results.pop(), insecure=True)

    def tag(mid, number):
        answer = raw.ask(datagram(mid, (23, block(number, False, 2)), path="get"))
        return answer[answer.index(b"\x44", 5) :][:5]  # ETag, the first option

    first, again = tag(1, 0), tag(2, 0)
    assert first != again == tag(3, 1)


# Bounds


def test_kept():
    now = 0.0
    kept = Kept(3, 10, lambda: now)
    for number in range(5):
        kept.put(number, str(number))
    assert len(kept) == 3 and [kept.get(number) for number in (0, 1, 2, 4)] == [None, None, "2", "4"]
    now = 9.0
    kept.put(2, "new")
    kept.put(5, "5")
    assert [kept.get(number) for number in (2, 3, 4, 5)] == ["new", None, "4", "5"]
    now = 10.0
    assert [kept.get(number) for number in (2, 4, 5)] == ["new", None, "5"]
    kept.put(6, "6")
    assert len(kept) == 3
    kept.drop(5)
    kept.drop(5)
    assert kept.get(5) is None and len(kept) == 2


def test_so_many_handlers_at_once(host, raw, monkeypatch):
    monkeypatch.setattr(coap_actions, "RUNNING_MAX", 3)
    go_on = threading.Event()

    async def slow():
        while not go_on.is_set():
            await asyncio.sleep(0.01)
        return "done"

    host.handle("slow", slow, insecure=True)
    raw.send(*[datagram(mid, path="slow", token=b"%d" % mid, kind=NON) for mid in range(3)])
    assert code_of(raw.ask(datagram(3, path="slow"))) == code_of(raw.ask(datagram(4))) == "5.03"
    go_on.set()
    assert [raw.hear()[-4:] for _ in range(3)] == [b"done"] * 3
    assert code_of(raw.ask(datagram(5))) == "2.04"
    assert len(calls_of(host, "slow")) == 3


def test_who_takes_a_token_again_is_not_counted_for_ever(host, raw, monkeypatch, caplog):
    monkeypatch.setattr(coap_actions, "RUNNING_MAX", 3)

    async def slow():
        await asyncio.sleep(0.02)

    host.handle("slow", slow, insecure=True)
    for round in range(3):
        raw.send(*[datagram(10 * round + mid, path="slow", kind=NON) for mid in range(3)])
        host.wait_for_calls(3 * round + 3)
        time.sleep(0.05)
    assert code_of(raw.ask(datagram(99))) == "2.04"
    gc.collect()  # asyncio tells then of a failure that nobody heard of
    assert caplog.records[1:] == []


def test_so_many_bodies_at_once(host):
    clients = [Raw(host.coap) for _ in range(coap_actions.BLOCKWISE_MAX + 1)]
    for client in clients:
        assert code_of(client.ask(datagram(1, (27, block(0, True)), payload=bytes(16)))) == "2.31"
    ends = [code_of(client.ask(datagram(2, (27, block(1)), payload=b"end"))) for client in clients]
    assert ends == ["4.08", *["2.04"] * coap_actions.BLOCKWISE_MAX]
    for client in clients:
        client.close()


def test_so_many_answers_wait_to_be_acknowledged(host, monkeypatch):
    monkeypatch.setattr(coap, "UNACKNOWLEDGED_MAX", 3)
    monkeypatch.setattr(coap, "WAITING_MAX", 2)
    monkeypatch.setattr(TransportTuning, "EMPTY_ACK_DELAY", 0.001)

    async def slow():
        await asyncio.sleep(0.02)

    host.handle("slow", slow, insecure=True)

    def answers(client, count, acknowledged):
        client.send(*[datagram(mid, path="slow", token=b"%d" % mid) for mid in range(count)])
        heard = [client.hear() for _ in range(count + acknowledged)]
        return [kind_of(each) for each in heard if each[1]]

    clients = [Raw(host.coap) for _ in range(5)]
    assert answers(clients[0], 5, 3) == [CON, NON, NON], "two wait for the first one to be acknowledged"
    assert [answers(client, 1, 1) for client in clients[1:]] == [[CON], [CON], [NON], [NON]]
    for client in clients:
        client.close()


def test_so_many_copies_are_known(host, raw):
    recent = host.transport._recent = Kept(3, 100)
    requests = [datagram(mid, payload=b"%d" % mid) for mid in range(5)]
    for request in requests:
        raw.ask(request)
    assert len(recent) == 3
    raw.ask(requests[4])
    raw.ask(requests[0])
    assert [data for (data,) in calls_of(host)] == [b"0", b"1", b"2", b"3", b"4", b"0"]


# Strangers

SEEDS = [
    datagram(1, payload=b"x"),
    datagram(2, (12, b"\x32"), payload=b'{"a": 1}'),
    datagram(3, (17, b"\x2a"), (292, b"tag"), (258, b"\x02"), path="a/b/c", payload=bytes(100)),
    datagram(4, (27, block(0, True)), payload=bytes(16)),
    datagram(5, (27, block(1, True)), (23, block(0, False, 6)), (60, b"\x10"), payload=bytes(16)),
    datagram(6, (23, block(3, False, 2)), path="long"),
    datagram(7, path=".well-known/core", code=GET, kind=NON),
    datagram(8, (6, b""), (1, b"etag"), (5, b""), path="door", token=b"12345678"),
    datagram(9, (3, b"host"), (7, b"\x16\x33"), (15, b"q=1"), (35, b"coap://x"), path="slow"),
    b"\x60\0\0\1",
    b"\x70\0\0\2",
    b"\x40\0\0\3",
    b"\x41\x45\0\4T\xffx",
]


def mutated(chance):
    """A datagram with one thing about it changed; its message id is any."""
    made = bytearray(chance.choice(SEEDS))
    made[2:4] = chance.randbytes(2)
    kind, at = chance.randrange(9), chance.randrange(len(made))
    if kind == 0:
        made[at] ^= 1 << chance.randrange(8)
    elif kind == 1:
        del made[at:]
    elif kind == 2:
        made[at:at] = chance.randbytes(chance.randrange(1, 20))
    elif kind == 3:
        made[0] = chance.randrange(256)
    elif kind == 4:
        made[1] = chance.randrange(256)
    elif kind == 5:
        other = chance.choice(SEEDS)
        made[at:] = other[chance.randrange(len(other)) :]
    elif kind == 6:
        extra = (chance.randrange(65536), chance.randbytes(chance.choice((0, 1, 2, 3, 4, 12, 13, 300))))
        made = bytearray(datagram(chance.randrange(65536), extra, payload=b"x", kind=chance.randrange(4)))
    elif kind == 7:
        number, value = chance.choice((12, 17, 23, 27, 60, 258, 292)), chance.randbytes(chance.randrange(4))
        made = bytearray(datagram(chance.randrange(65536), (number, value), payload=chance.randbytes(16)))
    else:
        made = bytearray(chance.randbytes(chance.randrange(60)))
    return bytes(made)


def numbers_of_aiocoap():
    """How many numbers of options and formats it remembers."""
    return len(OptionNumber._value2member_map_), len(ContentFormat._value2member_map_)


def test_strangers_leave_no_line_and_it_serves_on(host, ask, caplog):
    host.handle("long", lambda *data: bytes(3000), insecure=True)
    host.handle("slow", lambda *data: asyncio.sleep(0.15), insecure=True)
    host.handle("door", lambda *data: pytest.fail("opened"))
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    clients = [Raw(host.coap) for _ in range(20)]
    ask("echo", b"x", content_format=JSON, accept=60)
    clients[0].send(datagram(1, (9, b"x")))  # the one number that stands for what means nothing
    assert clients[0].heard() is not None
    known = numbers_of_aiocoap()
    lines = len(caplog.records)
    for number in range(2000):
        clients[number % 20].send(mutated(chance))
        if number % 100 == 99:  # they are all read
            assert clients[0].heard() is not None
    assert "door" not in {name for name, _ in host.calls}
    assert numbers_of_aiocoap() == known
    assert [record.getMessage() for record in caplog.records[lines:]] == []
    assert host.transport._messages._recent_messages == {}, "aiocoap's own list, which has no end"
    body = bytes(range(256)) * 16
    assert ask("echo", body).payload == body
    assert len(calls_of(host)) > 20, "some of it made sense"
    for client in clients:
        client.close()


# The server


def test_it_says_once_that_it_is_insecure(tmp_path, caplog):
    with Host(tmp_path / "key.sec", coap=0):
        pass
    said = [record for record in caplog.records if "no key protects" in record.getMessage()]
    assert [record.levelno for record in said] == [logging.WARNING]
    caplog.clear()
    with Host(tmp_path / "key.sec") as host:
        assert host.coap is None
    assert caplog.records == []


def test_the_port_is_its_own_and_free_again_at_once(tmp_path):
    with Host(tmp_path / "key.sec", coap=0) as host:
        port = host.coap
        assert 0 < port != host.port
        other = Server(LOCAL, 0, tmp_path / "key.sec", coap=port)
        with pytest.raises(
            OSError, match=f"^.* cannot listen on {LOCAL} port {port} .CoAP.: Address already"
        ):
            other.start()
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            with socket.socket(type=socket.SOCK_DGRAM) as sock, pytest.raises(OSError, match="in use"):
                sock.setsockopt(socket.SOL_SOCKET, option, 1)
                sock.bind((LOCAL, port))
    for _ in range(3):
        with Host(tmp_path / "key.sec", coap=port) as host:
            assert host.coap == port
            host.handle("echo", lambda data: data, insecure=True)
            raw = Raw(port)
            assert raw.ask(datagram(1, payload=b"x"))[-1:] == b"x"
            raw.close()


@pytest.mark.parametrize(("localip", "reached"), [("0.0.0.0", LOCAL), ("::1", "::1"), ("localhost", LOCAL)])
def test_where_it_listens(tmp_path, localip, reached):
    try:
        host = Host(tmp_path / "key.sec", localip=localip, coap=0)
        with host:
            host.handle("who", lambda: benserver.sender().address, insecure=True)
            raw = Raw(host.coap, reached)
            address = raw.ask(datagram(1, path="who")).split(b"\xff")[1].decode()
            raw.close()
    except (OSError, AssertionError):
        if ":" in localip and not socket.has_ipv6:
            pytest.skip("no IPv6")
        raise
    assert address.startswith("[::1]:" if ":" in localip else LOCAL + ":")


def test_it_ends_while_handlers_run(tmp_path, caplog):
    async def stuck():
        await asyncio.sleep(1000)

    with Host(tmp_path / "key.sec", coap=0) as host:
        host.handle("stuck", stuck, insecure=True)
        host.handle("late", lambda: asyncio.sleep(0.12), insecure=True)
        raw = Raw(host.coap)
        raw.send(*[datagram(mid, path="stuck", token=b"%d" % mid) for mid in range(3)])
        raw.send(datagram(9, path="late"))
        host.wait_for_calls(4)
        while raw.hear()[0] & 0x30:  # until there is an answer that nobody acknowledges
            pass
        began = time.monotonic()
    assert time.monotonic() - began < 1
    raw.close()
    said = [record.getMessage() for record in caplog.records]
    assert said[1:] == ["stuck was cancelled"] * 3


def test_it_serves_again(tmp_path, monkeypatch):
    """In a loop of a program's own, where it leaves nothing behind."""
    monkeypatch.setattr(TransportTuning, "ACK_TIMEOUT", 0.05)
    generate_new_secret(tmp_path / "key.sec")
    server = Server(LOCAL, 0, tmp_path / "key.sec", coap=0)
    server.add_action_handler("echo", lambda data: data, insecure=True)
    server.add_action_handler("slow", lambda: asyncio.sleep(0.11), insecure=True)
    sent = []

    class Noted(coap.Coap):
        def send(self, message):
            sent.append(message)
            super().send(message)

    server._coap_class = Noted

    async def main():
        for _ in range(2):
            serving = asyncio.create_task(server.serve())
            while not server.listening.is_set():
                await asyncio.sleep(0)
            assert (await asked(server.coap, "echo", b"x")).payload == b"x"
            raw = Raw(server.coap)
            raw.send(datagram(1, path="slow"))
            while not any(message.mtype == CON for message in sent):
                await asyncio.sleep(0.01)
            server.stop()
            await serving
            sent.clear()
            await asyncio.sleep(0.2)
            assert sent == [], "what nobody acknowledged is not repeated"
            raw.close()

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none(tmp_path, port):
    with pytest.raises(ValueError, match=f"a port is 0 to 65535, not {port}"):
        Server(LOCAL, 0, tmp_path / "key.sec", coap=port)


ABSENT = """
import sys
sys.modules["aiocoap"] = None
from benserver import Server
from benserver.__main__ import main
Server("127.0.0.1", 0)
try:
    Server("127.0.0.1", 0, coap=0)
except ImportError as error:
    print(error)
sys.exit(main(["serve", "--coap", "0"]))
"""


def test_without_aiocoap(tmp_path):
    generate_new_secret(tmp_path / "key.sec")
    done = subprocess.run(
        [sys.executable, "-c", ABSENT], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE
    )
    what = "CoAP needs aiocoap: pip install 'benserver[coap]'"
    assert (done.returncode, done.stdout, done.stderr) == (1, f"{what}\n", f"benserver: {what}\n")


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_serve_prints_what_comes(tmp_path, ending):
    generate_new_secret(tmp_path / "key.sec")
    with ServeProcess(tmp_path, "--tcp", "0", "--coap", f"{LOCAL}:0") as serve:
        if serve.greeting.startswith("WARNING"):
            warning, serve.greeting = serve.greeting, serve.process.stdout.readline()
        ports = f"{serve.port} (UDP), {serve.tcp} (TCP) and {serve.coap} (CoAP)"
        assert serve.greeting == f"listening on {LOCAL} port {ports}; Ctrl-C ends it\n"
        raw = Raw(serve.coap)
        assert (
            raw.ask(datagram(1, (12, b"\x32"), path="kitchen/dht", payload=b'{"t":\n23}')) == b"\x61\x44\0\1T"
        )
        address = "{}:{}".format(*raw.sock.getsockname())
        code, text = serve.end(ending)
        raw.close()
    assert "no key protects" in warning
    assert code == 0 and text.split(" ", 1)[1] == f"{address} kitchen/dht {{'t': 23}}\n"


def test_serve_with_actions(tmp_path):
    generate_new_secret(tmp_path / "key.sec")
    (tmp_path / "mine.py").write_text(
        "def actions(server):\n"
        "    server.add_action_handler('open', lambda: 'yes', insecure=True)\n"
        "    server.add_action_handler('door', lambda: 'yes')\n"
    )
    with ServeProcess(tmp_path, "--actions", "mine.py", "--coap", "0") as serve:
        serve.greeting = serve.process.stdout.readline()
        raw = Raw(serve.coap)
        answers = [raw.ask(datagram(mid, path=path)) for mid, path in enumerate(("open", "door", "other"))]
        raw.close()
        assert [code_of(answer) for answer in answers] == ["2.04", "4.01", "4.04"]
        assert serve.end() == (0, "")
