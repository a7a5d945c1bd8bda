"""A CoAP server's rules without a socket, asked by thousands who never come back: what it keeps of them.

Each line printed: what they did, the heap that a few hundred and that thousands cost, how many datagrams went
out to one of them at most and to all together at once, whether somebody else is served meanwhile.
"""

import gc

from ben.coap.layer import Layer
from ben.coap.resources import Resources

FEW, MANY = 200, 1000


class Later:
    """What a handler leaves to await."""

    def send(self, _):
        pass

    def close(self):
        pass


def octets(text):
    return bytes([int(part, 16) for part in text.split()])


PATH = "B1 73"  # s, l, b, u
CROWDS = (
    ("requests", "40 01 %02x %02x B1 73"),
    ("requests without confirmation", "50 01 %02x %02x B1 73"),
    ("observers", "44 01 %02x %02x AA BB CC DD 60 51 73"),
    ("uploads", "40 03 %02x %02x B1 75 D1 03 0C FF" + 256 * " 61"),
    ("downloads", "40 01 %02x %02x B1 62 C1 04"),
    ("downloads by one", "40 01 %02x %02x B1 62 %02x %02x 81 04"),
    ("slow handlers", "44 01 %02x %02x AA BB CC DD B1 6C"),
    ("slow handlers without confirmation", "54 01 %02x %02x AA BB CC DD B1 6C"),
)


def heap():
    gc.collect()
    return gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0


class Crowd:
    def __init__(self, form):
        self.form = form
        self.layer = Layer()
        self.server = Resources(self.layer, limit=2048)
        self.running = []
        self.server.spawn = self.spawn
        self.server.add("s", get=lambda _: b"there", put=lambda _: None, obs=True)
        self.server.add("b", get=lambda _: big)
        self.server.add("u", put=lambda _: None)
        self.server.add("l", get=lambda _: Later())
        self.sent = {}
        self.most = 0

    def spawn(self, request, _):
        self.running.append(request)

    def come(self, first, last):
        """Each asks once; what their handlers do ends after a while."""
        for number in range(first, last):
            form = self.form
            ids = (number >> 8 & 255, number & 255)
            peer = "peer%03d" % number
            if form.count("%") == 4:
                form %= ids + (0x41, ids[1])  # another path each time, and one peer
                peer = "one"
            else:
                form %= ids
            self.layer.receive(octets(form), peer)
            self.count()
            self.layer.now += 20
            self.layer.tick()
            self.count()
            if number % 50 == 49:
                while self.running:
                    self.server.finish(self.running.pop(0), "late")
                self.server.notify("s")
                self.layer.tick()
                self.count()

    def count(self):
        self.most = max(self.most, len(self.layer.out))
        for _, peer in self.layer.out:
            if peer[-2:] == "00":  # for a table of all would break the heap into pieces
                self.sent[peer] = self.sent.get(peer, 0) + 1
        self.layer.out[:] = []

    def serves(self):
        self.layer.receive(octets("40 01 00 07 B1 73"), "new")
        answers = [datagram for datagram, peer in self.layer.out if peer == "new"]
        self.layer.out[:] = []
        return len(answers) == 1 and answers[0][-5:] == b"there"


def crowd_of(name, form):
    crowd = Crowd(form)
    crowd.serves()
    before = heap()
    crowd.come(0, FEW)
    crowd.sent = {}
    few = heap() - before
    crowd.come(FEW, MANY)
    served = crowd.serves()
    for _ in range(400):
        crowd.layer.now += 1000
        crowd.layer.tick()
        crowd.count()
    most = max([0] + list(crowd.sent.values()))
    crowd.sent = {}
    many = heap() - before
    print("%s;%d;%d;%d;%d;%s;%s" % (name, few, many, most, crowd.most, served, crowd.layer.tick()))


big = bytes(2000)
for name, form in CROWDS:
    crowd_of(name, form)
