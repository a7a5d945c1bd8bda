"""The CoAP programs of others do what our tests rely on, in each pair of them."""

import asyncio
import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from coap_site import pattern
from peers import AiocoapClient, AiocoapServer, LibcoapServer, Raw, libcoap

TEXT = pattern(3000)


@pytest.fixture
def client():
    with AiocoapClient() as client:
        yield client


def test_aiocoap_reads_and_writes_at_libcoap(client, libcoap_server):
    assert b"libcoap" in client.request("GET", libcoap_server.url + "/").payload
    example = libcoap_server.url + "/example_data"
    assert client.request("PUT", example, TEXT, block=64).code.dotted == "2.01"
    assert client.request("GET", example, block=256).payload == TEXT
    assert client.request("PUT", example, pattern(100_000)).code.dotted == "2.04"
    assert client.request("GET", example).payload == pattern(100_000)


def test_aiocoap_waits_for_a_separate_response_of_libcoap(client, libcoap_server):
    began = time.monotonic()
    response = client.request("GET", libcoap_server.url + "/async?1")
    assert (response.payload, str(response.mtype)) == (b"done", "CON")
    assert time.monotonic() - began > 0.9


def test_aiocoap_observes_libcoap(client, libcoap_server):
    example = libcoap_server.url + "/example_data"
    observation = client.observe(example, blockwise=True)
    client.request("PUT", example, TEXT)
    assert observation.wait(2)[1].payload == TEXT
    observation = client.observe(libcoap_server.url + "/time")
    observation.wait(2)
    assert observation.deregister().opt.observe is None


def test_libcoap_reads_at_aiocoap(aiocoap_server):
    answer = libcoap("get", aiocoap_server.url + "/echo/a/b?x=1&y", "-A", 50)
    said = json.loads(answer.payload)
    assert (said["method"], said["path"], said["query"]) == ("GET", ["echo", "a", "b"], ["x=1", "y"])
    assert (answer.status, answer.code, answer.packets[1].type) == (0, "2.05", "ACK")
    assert libcoap("get", aiocoap_server.url + "/size/100000").payload == pattern(100_000)
    assert libcoap("get", aiocoap_server.url + "/size/3000", "-b", 64, "-N").payload == TEXT
    assert aiocoap_server.ran == {"/echo/a/b": 1, "/size/100000": 1, "/size/3000": 1}


@pytest.mark.parametrize("method", ("put", "post"))
def test_libcoap_writes_at_aiocoap(method, aiocoap_server):
    answer = libcoap(method, aiocoap_server.url + "/upload", "-b", 64, payload=TEXT)
    assert json.loads(answer.payload) == {"length": 3000, "sha256": hashlib.sha256(TEXT).hexdigest()}
    assert len(answer.responses) == 47
    assert aiocoap_server.uploads == [TEXT]


def test_libcoap_waits_for_a_separate_response_of_aiocoap(aiocoap_server):
    answer = libcoap("get", aiocoap_server.url + "/slow?t=0.2")
    assert answer.payload == b"at last"
    assert [(packet.type, packet.code) for packet in answer.packets] == [
        ("CON", "GET"),
        ("ACK", "0.00"),
        ("CON", "2.05"),
        ("ACK", "0.00"),
    ]


def test_libcoap_observes_aiocoap(aiocoap_server):
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(libcoap, "get", aiocoap_server.url + "/counter", "-s", 2)
        aiocoap_server.wait_for_observers(1)
        aiocoap_server.notify(20)
        aiocoap_server.notify(20, confirmable=False)
        aiocoap_server.wait_for_observers(0)
    first, *notifications, last = answer.result().responses
    assert [first.payload, last.payload] == ["'0'", "'40'"]
    assert [(packet.type, packet.payload) for packet in notifications] == [
        ("CON" if number <= 20 else "NON", f"'{number}'") for number in range(1, 41)
    ]


def test_aiocoap_ends_an_observation_in_each_way(client, aiocoap_server):
    counter = aiocoap_server.url + "/counter"
    observation = client.observe(counter)
    client.request("POST", counter + "?n=20&interval=0.01")
    assert [int(each.payload) for each in observation.wait(21)] == list(range(21))
    observation.deregister()
    aiocoap_server.wait_for_observers(0)
    observation = client.observe(counter)
    observation.forget()
    aiocoap_server.notify(2)
    aiocoap_server.wait_for_observers(0)
    observation = client.observe(counter)
    aiocoap_server.end_observations()
    observation.wait_for_end()
    assert observation.responses[-1].code.dotted == "4.04"


def test_aiocoap_has_what_a_client_may_ask_for(client, aiocoap_server):
    def asked(method, path, payload=b"", **options):
        return client.request(method, aiocoap_server.url + path, payload, **options)

    known = asked("GET", "/etag").opt.etag
    assert asked("GET", "/etag", etags=[known]).code.dotted == "2.03"
    assert asked("GET", "/negotiate", accept=50).payload == b'{"temperature": 21.5}'
    assert asked("GET", "/negotiate", accept=60).code.dotted == "4.06"
    assert asked("PUT", "/store/a", b"hello", if_none_match=True).code.dotted == "2.01"
    assert asked("PUT", "/store/a", b"hello", if_none_match=True).code.dotted == "4.12"
    assert asked("PUT", "/store/a", b"hello", if_match=[b"no"]).code.dotted == "4.12"
    known = asked("GET", "/store/a").opt.etag
    assert asked("PUT", "/store/a", b"hello", if_match=[known]).code.dotted == "2.04"
    assert asked("FETCH", "/store/a", b"1:3").payload == b"el"
    assert asked("PATCH", "/store/a", b"!").code.dotted == "2.04"
    assert asked("iPATCH", "/store/a", b"!").code.dotted == "2.04"
    assert asked("GET", "/store/a").payload == b"hello!"
    assert asked("POST", "/store", b"x").opt.location_path == ("store", "2")
    assert asked("GET", "/broken").code.dotted == "5.00"
    assert asked("GET", "/.well-known/core?if=core.s").payload.count(b"</") == 2
    said = json.loads(asked("GET", "/echo", token=b"", confirmable=False, extra=[(65000, b"hi")]).payload)
    assert (said["type"], said["token"], said["options"]) == ("NON", "", [[65000, "6869"]])
    with pytest.raises(asyncio.TimeoutError):
        asked("GET", "/etag", no_response=2, timeout=0.1)


def test_datagrams_as_they_are(aiocoap_server):
    with Raw(aiocoap_server.port) as raw:
        get = "40 01 00 07 b4" + b"echo".hex()
        first = raw.ask(get)
        assert first[:4] == bytes.fromhex("60 45 00 07")
        assert raw.ask(get) == first
        raw.send("60 00 00 07")
        raw.silence()
    assert aiocoap_server.ran == {"/echo": 1}
    with Raw() as server, ThreadPoolExecutor() as pool:
        answer = pool.submit(libcoap, "get", server.url + "/x", "-U")
        request = server.receive()
        server.send(b"\x61\x45" + request[2:5] + b"\xffhello")
        assert answer.result().payload == b"hello"


def test_servers_have_ports_of_their_own_and_come_back_at_them(client):
    with AiocoapServer() as one, AiocoapServer() as other, LibcoapServer() as third:
        assert len({one.port, other.port, third.port}) == 3
        with pytest.raises(OSError), AiocoapServer(port=one.port):
            pass
    for kind, path in (AiocoapServer, "/echo"), (LibcoapServer, "/"):
        with kind(port=one.port) as server:
            assert client.request("GET", server.url + path).code.dotted == "2.05"
