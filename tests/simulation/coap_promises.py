"""What CoAP's ends promise, judged from outside: from the datagrams, what handlers ran for, and what callers are told."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from errno import ECONNRESET, EIO, ENOMEM, ETIMEDOUT
from functools import lru_cache
from typing import Any

from ben.coap import handling
from ben.coap.handling import Request
from ben.coap.message import decode
from ben.coap.observation import Observation

from .coap_ends import BIG, PIECE, body, number_of
from .coap_path import ACK, BLOCK1, BLOCK2, CON, MAX_AGE, NON, OBSERVE, PATH, QUERY, RST
from .world import Broken

# What the rules have as limits, said once more
REMEMBERED = handling._SEEN  # requests, whose copies run nothing
LIFETIME = 247  # s
OBSERVERS = 4
BODIES = 2
CONFIRMED = 8  # responses
NEWS = 4
ANSWERED = 0.26  # s after which a request is at least acknowledged
FRESH = 60  # s that a notification without Max-Age is good for
FORGETS = 128  # s after which a notification is a newer one whatever its number
LARGE = 65536  # bytes
SLACK = 0.003  # s: clocks have whole milliseconds, and so have the rules

CREATED, CHANGED, CONTENT = 0x41, 0x44, 0x45
BAD, GONE, NOT_FOUND, NOT_ALLOWED, INCOMPLETE, TOO_LARGE, FAILED = 0x80, 0x84, 0x84, 0x85, 0x88, 0x8D, 0xA0
BUSY = 0xA3
STATUS = {"unknown": NOT_FOUND, "wrong": NOT_ALLOWED, "fails": FAILED}


@dataclass
class Op:
    """A request of a client's program."""

    number: int
    kind: str
    method: int
    path: str
    payload: Any = b""
    size: int = 0  # of the body that comes back
    limit: int = LARGE
    options: dict = field(default_factory=dict)
    timing: dict = field(default_factory=dict)
    told: str = ""

    def __str__(self):
        timing = "".join(f", {name} {value}" for name, value in self.timing.items())
        options = "".join(f", {name} {value}" for name, value in self.options.items() if value)
        return f"{self.number}: {self.kind} {self.path}, {len(self.payload)} bytes{options}{timing}"


@dataclass
class Copies:
    """Of one message, as they left."""

    datagram: bytes
    first: float
    last: float
    least: float  # s to the next
    most: float
    left: int


class Words:
    """A message in words, should somebody read them."""

    def __init__(self, message):
        self.message = message

    def __str__(self):
        message = self.message
        kind = ("CON", "NON", "ACK", "RST")[message.type]
        options = " ".join(f"{number}:{_text(value)}" for number, value in message.options)
        return (
            f"{kind} {message.status} id {message.id} token {message.token.hex()} {options} "
            f"{bytes(message.payload[:20])}"
        )


def _text(value):
    return value.decode() if value.isascii() and value.decode().isprintable() else value.hex()


