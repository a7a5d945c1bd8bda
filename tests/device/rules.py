# What the rules do where a server has faults, or time is up: on every runtime, with answers made here.
# Prints a line for each; the same cases, and more, are in test_exchange.py on CPython.
from ben import crypto, keys, wire
from ben.exchange import Exchange
from ben.message import BenError, send

TOKEN = b"1234567"

with open("key.sec", "wb") as f:
    f.write(bytes(range(32)))
C2S, S2C = keys.directions(keys.derive(crypto.hmac(b"ben/2", bytes(range(32))), b"\0\0\0\1"))


class Play:
    # A send() whose every answer is told; ends with what it returned or raised.
    def __init__(self, exchange=None, data=1):
        self.exchange = exchange or Exchange(device=1, channel=0)
        self.now = 0
        self.end = None
        self.steps = send(self.exchange, {"action": "x", "data": data}, False)
        self.out, self.wait = next(self.steps)

    def give(self, datagram, after=1):
        self.now += after
        try:
            self.out, self.wait = self.steps.send((self.now, datagram))
        except StopIteration as end:
            self.end = end.value
        except BenError as error:
            self.end = error.status, error.text
        except OSError as error:
            self.end = error.args[-1]
        return self

    def answer(self, kind, plain):
        return S2C.seal(wire.reply_head(kind, self.exchange.seq), bytes(self.out[-16:]), plain)

    def challenge(self, age=65535):
        return self.answer(wire.CHALLENGE, b"\x80" + TOKEN + age.to_bytes(2, "big"))

    def reply(self, plain=b"\0\3ok"):
        return self.answer(wire.REPLY, plain)


def warm(data=1):
    play = Play()
    play.give(play.challenge())
    play.give(play.reply())
    return Play(play.exchange, data)


def badly_padded(key, head, extra):
    sealed = key.seal(head, extra, bytes(15))
    iv, body = bytes(sealed[len(head) : len(head) + 16]), bytearray(16)  # its last byte, the padding, is 0
    crypto.aes(key.key, 2, iv).encrypt(body, body)
    sealed[len(head) + 16 : -16] = body
    sealed[-16:] = key.tag(head, extra, sealed[len(head) : -16])
    return sealed


def padding():
    play = warm()
    head = wire.reply_head(wire.REPLY, play.exchange.seq)
    bad = badly_padded(S2C, head, bytes(play.out[-16:]))
    opened = S2C.open(bad, 4, bytes(play.out[-16:]))
    play.give(bad)  # it goes on waiting
    print("padding:", bytes(opened), play.end, play.exchange.busy)


def pauses():
    play = Play()
    sent = 0
    for _ in range(4):
        play.give(play.challenge())
        sent += play.out is not None
        while play.out is None:  # a pause
            play.give(None, play.wait)
    print("pause:", sent, play.give(play.reply()).end)


def too_late():
    play = warm()
    print("late:", play.give(play.challenge(), 10001).end)


def out_of_order():
    play = warm(bytes(2000))
    first = bytes(play.out)
    play.give(play.reply(b"\6\0"))
    print("order:", len(play.out) == len(first), play.out[15] == first[15] + 1, play.end)


def rest_is_gone():
    for plain in (b"\5\3gone", b"\x20\2", b"\x20\3text"):
        play = warm()
        play.give(play.reply(b"\x20\2" + bytes(1024)))
        print("rest:", play.give(play.reply(plain)).end)
    play = warm()
    play.give(play.reply(b"\x20\2" + bytes(1024)))
    while not play.end:
        play.give(None, play.wait)
    print("rest:", play.end, play.exchange.session == b"\x80" + bytes(9))


def unreadable():
    for plain in (b"\0\1nonsense", b"\0\4what", b"\0\3\xff"):
        play = warm()
        print("unreadable:", play.give(play.reply(plain)).end)


def one_at_a_time():
    play = Play()
    try:
        Play(play.exchange)
    except RuntimeError as error:
        print("busy:", error, play.exchange.session == b"\x80" + bytes(9))


def wide():
    data = memoryview(b"bytes in a view")
    print("view:", wire.encode(data) == (2, b"bytes in a view"))


padding()
pauses()
too_late()
out_of_order()
rest_is_gone()
unreadable()
one_at_a_time()
wide()
