"""A CoAP server's rules without a socket, fed with the datagrams of a file: arguments are the file and how many.

What is printed: heap at first, then after each part of the file, heap and counts; then heap when all is over.
"""

import gc
import sys

# Everything that is loaded when first used, so that what the heap has more of at last is not code.
for name in "resources layer features message query exchange handling bodies response observers block later conditions core".split():
    __import__("ben.coap." + name)
    gc.collect()
from ben.coap.layer import Layer  # noqa: E402
from ben.coap.message import decode  # noqa: E402
from ben.coap.resources import Resources  # noqa: E402
from ben.coap.response import Response  # noqa: E402

FILE, PART = open(sys.argv[1], "rb"), int(sys.argv[2])
PEERS = 5
HIS = 1  # of the flags: the id is that of the last CON that went to the peer
ASKED, MOST = 1, 4  # datagrams that follow from one: the answer, and what the observers are told


class Later:
    """What a handler leaves to await."""

    def send(self, _):
        pass

    def close(self):
        pass


big = bytes(range(250)) * 8
store = [b"0"]
layer = Layer()
server = Resources(layer)
running = []
sent = {}  # id of the last CON, by peer


def put(request):
    store[0] = bytes(request.payload[:64])
    server.notify("store")


def later(request):
    return Later()


def stream(request):
    return None if request.more else str(request.offset)


server.spawn = lambda request, _: running.append(request)
server.add("store", get=lambda _: store[0], put=put, obs=True, rt="store")
server.add("big", get=lambda _: big, fetch=lambda _: big)
server.add("down", get=lambda _: lambda at, size: bytes(max(0, min(size, 100000 - at))))
server.add("up", put=lambda request: str(len(request.payload)), post=lambda request: big)
server.add("stream", put=stream, stream=True)
server.add("slow", get=later, post=later)
server.add("tag", get=lambda _: Response(b"there", format=0), put=put, etag=lambda _: b"12", ct=0)
server.add("fail", get=lambda _: 1 // 0, obs=True)


def out(peer):
    """Takes what is to go out; how many datagrams and bytes."""
    count = size = 0
    for datagram, to in layer.out:
        message = decode(datagram)  # ValueError: it sends what is none itself
        if not message.type:
            sent[to] = message.id
        count += 1
        size += len(datagram)
    layer.out[:] = []
    return count, size


def is_message(datagram):
    try:
        return len(datagram) <= 1152 and decode(datagram)
    except ValueError:
        return None


def heap():
    gc.collect()
    return gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0


def serves():
    """Whether a peer who never asked gets what he asks for."""
    layer.receive(b"\x40\x01\x00\x01\xb3tag", "new")
    (answer,) = [datagram for datagram, peer in layer.out if peer == "new"]
    layer.out[:] = []
    return answer[:4] == b"\x60\x45\x00\x01" and answer[-5:] == b"there"


def one(flags, peer, ms, datagram):
    """Feeds it; the datagrams that went out at once, and in time."""
    if flags & HIS and peer in sent and len(datagram) > 3:
        datagram = datagram[:2] + sent[peer].to_bytes(2, "big") + datagram[4:]
    layer.now += ms
    layer.receive(datagram, peer)
    message = is_message(datagram)
    count, size = out(peer)
    if not message:
        if size > len(datagram):
            raise AssertionError("junk is worth more than it costs")
    elif count > ASKED + MOST or count > 2 and not 0 < message.code < 32:
        raise AssertionError("too many")
    if running and (len(running) > 3 or not ms & 7):
        server.finish(running.pop(0), "late" if ms & 1 else big)
    if not ms & 15:
        server.notify("store")
    layer.tick()
    return count, out(peer)[0]


def main():
    print(heap())
    head = bytearray(6)
    number = at_once = in_time = 0
    while FILE.readinto(head):
        datagram = FILE.read(head[4] << 8 | head[5])
        try:
            counts = one(head[0], head[1] % PEERS, head[2] << 8 | head[3], datagram)
        except BaseException:
            print("number", number, datagram)
            raise
        at_once += counts[0]
        in_time += counts[1]
        number += 1
        if not number % PART:
            while running:
                server.finish(running.pop(), "late")
            layer.out[:] = []
            datagram = None
            print(heap(), at_once, in_time, serves())
    for _ in range(300):
        layer.now += 1000
        server.notify("store")
        server.notify("fail")
        layer.tick()
        layer.out[:] = []
    serves()
    sent.clear()
    print(heap(), server.notify("store"), server.notify("fail"), layer.tick())


main()
