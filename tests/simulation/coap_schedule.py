"""Schedules of CoAP drawn from a seed: clients, a server or two, requests and observations, faults; then a clean path."""

import contextlib
import sys
from unittest import mock

from ben.coap import features, resources
from ben.coap.request import transfer

from . import network
from .coap_ends import DELETE, GET, PIECE, POST, PUT, STATES, Client, Server, Watch, body
from .coap_path import Path
from .coap_promises import Op, Promises
from .world import Broken, World

FAULTS = (*network.ON_THE_WAY, "forgery", "reboot", "restart", "cancellation")
LIKELY = {  # the probabilities that a schedule draws from, for each step at which the fault can happen
    "loss": (0, 0, 0.05, 0.2, 0.4),
    "duplication": (0, 0.05, 0.3),
    "reordering": (0, 0.2, 0.5),
    "holding": (0, 0, 0.03, 0.1),
    "corruption": (0, 0, 0, 0, 0, 0.05),
    "replay": (0, 0, 0.1, 0.3),
    "flood": (0,) * 19 + (0.1,),
    "rebinding": (0, 0, 0, 0.05),
    "forgery": (0, 0, 0.1, 0.4),
    "reboot": (0, 0, 0, 0.1),
    "restart": (0, 0, 0, 0.1),
    "cancellation": (0, 0, 0.1),
}
LENGTH = 25  # operations of a schedule before the last ones
THINKING = (0, 0.05, 0.5, 3, 30)  # s between two operations of a client
TIMING = ({}, {}, {"ack_timeout": 0.1}, {"ack_timeout": 0.5, "max_retransmit": 2}, {"timeout": 5})
PATIENT = {"ack_timeout": 1, "max_retransmit": 4}  # survives any three losses of a message, and of its answer
KINDS = """
    post post post put put put get get get echo echo echo slow slow slowpost stream stream big
    unknown wrong fails watch watch change change
""".split()
LAST_KINDS = ("post", "put", "get", "echo", "slow", "slowpost", "stream", "big")
SIZES = (PIECE, PIECE, 40, 100, 250)
BLOCKS = (None, None, None, None, None, 16, 32, 64, 128)
LONGEST = 1500  # s that all operations may take to end: each of their messages at most LIFETIME
SOON = 20  # s, after which who is told has read it
CALM = 120  # s, after which every state is known: a Max-Age, the patience after it, a registration
KEEPS = 400  # s for which a server may send notifications that nobody acknowledges, to four observers at one address
CHANGES = 9  # of a state, of which one at least is to be acknowledged


