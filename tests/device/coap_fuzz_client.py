"""A CoAP client's rules without a socket, fed with the datagrams of a file: arguments are the file and how many.

Each peer is asked in another way, and answers as a server should now and then, and otherwise what the file
says. What is printed: heap at first, then after each part of the file, heap and how many replies and errors came.
"""

import gc
import sys

for name in ("layer", "message", "block", "request", "observation", "multicast"):
    __import__("ben.coap." + name)
    gc.collect()
from ben.coap.exchange import Exchange, unknown  # noqa: E402
from ben.coap.layer import Layer  # noqa: E402
from ben.coap.message import Message, decode  # noqa: E402
from ben.coap.multicast import Poll  # noqa: E402
from ben.coap.observation import Observation  # noqa: E402
from ben.coap.request import request, transfer  # noqa: E402

FILE, PART = open(sys.argv[1], "rb"), int(sys.argv[2])
TOKEN, ID, HONEST = 1, 2, 4  # flags: of the request that waits, and an answer as it should be
ACK, CON = 2, 0

layer = Layer()
totals = [0, 0]  # replies, errors


def url(peer):
    return request(2 if peer == 3 else 1, "coap://10.0.0.%d/x" % peer, non=peer == 1)[0]


class Asking:
    """The requests to a peer, one after the other."""

    steps = exchange = None

    def __init__(self, peer):
        self.peer = peer

    def begin(self):
        peer = self.peer
        self.end()
        if peer == 4:
            self.exchange = Observation(url(peer), peer)
        elif peer == 5:
            self.exchange = Poll(request(1, "coap://10.0.0.5/x", non=True, timeout=9)[0], peer, timeout=9)
        else:
            self.steps = transfer(url(peer), 3000 * b"a" if peer == 3 else b"", None, 4096)
            self.exchange = Exchange(next(self.steps), peer)
        layer.start(self.exchange)

    def end(self):
        if self.steps:
            self.steps.close()
        if self.exchange:
            layer.stop(self.exchange)
        self.steps = self.exchange = None

    def look(self):
        """What has come is right, and is followed by what it should be."""
        exchange = self.exchange
        if exchange.error or self.peer == 4 and exchange.over:
            totals[1] += 1
            if exchange.error and self.peer == 4 and exchange._number is not None:
                exchange.renew()
                layer.start(exchange)
            else:
                self.begin()
        elif self.peer == 4:
            for reply in exchange.news:
                right(reply, exchange.message)
            exchange.news = []
        elif self.peer == 5:
            pass
        elif exchange.reply:
            right(exchange.reply, exchange.message)
            try:
                self.exchange = Exchange(self.steps.send(exchange.reply), self.peer)
                layer.start(self.exchange)
            except (StopIteration, OSError):
                self.begin()

    def answer(self, number):
        """What a server should say now."""
        asked = self.exchange.message
        reply = Message(0x45, b"", ACK, asked.id, asked.token)
        if asked.type or number & 1:
            reply.type = number & 1
            reply.id = number & 0xFFFF
        if self.peer == 2:
            block = asked.uint(23) or 0
            more = (block >> 4) < 30
            reply.add(23, (block & ~15) | more << 3 | 2)
            reply.payload = bytes(64 if more else 5)
        elif self.peer == 3 and asked.uint(27) is not None:
            reply.code = 0x5F if asked.uint(27) & 8 else 0x44
            reply.add(27, asked.uint(27))
        elif self.peer == 4:
            reply.add(6, number & 0xFFFFFF)
        return reply.encode()


def right(reply, asked):
    totals[0] += 1
    if reply.token != asked.token or unknown(reply) or reply.code >> 5 not in (2, 4, 5):
        raise AssertionError("no reply")
    if reply.type == ACK and (reply.id != asked.id or asked.type != CON) or reply.type > ACK:
        raise AssertionError("no reply")


def one(flags, peer, ms, datagram, number):
    asking = all[peer]
    asked = asking.exchange.message
    sender = peer
    if flags & HONEST:
        datagram = asking.answer(number)
    elif len(datagram) > 3:
        if flags & ID:
            datagram = datagram[:2] + asked.id.to_bytes(2, "big") + datagram[4:]
        if flags & TOKEN:
            size = len(asked.token)
            own = min(datagram[0] & 15, 8)
            datagram = bytes((datagram[0] & 0xF0 | size,)) + datagram[1:4] + asked.token + datagram[4 + own :]
    layer.now += ms
    layer.receive(datagram, sender)
    if len(layer.out) > 1 or layer.out and len(layer.out[0][0]) != 4:
        raise AssertionError("it says too much")
    layer.out[:] = []
    for other in all:
        if other is not asking and other.peer < 4 and other.exchange.reply:
            raise AssertionError("an answer of somebody else")
    asking.look()
    layer.tick()
    for datagram, _ in layer.out:
        decode(datagram)
    layer.out[:] = []
    for other in all:
        if other.exchange.error:
            other.look()


def heap():
    gc.collect()
    return gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0


all = [Asking(peer) for peer in range(6)]


def restart():
    for asking in all:
        asking.end()
    print(heap(), *totals)
    for asking in all:
        asking.begin()
    layer.tick()
    layer.out[:] = []


def main():
    restart()
    head = bytearray(6)
    number = 0
    while FILE.readinto(head):
        datagram = FILE.read(head[4] << 8 | head[5])
        try:
            one(head[0], head[1] % len(all), head[2] << 8 | head[3], datagram, number)
        except BaseException:
            print("number", number, datagram)
            raise
        number += 1
        if not number % PART:
            datagram = None
            restart()


main()
