"""CoAP's codec and what becomes of a URL, on each runtime: against RFC 7252's examples, against itself, against aiocoap."""

import json
import random

import aiocoap
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ben.coap.message import Message, decode
from ben.coap.request import request
from board import ROOT
from coap_board import client_script

VECTORS = ROOT / "tests" / "vectors" / "rfc7252-a.json"
SCRIPT = ROOT / "tests" / "device" / "coap_message.py"


def test_the_codec(board):
    count = len(json.loads(VECTORS.read_text())["messages"])
    assert board.run(SCRIPT, VECTORS) == f"{count} vectors\n"


OPTIONS = st.lists(st.tuples(st.integers(0, 65535), st.binary(max_size=300)), max_size=3)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 3),
    st.integers(1, 255),
    st.integers(0, 65535),
    st.binary(max_size=8),
    OPTIONS,
    st.binary(max_size=200),
)
def test_any_message_survives(kind, code, id, token, options, payload):
    message = Message(code, payload, kind, id, token)
    for number, value in options:
        message.add(number, value)
    came = decode(bytes(message.encode()))
    assert (came.type, came.code, came.id, came.token, came.payload) == (kind, code, id, token, payload)
    assert came.options == sorted(options, key=lambda option: option[0])


def test_aiocoap_reads_what_we_write():
    chance = random.Random(7252)
    for _ in range(200):
        message = Message(
            chance.randrange(1, 8), chance.randbytes(chance.randrange(50)), 0, 9, chance.randbytes(4)
        )
        for _ in range(chance.randrange(6)):
            message.add(chance.choice((11, 15, 2000, 40000)), "a" * chance.choice((0, 12, 13, 268, 269, 280)))
        theirs = aiocoap.Message.decode(bytes(message.encode()))
        assert [(int(each.number), each.encode()) for each in theirs.opt.option_list()] == message.options
        assert (theirs.payload, theirs.token, theirs.mid) == (message.payload, message.token, 9)


URLS = {  # (host, port, options)
    "coap://1.2.3.4": ("1.2.3.4", 5683, []),
    "coap://1.2.3.4/": ("1.2.3.4", 5683, []),
    "coap://1.2.3.4:61616/a//b/": ("1.2.3.4", 61616, [(11, b"a"), (11, b""), (11, b"b"), (11, b"")]),
    "coap://[::1]/x": ("::1", 5683, [(11, b"x")]),
    "coap://[2001:db8::2:1]:7/x": ("2001:db8::2:1", 7, [(11, b"x")]),
    "coap://board.local/x?a=1&b": (
        "board.local", 5683, [(3, b"board.local"), (11, b"x"), (15, b"a=1"), (15, b"b")]
    ),
    "coap://h?a": ("h", 5683, [(3, b"h"), (15, b"a")]),
    # RFC 7252, 6.4's neighbours: what is escaped is a byte of the option, and no delimiter
    "coap://h/%E2%82%AC/a%2Fb?%26=%3D": (
        "h", 5683, [(3, b"h"), (11, "€".encode()), (11, b"a/b"), (15, b"&=="),]
    ),
}  # fmt: skip


@pytest.mark.parametrize("url", URLS)
def test_a_url(url):
    message, host, port, timing = request(1, url)
    assert (host, port, message.options, timing) == (*URLS[url], {})
    assert len(message.token) == 4 and message.token != request(1, url)[0].token


@pytest.mark.parametrize(
    "url",
    (
        "", "http://h/", "coap:/h", "coaps://h/", "COAP", "coap://", "coap:///x", "coap://h/a#b", "coap://h:x/",
        "coap://h/%zz", "coap://h/" + 256 * "a", "coap://h/?" + 256 * "a", "coap://h:0/", "coap://h:65536/",
        "coap://h:-1/",
    ),
)  # fmt: skip
def test_what_is_no_url(url):
    with pytest.raises(ValueError):
        request(1, url)


def test_a_url_that_comes_again_is_as_at_first():
    """It is taken apart once; what other arguments add is for one request."""
    one, other = "coap://[::1]:61616/a/b?c", "coap://host.example/a"
    first = [request(1, url) for url in (one, other)]
    assert [len(each[0].options) for each in first] == [3, 2]
    for _ in range(2):
        assert len(request(1, one, query={"d": "1"}, format=0)[0].options) == 5
        for url, (message, *to, _) in zip((one, one, other), (first[0], first[0], first[1])):
            again = request(1, url)
            assert (again[0].options, [*again[1:3]]) == (message.options, to)
        for _ in range(2):
            with pytest.raises(ValueError):
                request(1, one + "/" + 256 * "x")


@pytest.mark.parametrize(
    "options",
    (
        {"token": bytes(9)}, {"size": 17}, {"size": 2048}, {"format": "text/none"}, {"ack_timeout": 0},
        {"ack_timeout": 61}, {"ack_random_factor": 0.5}, {"max_retransmit": -1}, {"max_retransmit": 11},
    ),
)  # fmt: skip
def test_options_that_there_are_not(options):
    with pytest.raises(ValueError):
        request(1, "coap://h/", **options)


def test_options_by_name():
    message, _, _, timing = request(
        3,
        "coap://1.2.3.4/?a",
        True,
        query={"b": 1.5, "c": None},
        accept="application/json",
        format=60,
        etag=[b"1", b"2"],
        if_match=b"",
        if_none_match=True,
        no_response=26,
        options=[(2000, "x"), (6, 1)],
        token=b"",
        timeout=3,
    )
    assert (message.type, message.token, timing) == (1, b"", {"timeout": 3})
    assert message.options == [
        (1, b""), (4, b"1"), (4, b"2"), (5, b""), (6, b"\1"), (12, b"<"), (15, b"a"), (15, b"b=1.5"), (15, b"c"),
        (17, b"2"), (258, b"\x1a"), (2000, b"x"),
    ]  # fmt: skip


PINGS = """
async def main():
    client = Client()
    print(await client.ping(sys.argv[1]))
    try:
        await client.ping("coap://127.0.0.1:9", ack_timeout=0.01, max_retransmit=1)
    except OSError as error:
        print(error.args)
run(main)
"""


@pytest.mark.parametrize("driver", ("blocking", "asyncio"))
def test_ping(micropython_board, driver, aiocoap_server, libcoap_server):
    for server in (aiocoap_server, libcoap_server):
        assert micropython_board.run(client_script(driver, PINGS), server.url).splitlines() == [
            "True",
            "(110, 'no response')",
        ]