class Promises:
    """Raises Broken as soon as one does not hold; `lax` where bits flip on the way, of which CoAP knows nothing."""

    def __init__(self, world, lax):
        self.world = world
        self.lax = lax
        self.sizes = {0: 100}  # of the body of each operation
        self._copies = {}
        self._timing = {}
        self._started = {}
        self._stopped = set()
        self._resets = set()  # (client, life, peer, id) of what came
        self._confirmed = defaultdict(list)
        self._sent = []  # (message, peer) since the last datagram came somewhere
        self._arrived = {}
        self._answers = {}
        self._runs = {}
        self._ran = defaultdict(set)
        self._streamed = {}
        self._taking = None  # the request that is being taken, whose response is no notification
        self._cut = {}
        self._heard = {}  # when, and for how many seconds it is good, by exchange
        self._acknowledged = set()  # (server, life, peer, id)
        self._told = {}  # the notification that an observer was sent last
        self._asked = {}  # what requests are for, by server, peer and token
        self._begun = defaultdict(
            list
        )  # (adds, place) of new requests: what was still coming there gives way
        self._bodies = defaultdict(
            list
        )  # (adds, what) of those that had to do with several blocks, by server

    # Datagrams

    def leaves(self, node, datagram, peer):
        """A node sends."""
        message = _decoded(bytes(datagram))
        self.world.name(datagram, "a" if hasattr(node, "resources") else "q")
        self.world.note("{} sends {} to {}: {}", node.name, datagram, peer, Words(message))
        self._sent.append((message, peer))
        key = node.name, node.life, peer, message.id
        if key in self._stopped and message.type < ACK:
            raise Broken(f"{node.name} sends what nobody waits for any more")
        if message.type < ACK and (message.code < 32 or message.type == CON):
            self._check_copy(key, datagram, message)
        if hasattr(node, "resources"):
            if message.type >= ACK:
                self._check_answer(key, datagram)
            if message.get(OBSERVE) is not None:
                notification = self._taking != (peer, message.token)
                self._told[node.name, node.life, peer, message.token] = message.id if notification else None
            if message.get(BLOCK2) is not None:
                what = self._asked.get((node.name, peer, message.token))
                self._bodies[node.name].append((node.adds, what))

    def _check_copy(self, key, datagram, message):
        now = self.world.now
        if key not in self._copies:
            timing = self._timing.get(key, {})
            wait = timing.get("ack_timeout", 2)
            most = wait * timing.get("ack_random_factor", 1.5)
            left = timing.get("max_retransmit", 4) if message.type == CON else 0
            self._copies[key] = Copies(datagram, now, now, wait, most, left)
            return
        self.world.count("copies")
        copies = self._copies[key]
        if datagram != copies.datagram:
            raise Broken(f"{key[0]}: two messages with one id")
        if not copies.left:
            raise Broken(f"{key[0]} sends one copy too many")
        cut = self._cut.get(key[:3]) == now  # an answer, for which this one is sent
        if not cut and not copies.least - SLACK <= now - copies.last <= copies.most + SLACK:
            raise Broken(f"{key[0]} sends a copy after {now - copies.last:.3f} s")
        copies.last, copies.least, copies.most = now, copies.least * 2, copies.most * 2
        copies.left -= 1

    def _check_answer(self, key, datagram):
        before = self._answers.setdefault(key, datagram)
        if before != datagram and not self.lax:
            arrived = self._arrived.get(key)
            if arrived and not arrived[3] and arrived[2] not in (1, 5):
                raise Broken(f"{key[0]} answers a copy otherwise than it did the first")
        if before == datagram:
            self.world.count("answers")

    def cuts(self, node, peer):
        """A datagram was too long for the place that its receiver had."""
        self._cut[node.name, node.life, peer] = self.world.now
        self.world.count("cut on its way in")

    def reaches_client(self, client, datagram, peer, forged):
        """A datagram is about to be taken; what is to be called afterwards."""
        self._sent.clear()
        try:
            message = _decoded(bytes(datagram))
        except ValueError:
            return lambda: None
        if not message.code and message.type == RST:
            self._resets.add((client.name, client.life, peer, message.id))
        before = [
            (each, self._state(client, each), _concerns(message, peer, each))
            for each in client.layer.exchanges
        ]
        asked = [each for each, _, concerned in before if concerned and each.due is not None]

        def judge():
            for exchange, state, concerned in before:
                changed = self._state(client, exchange) != state
                if changed and exchange.error != ETIMEDOUT and not concerned:
                    raise Broken(f"{client.name} took what did not answer it")
                if changed and message.code:
                    self._heard[exchange] = self.world.now, message.uint(MAX_AGE)
            if not message.code and message.type == RST:
                # an observation may be under way again
                if any(each.error is None and not isinstance(each, Observation) for each in asked):
                    raise Broken(f"{client.name} ignored a reset")
            self._check_unwanted(client, message, peer, asked)
            if message.code >= 64 and message.type == CON:
                self._check_confirmed(client, message, peer, bool(asked))

        return judge

    def _check_unwanted(self, client, message, peer, asked):
        if message.type == NON and message.code >> 5 == 2 and message.get(OBSERVE) is not None and not asked:
            if not any((sent.type, sent.id, to) == (RST, message.id, peer) for sent, to in self._sent):
                raise Broken(f"{client.name} did not reset a notification that nobody waits for")

    def _check_confirmed(self, client, message, peer, taken):
        confirmed = self._confirmed[client.name, client.life]
        answers = [sent.type for sent, to in self._sent if to == peer and sent.id == message.id]
        this = peer, message.id, bytes(message.token)
        again = this in confirmed
        if answers[:1] not in ([ACK], [RST]):
            raise Broken(f"{client.name} left a confirmable response without an answer")
        if (again or taken and not self.lax) and answers[0] != ACK:
            raise Broken(f"{client.name} did not acknowledge {'a copy of ' * again}its response")
        if answers[0] == ACK and not again:
            self._confirmed[client.name, client.life] = [*confirmed, this][-CONFIRMED:]
        if again:
            self.world.count("a response came again")

    def _state(self, client, exchange):
        if isinstance(exchange, Observation):
            got = exchange.over, len(exchange.news), exchange._number
        else:
            got = exchange.reply is not None
        return exchange.acknowledged, exchange.error, got, exchange in client.layer.exchanges

    def reaches_server(self, server, datagram, peer, forged):
        """A datagram is about to be taken; what is to be called afterwards."""
        try:
            message = _decoded(bytes(datagram))
        except ValueError:
            return lambda: None
        if 0 < message.code < 32 and message.type < ACK:
            return self._request_comes(server, message, peer, forged)
        if peer > 0:
            if message.type == RST and not message.code:
                return lambda: self._check_struck_out(server, message, peer)
            if message.type == ACK:
                self._acknowledged.add((server.name, server.life, peer, message.id))
            return lambda: None
        before = list(server.layer.exchanges), _observers(server)

        def judge():
            if any(each.error is None and each not in server.layer.exchanges for each in before[0]):
                raise Broken(f"{server.name} took a stranger's word")
            if any(each not in _observers(server) for each in before[1]):
                raise Broken(f"{server.name} struck out an observer on a stranger's word")

        return judge

    def _request_comes(self, server, message, peer, forged):
        key = server.name, server.life, peer, message.id
        adds, since, _, _ = self._arrived.get(key, (0, 0, 0, 0))
        known = key in self._arrived
        forgotten = known and (server.adds - adds >= REMEMBERED or self.world.now - since > LIFETIME)
        self.world.count("a request came again" if known else "a request came")
        if forgotten:
            self.world.count("a request came again that was forgotten")
        what = peer, message.code, *[option for option in message.options if option[0] in (PATH, QUERY)]
        self._asked[server.name, peer, message.token] = what
        self._taking = peer, message.token
        if message.get(BLOCK1) is not None:
            self._bodies[server.name].append((server.adds, what))

        if not known or forgotten:
            if not (message.uint(BLOCK1) or message.uint(BLOCK2) or 0) >> 4:
                self._begun[server.name].append((server.adds, _place(peer, message)))
            self._arrived[key] = server.adds + 1, self.world.now, message.code, forgotten
            if message.type == CON and not forged:
                self.world.at(ANSWERED, self._check_acknowledged, server, key)
        return self._taken

    def _taken(self):
        self._taking = None

    def _check_acknowledged(self, server, key):
        if server.life == key[1] and key not in self._answers:
            raise Broken(f"{server.name} does not acknowledge a request")

    def _check_struck_out(self, server, message, peer):
        for observer in _observers(server):
            key = server.name, server.life, peer, observer.message.token
            if (*key[:3], message.id) in self._acknowledged:  # too late
                continue
            if observer.peer == peer and self._told.get(key) == message.id and observer.told:
                raise Broken(f"{server.name} keeps an observer that wants no more")

    # What handlers ran for

    def ran(self, server, request, number, data):
        """The handler of a request that changes something ran, with a body."""
        self._once(server, request)
        if request.message.get(BLOCK1) is not None and len(data) > server.resources.limit:
            raise Broken(f"{server.name} took {len(data)} bytes, beyond its limit")
        if not self.lax and bytes(data) != body(number, self.sizes[number]):
            raise Broken(f"operation {number}: its handler got something else: {bytes(data)[:200]}")
        for life, peer, id in self._ran[number]:
            if (life, peer) == ((server.name, server.life), request.peer) and id != request.message.id:
                if peer > 0 and not self.lax:
                    raise Broken(f"operation {number} ran for two messages")
        self._ran[number].add(((server.name, server.life), request.peer, request.message.id))

    def _once(self, server, request):
        key = server.name, server.life, request.peer, request.message.id
        if key in self._runs:
            adds, since = self._runs[key]
            if server.adds - 1 - adds < REMEMBERED and self.world.now - since <= LIFETIME:
                raise Broken(f"{server.name} ran a handler twice for one message")
            self.world.count("a handler ran again after others as it may")
        self._runs[key] = server.adds, self.world.now

    def asked(self, server, request, number):
        """A handler ran that says what it was asked."""
        if request.method == 2:
            self._once(server, request)
        self._ran[number].add(((server.name, server.life), request.peer, request.message.id))

    def streams(self, server, request):
        """A handler got a piece of a body."""
        self._once(server, request)
        data, at = bytes(request.payload), request.offset
        key = server.name, server.life, request.peer
        number, there = (number_of(data), 0) if not at else self._streamed.get(key, (None, 0))
        if self.lax or number not in self.sizes:  # a stranger's
            return b""
        if at != there:
            raise Broken(f"operation {number}: a piece at {at} and not at {there}")
        if data != body(number, self.sizes[number])[at : at + len(data)]:
            raise Broken(f"operation {number}: a wrong piece at {at}: {data}")
        self._streamed[key] = number, at + len(data)
        if request.more:
            return None
        if at + len(data) != self.sizes[number]:
            raise Broken(f"operation {number} ended at {at + len(data)}")
        self._ran[number].add(((server.name, server.life), request.peer, request.message.id))
        return body(number, PIECE)

    # Exchanges

    def starts(self, client, exchange, timing):
        """A client begins one."""
        key = client.name, client.life, exchange.peer, exchange.message.id
        self._timing[key] = timing
        self._started[key] = self.world.now

    def stops(self, client, exchange):
        """Nobody waits for it any more."""
        self._stopped.add((client.name, client.life, exchange.peer, exchange.message.id))

    def ends(self, client, exchange):
        """One has ended: with a reply or an error, in time."""
        message = exchange.message
        key = client.name, client.life, exchange.peer, message.id
        lasted = self.world.now - self._started[key]
        if key not in self._copies:
            if exchange.error != ETIMEDOUT or lasted < self._patience(key) - SLACK:
                raise Broken(f"{client.name}: a request has ended that was never sent")
            self.world.count("never sent")
        if lasted > self._patience(key) + SLACK:
            raise Broken(f"{client.name}: a request lasted {lasted:.3f} s")
        reply = exchange.reply
        if reply:
            if reply.type == ACK and reply.id != message.id:
                raise Broken(f"{client.name}: an acknowledgement of another message was taken")
            if reply.token != message.token:
                raise Broken(f"{client.name}: a response with another token was taken")
            self.world.count("separate response" if reply.type == CON else "response")
        elif exchange.error == ECONNRESET and key not in self._resets:
            raise Broken(f"{client.name}: a request was reset by nobody")
        elif exchange.error == ETIMEDOUT:
            self._check_patience(client, exchange)

    def _patience(self, key):
        return self._timing[key].get("timeout", LIFETIME)

    def _check_patience(self, client, exchange):
        message = exchange.message
        key = client.name, client.life, exchange.peer, message.id
        copies = self._copies.get(key)
        if self.world.now - self._started[key] > self._patience(key) - SLACK:
            return
        if not copies:
            raise Broken(f"{client.name} gave up what it never sent")
        if message.type != CON or exchange.acknowledged:
            lasted = self.world.now - copies.first
            if message.type == CON or lasted < 10 - SLACK:
                raise Broken(f"{client.name} gave up after {lasted:.3f} s")
        elif copies.left or self.world.now - copies.last < copies.least - SLACK:
            raise Broken(f"{client.name} gave up with {copies.left} copies left")

    # What callers are told

    def begins(self, op, client, leg):
        """A client's program begins an operation."""
        self.world.note("{} begins {} at {}", client.name, op, leg.peer)
        self.world.count("operations")
        server = leg.path.server
        op.began = server.life, server.adds, leg.address
        op.position = len(server.history.get(op.path, [0])) - 1
        op.leg = leg

    def tells(self, op, reply, error):
        """It is told how it ended."""
        op.told = f"error {error.args[0]}" if error else f"{reply.status}"
        self.world.note("{} is told of operation {}: {}", op.leg.name, op.number, op.told)
        self.world.count(f"told {op.told}")
        if self.lax:
            return
        if error:
            self._check_error(op, error.args[0])
        elif reply.code >> 5 == 2:
            self._check_content(op, reply)
        elif STATUS.get(op.kind) != reply.code and not self._excused(op, reply.code):
            raise Broken(f"operation {op.number} is told {reply.status}: {bytes(reply.payload)}")

    def _check_error(self, op, error):
        if error == ENOMEM and op.limit < LARGE:
            return
        if error == EIO and self._changed(op):
            return
        if error not in (ETIMEDOUT, ECONNRESET):
            raise Broken(f"operation {op.number} is told error {error}")

    def _excused(self, op, code):
        if code == TOO_LARGE:
            return op.method in (2, 3) and len(op.payload) > op.leg.path.server.resources.limit
        if code == BAD:
            return op.kind == "get" and self._changed(op)
        if code == BUSY:
            return op.kind in ("slow", "slowpost")
        if code != INCOMPLETE:
            return False
        server = op.leg.path.server
        life, adds, address = op.began
        bodies = {what for at, what in self._bodies[server.name] if at >= adds}
        return (
            server.life != life
            or server.adds - adds >= REMEMBERED
            or op.leg.address != address
            or len(bodies) > BODIES  # with its own
            or max(Counter(place for at, place in self._begun[server.name] if at >= adds).values(), default=0)
            > 1
        )

    def _changed(self, op):
        return len(op.leg.path.server.history.get(op.path, [0])) - 1 > op.position

    def _check_content(self, op, reply):
        data = bytes(reply.payload)
        if op.kind in STATUS:
            raise Broken(f"operation {op.number} is told {reply.status}")
        if op.kind == "get":
            history = op.leg.path.server.history[op.path][op.position :]
            number = number_of(data)
            if number not in history:
                raise Broken(f"operation {op.number} got {data}, not one of the states {history}")
            expected = body(number, self.sizes[number])
        elif op.kind == "big":
            expected = body(0, BIG)
        else:
            expected = body(op.number, op.size)
            if op.number not in self._ran:
                raise Broken(f"operation {op.number} is told {reply.status}, but no handler ran")
        if reply.code != (CONTENT if op.method == 1 else CHANGED):
            raise Broken(f"operation {op.number} is told {reply.status}")
        if len(data) > op.limit and (reply.uint(BLOCK2) or 0) > 15:
            raise Broken(f"operation {op.number} got {len(data)} bytes in blocks, beyond its limit")
        if data != expected:
            raise Broken(f"operation {op.number} got {data}, not {expected}")

    # Observations

    def watches(self, watch):
        """A client begins to observe."""
        self.world.note("{} observes {} at {}", watch.client.name, watch.path, watch.leg.peer)
        self.world.count("observations")
        watch.position = len(watch.leg.path.server.history[watch.path]) - 1
        watch.last = None
        watch.life = watch.leg.path.server.life
        watch.since = self.world.now

    def renews(self, watch, error):
        """It asks anew, for this error."""
        heard, age = self._heard.get(watch.observation, (0, 0))
        if error == ETIMEDOUT and self.world.now - heard < (FRESH if age is None else age):
            raise Broken(f"{watch.client.name} asks anew for what is still fresh")
        self.world.note("{} observes {} anew", watch.client.name, watch.path)
        self.world.count("observations renewed")

    def notified(self, watch, reply, error):
        """It is told a state, the end, or an error."""
        told = f"error {error.args[0]}" if error else reply.status if reply else "the end"
        history = watch.leg.path.server.history[watch.path]
        number = number_of(reply.payload) if reply else None
        self.world.note("{} is told of {}: {} {}", watch.client.name, watch.path, told, number)
        self.world.count(f"observer told {told}")
        if self.lax or reply is None and not error:
            return
        if error:
            if error.args[0] == ETIMEDOUT and not watch.fetches:
                self._check_patience(watch.client, watch.observation)
            if error.args[0] == EIO and history[-1] == watch.fetching and len(history) == watch.length:
                raise Broken(f"{watch.client.name} could not read a state that has not changed")
            if error.args[0] not in (EIO, ETIMEDOUT, ECONNRESET):
                raise Broken(f"{watch.client.name} is told {error!r} of {watch.path}")
            return
        if reply.code == BAD and history[-1] != watch.fetching:
            return
        if reply.code != CONTENT or number not in self.sizes:
            raise Broken(f"{watch.client.name} is told {reply.status} {reply.payload} of {watch.path}")
        if bytes(reply.payload) != body(number, self.sizes[number]):
            raise Broken(f"{watch.client.name} is told a mixture: {reply.payload}")
        self._check_order(watch, history, number)

    def _check_order(self, watch, history, number):
        begin = watch.position if self.world.now - watch.since < FORGETS else 0
        if number not in history[begin:]:
            raise Broken(f"{watch.client.name} is told {number} of {watch.path} after {watch.last}")
        watch.position = history.index(number, begin)
        watch.last = number
        watch.since = self.world.now

    def cancelled(self, watch, exchange):
        """The answer to a cancellation has come, or none."""
        if exchange.reply and exchange.reply.type == ACK and exchange.reply.get(OBSERVE) is not None:
            raise Broken(f"{watch.client.name} cancelled, and {watch.leg.peer} goes on")

    def check_told(self, watch):
        """Soon after a change, on a clean path, whom the server counts among its observers knows it."""
        client = watch.client
        if (
            client.name,
            client.life,
            watch.leg.peer,
        ) in self._cut or watch.fetches:  # not told, perhaps, or reads
            return
        key = watch.leg.address, watch.token
        for observer in _observers(watch.leg.path.server):
            if (observer.peer, bytes(observer.message.token)) == key and not observer.busy:
                self.check_last_state(watch)

    def check_last_state(self, watch):
        """After a while without faults."""
        history = watch.leg.path.server.history[watch.path]
        if watch.living and not self.lax and watch.last != history[-1]:
            raise Broken(f"{watch.client.name} was told {watch.last} of {watch.path} last, not {history[-1]}")

    # State

    def bounded(self, node):
        """No more is kept than there is to be, and one message at a time is on its way to a peer."""
        layer = node.layer
        peers = [each.peer for each in layer.exchanges if each.due is not None and not each.acknowledged]
        if len(peers) > len(set(peers)):
            raise Broken(f"{node.name}: two messages to one peer are under way")
        if layer.out or len(layer.taken) > CONFIRMED:
            raise Broken(f"{node.name} keeps too much")
        if any(len(getattr(each, "news", ())) > NEWS for each in layer.exchanges):
            raise Broken(f"{node.name} keeps too many notifications")
        if hasattr(node, "resources") and any(len(kept) > most for kept, most in _kept(node)):
            raise Broken(f"{node.name} keeps too much")

    def check_observers(self, server, watches):
        """Those that are gone are struck out."""
        living = {(each.leg.address, each.token) for each in watches if each.living}
        for observer in _observers(server):
            if (observer.peer, bytes(observer.message.token)) not in living:
                raise Broken(f"{server.name} still has an observer that is gone: {observer.peer}")

    def check_quiet(self, node):
        """Nothing is under way any more."""
        if node.layer.exchanges or getattr(node, "_waiting", None):
            raise Broken(f"{node.name}: an exchange never ends")
        if hasattr(node, "resources"):
            for kept, _ in _kept(node):
                if any(isinstance(each, Request) for each in kept):
                    raise Broken(f"{node.name}: a request is never answered")


@lru_cache(maxsize=1024)
def _decoded(datagram):
    return decode(datagram)


def _observers(server):
    observers = server.resources.observers
    return list(observers._all) if observers else []


def _place(peer, message):
    return peer, message.code, tuple(option for option in message.options if option[0] == PATH)


def _kept(server):
    """What a server keeps, and how much of each it may be."""
    resources = server.resources
    everything = [(resources, REMEMBERED), (resources.observers, OBSERVERS), (resources.bodies, BODIES)]
    for keeper, most in everything:
        for kept in vars(keeper).values() if keeper else ():
            if isinstance(kept, list):
                yield (
                    [part for each in kept for part in (each if isinstance(each, tuple) else (each,))],
                    (most if not kept or not isinstance(kept[0], tuple) else 2 * most),
                )


def _concerns(message, peer, exchange):
    """Whether it may be an answer of whatever kind."""
    if peer != exchange.peer:
        return False
    if not message.code:
        return message.id == exchange.message.id
    if message.type == ACK and message.id != exchange.message.id:
        return False
    return message.token == exchange.message.token