class Schedule:
    """One schedule; `only` names the faults that may happen in it."""

    def __init__(self, chance, seed, counts, only=FAULTS, length=LENGTH):
        chance.seed(seed)
        self.chance = chance
        self.world = World(chance, counts)
        self.faults = {fault: chance.choice(LIKELY[fault]) * (fault in only) for fault in FAULTS}
        self.promises = Promises(self.world, bool(self.faults["corruption"]))
        self._left = length
        self._number = 0
        self._running = {}  # what is to be stopped, by operation
        self._busy = set()  # (client, path) of bodies that go up: one at a time, as RFC 7959 has it
        self.watches = []
        self._replies = chance.choice((150, 2048))
        self._room = chance.choice((180, 180, 300, 1152))

    def play(self):
        """Plays it to the end; Broken."""
        with self._small(self._replies):
            self._cast()
            for client in self.clients:
                for _ in range(self.chance.choice((1, 1, 2, 3))):
                    self._later(client)
            while self._left or self._running:
                if not self.world.step():
                    raise Broken("an operation never ends")
        with self._small(2048):
            self._end()

    @contextlib.contextmanager
    def _small(self, replies):
        # Messages so small that bodies of some hundred bytes have several blocks, and replies that are forgotten.
        module = sys.modules[transfer.__module__]
        with mock.patch.multiple(module, LIMIT=self._room, _BLOCK=64 if self._room < 1000 else 1024):
            with mock.patch.object(features, "_REPLIES", replies), mock.patch.object(resources, "_LONG", 0):
                yield

    def _cast(self):
        chance = self.chance
        first = chance.randrange(1 << 16)
        self.paths, self.servers = [], []
        for i in range(chance.choice((1, 1, 2))):
            self.paths.append(Path(self.world, self.faults))
            options = {
                "size": chance.choice((16, 32, 64, 64, 64, 1024)),
                "limit": chance.choice((200, 4096, 4096)),
            }
            self.servers.append(Server(self.world, self.promises, f"server {i + 1}", self.paths[-1], options))
        self.clients = [
            # ids that meet those of others, so that a server has to look at more
            Client(self.world, self.promises, f"client {i + 1}", self.paths, first + chance.randrange(4))
            for i in range(chance.choice((1, 2, 2, 3)))
        ]

    # What they do

    def _later(self, client):
        delay = self.chance.choice(THINKING) * self.chance.random()
        self.world.at(delay, self._next, client)

    def _next(self, client):
        if not self._left:
            return
        self._left -= 1
        chance = self.chance
        if self._happens("reboot"):
            self.world.at(chance.uniform(0, 2), chance.choice(self.servers).crash, chance.choice((0, 0.3, 3)))
        if self._happens("restart"):
            self.world.at(chance.uniform(0, 2), self._restart, chance.choice(self.clients))
        leg = chance.choice(client.legs)
        kind = chance.choice(KINDS)
        if kind == "watch":
            self._watch(client, leg)
            self._later(client)
        elif kind == "change":
            for _ in range(chance.choice((1, 1, 2, 6))):
                self._change(leg.path.server)
            self._later(client)
        else:
            self._ask(client, leg, self._op(kind), lambda op: self._later(client))

    def _happens(self, fault):
        if self.chance.random() >= self.faults[fault]:
            return False
        self.world.count(fault)
        return True

    def _op(self, kind, timing=None):
        chance = self.chance
        self._number += 1
        number = self._number
        options = {"size": chance.choice(BLOCKS), "non": timing is None and chance.random() < 0.2}
        timing = chance.choice(TIMING) if timing is None else timing
        op = Op(number, kind, GET, kind, options=options, timing=timing)
        size = self.promises.sizes[number] = chance.choice(SIZES)
        if kind in ("post", "put", "stream"):
            op.method, op.payload = (POST if kind == "post" else PUT), body(number, size)
            op.path = {"post": "count", "put": chance.choice(STATES)}.get(kind, kind)
            op.size = {"post": chance.choice(SIZES), "put": 0}.get(kind, PIECE)
            options["query"] = {"r": op.size} if kind == "post" else None
        elif kind == "get":
            op.path = chance.choice(STATES)
        elif kind in ("echo", "slow", "slowpost"):
            op.size = size
            op.method = POST if kind == "slowpost" or kind == "echo" and chance.random() < 0.3 else GET
            op.path = kind[:4]
            options["query"] = {"n": number, "s": size, "t": chance.choice((50, 400, 3000))}
        elif kind == "wrong":
            op.method, op.path = DELETE, "count"
        if chance.random() < 0.05 and self._left:
            op.limit = 70
        return op

    def _ask(self, client, leg, op, then):
        busy = client.name, leg.peer, op.path
        if op.payload and busy in self._busy:
            then(op)
            return
        if op.payload:
            self._busy.add(busy)
        life = client.life

        def ended(reply, error):
            self._ended(op, busy)
            self.promises.tells(op, reply, error)
            if client.life == life:
                then(op)

        self.promises.begins(op, client, leg)
        self._running[op.number] = op, client, busy, then
        run = op.run = client.ask(leg, op, ended)
        if self._happens("cancellation"):
            self.world.at(self.chance.uniform(0, 1), self._give_up, op, run)

    def _ended(self, op, busy):
        self._running.pop(op.number, None)
        if op.payload:
            self._busy.discard(busy)

    def _give_up(self, op, run):
        if op.number in self._running and op.run is run:
            _, client, busy, then = self._running[op.number]
            self.world.note("{} gives up operation {}", client.name, op.number)
            run.give_up()
            self._ended(op, busy)
            then(op)

    def _restart(self, client):
        ended = [each for each in self._running.values() if each[1] is client]
        client.restart()
        for watch in self.watches:
            if watch.client is client:
                watch.living = False
        for op, _, busy, then in ended:
            self._ended(op, busy)
            then(op)

    def _change(self, server, state=None):
        if server.up:
            self._number += 1
            self.promises.sizes[self._number] = self.chance.choice(SIZES)
            state = state or self.chance.choice(STATES)
            self.world.note("{} of {} becomes {}", state, server.name, self._number)
            server.change(state, self._number)

    # Observations

    def _watch(self, client, leg):
        mine = [each for each in self.watches if each.living and each.client is client]
        if len(mine) > 1:
            self._end_watch(self.chance.choice(mine))
            return
        watch = Watch(
            client,
            leg,
            self.chance.choice(STATES),
            65536,
            self.chance.choice(TIMING[:4]),
            {"size": self.chance.choice(BLOCKS), "non": self.chance.random() < 0.1},
        )
        self.watches.append(watch)
        self.promises.watches(watch)
        self._listen(watch)

    def _listen(self, watch):
        life = watch.client.life
        if not watch.living:
            return

        def told(reply, error):
            if not watch.living or watch.client.life != life:
                return
            self.promises.notified(watch, reply, error)
            gone = watch.observation.error and watch.observation._number is None
            if gone or reply is None and not error:
                watch.living = False
                self.world.at(self.chance.uniform(0, 5), self._again, watch, life)
            else:
                self.world.at(self.chance.choice((0, 0, 0, 0.5, 5)), self._listen, watch)

        watch.next(told)

    def _again(self, watch, life):
        # who cannot observe begins anew
        if self._left and watch.client.life == life:
            self._watch(watch.client, watch.leg)

    def _end_watch(self, watch):
        if self.chance.random() < 0.5:
            self.world.note("{} forgets {}", watch.client.name, watch.path)
            watch.forget()
        else:
            self.world.note("{} cancels {}", watch.client.name, watch.path)
            watch.cancel(lambda exchange: self.promises.cancelled(watch, exchange))

    # The end: on a clean path everything works, and everybody knows the last state

    def _end(self):
        self.faults.update(dict.fromkeys(FAULTS, 0))
        self._wait(5)  # longer than a server is ever away
        for path in self.paths:
            path.release()
        self._wait(5)
        self._change_all()
        self._wait(SOON)
        for watch in self.watches:
            self.promises.check_told(watch)
        self._wait(CALM)
        for watch in self.watches:
            self.promises.check_last_state(watch)
        for client in self.clients:
            for leg in self.chance.sample(client.legs, 1):
                self._last(client, leg, self.chance.choice(LAST_KINDS), self.chance.choice((0, 0, 1, 2, 3)))
        self._end_of_watches()
        self._quiet()

    def _wait(self, seconds):
        self.world.run(self.world.now + seconds)

    def _change_all(self):
        for server in self.servers:
            for state in STATES * 2:
                self._change(server, state)

    def _last(self, client, leg, kind, losses):
        # The answer to a message comes although its first copies are lost, or the answers to them.
        op = self._op(kind, PATIENT)
        if len(op.payload) > leg.path.server.resources.limit:
            op.payload = op.payload[:PIECE]
            self.promises.sizes[op.number] = PIECE
        told = []
        self._ask(client, leg, op, told.append)
        self._wait(self.chance.choice((0.0005, leg.path.delay + 0.0005)))
        leg.path.losing = losses
        until = self.world.now + LONGEST
        while not told and self.world.now < until:
            self.world.step()
        leg.path.losing = 0
        if not told:
            raise Broken(f"operation {op.number}, one of the last, never ends")
        if op.told == "4.08":  # by those who observe: as it may be, or it would not have been told
            self.world.count("a last body gave way")
        elif op.told[0] != "2":
            raise Broken(f"operation {op.number}, one of the last, on a clean path: {op.told}")

    def _end_of_watches(self):
        for client in self.clients:
            if self.chance.random() < 0.2:
                self._restart(client)
        for watch in self.watches:
            if watch.living and self.chance.random() < 0.7:
                self._end_watch(watch)
        self._wait(KEEPS)
        for _ in range(CHANGES):
            for server in self.servers:
                for state in STATES:
                    server.change(state, 0)
            self._wait(5)
        self._wait(KEEPS)
        for server in self.servers:
            self.promises.check_observers(server, self.watches)

    def _quiet(self):
        for watch in self.watches:
            if watch.living:
                watch.forget()
        self.world.run()
        for node in (*self.clients, *self.servers):
            self.promises.check_quiet(node)
