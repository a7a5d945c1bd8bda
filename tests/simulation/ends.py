"""A board and a server: the real code, driven in simulated time."""

from errno import ETIMEDOUT

from ben import message
from ben.exchange import Exchange
from benserver import status
from benserver.actions import NOTHING, Action, Actions, Outcome, Refusal
from benserver.sessions import Call, Sessions

from . import requests
from .stand_in import PRK
from .world import Broken

INBOX = 4  # datagrams that a socket keeps for later; boards keep one to four


class Board:
    """One client: what ben.udp.Client does with a socket and a clock, done with simulated ones.

    `done` is called with the board when a send has ended.
    """

    def __init__(self, world, network, promises, name, *, device, channel, rate=1.0, **options):
        self.world = world
        self.network = network
        self.promises = promises
        self.name = name
        self.device = device
        self.channel = channel
        self.rate = rate
        self.done = lambda board: None
        self._options = options
        self._steps = None
        self._step = 0  # counts, so that a timer knows when it is late
        self._inbox = []
        self.saved = []
        self._given = set()
        self.address = network.attach(self)
        self.exchange = None
        self.error = None  # what the last send() that failed has raised
        self._boot(None)

    def _boot(self, session):
        self.exchange = Exchange(device=self.device, channel=self.channel, session=session, **self._options)

    def twin(self):
        """Another client of the same device and channel."""
        return Board(
            self.world,
            self.network,
            self.promises,
            f"{self.name}'s twin",
            device=self.device,
            channel=self.channel,
            **self._options,
        )

    @property
    def idle(self):
        return self._steps is None

    def send(self, request):
        """Begins a send()."""
        self.world.note("{} begins send {}: {}{}", self.name, request.number, request.action, _about(request))
        self.promises.begins(self, request)
        self._began = self.world.now
        self._steps = message.send(self.exchange, request.asked, request.noreturn)
        self._go(None)
        inbox, self._inbox = self._inbox, []
        for datagram in inbox:
            self.receive(datagram)

    def receive(self, datagram, forged=False):
        """A datagram reaches the board's socket."""
        if self.idle:
            self._inbox = [*self._inbox, datagram][:INBOX]
            return
        self.world.note("{} gets {}", self.name, datagram)
        self.promises.enters(self, datagram)
        before, now = (self.exchange.token, self.exchange.seq), self.ms()
        self._go((now, datagram))
        unmoved = not self.idle and before == (self.exchange.token, self.exchange.seq)
        if forged and now < self.exchange.timeout and not unmoved:
            raise Broken(f"{self.name} took a forged datagram")

    def new_address(self):
        """A new socket, or a NAT that has forgotten the old one: what goes to the old address is lost."""
        self.address = self.network.attach(self)

    def save(self):
        """Keeps the session, as before a deep sleep."""
        session = self.exchange.session
        if any(session[1:]) and not self.idle:
            raise Broken(f"{self.name} told its session during a send")
        if any(session[1:8]) and session not in self._given and session not in self.saved:
            self.saved.append(session)

    def wrap(self, seq):
        """Has its seq as high as after many sends, which the server would know of: no session from before will do."""
        self.exchange.seq = seq
        self.saved = []

    def reboot(self, session):
        """Starts again "cold", from the "warm" session it has now, or a "stale" one it had; each is given once."""
        given = None
        if session == "warm" and self.idle:
            given = self.exchange.session
        elif session == "stale":
            self.saved = [each for each in self.saved if each not in self._given]
            given = self.saved.pop(self.world.chance.randrange(len(self.saved))) if self.saved else None
        self._given.add(given)
        self.world.note("{} reboots {}", self.name, session if given else "cold")
        self.world.count(f"reboot {session if given else 'cold'}")
        if not self.idle:
            self._steps.close()
            self._end("rebooted", None)
        self._inbox = []
        self._boot(given)

    def ms(self):
        """What its clock says, counted from when the send() began."""
        return int((self.world.now - self._began) * self.rate * 1000)

    def _timer(self, step):
        if not self.idle and step == self._step:
            self._go((self.ms(), None))

    def _go(self, got):
        self._step += 1
        try:
            out, wait = self._steps.send(got)
        except StopIteration as end:
            self._end("result", end.value)
        except message.BenError as error:
            self.error = error
            self._end("error", error.status)
        except OSError as error:
            if error.args not in ((ETIMEDOUT, "not run"), (ETIMEDOUT, "maybe")):
                raise Broken(f"send() raised {error!r}") from error
            self._inbox = []
            self.new_address()
            self.error = error
            self._end(error.args[1], None)
        except Exception as error:
            raise Broken(f"send() raised {error!r}") from error
        else:
            if out:
                out = bytes(out)
                self.promises.leaves(self, out)
                self.network.to_server(out, self)
            self.world.at((wait + 1) / 1000 / self.rate, self._timer, self._step)

    def _end(self, told, value):
        self._steps = None
        self.world.note("{} is told: {}", self.name, f"{told} {_short(value)}")
        self.world.count(f"told {told} {value}" if told == "error" else f"told {told}")
        self.promises.told(self, told, value)
        self.done(self)


class Server:
    """The server's rules, a clock and handlers.

    `fate` says when the server crashes, if it does: fate(None) for a datagram that comes, "at once" or None;
    fate(call) for one that was taken, "before running", "while running", "afterwards" or None.
    """

    def __init__(self, world, network, promises, *, rate=1.0, buffersize=4096, timeout=10):
        self.world = world
        self.network = network
        self.promises = promises
        self.rate = rate
        self.fate = lambda call: None
        self.downtime = lambda: 0
        self.buffersize = buffersize
        self.timeout = timeout
        self._actions = Actions()
        for name in requests.ACTIONS:
            self._actions.add(Action(name, self._handle, requests.FRESH.get(name, 0)))
        self._actions.fallback = self._fallback
        self._sessions = None
        network.server = self
        self._boot()

    def clock(self):
        """Monotonic seconds."""
        return self._zero + self.world.now * self.rate

    def _boot(self):
        self._zero = self.world.chance.choice((0.0, 1e6)) - self.world.now * self.rate
        self._sessions = Sessions(
            PRK, self._actions, now=self.clock(), buffersize=self.buffersize, timeout=self.timeout
        )

    def crash(self, moment):
        """Everything is gone, also the handlers that run; back after a while, or at once."""
        self.world.note("the server crashes {}", moment)
        self.world.count(f"crash {moment}")
        self.promises.crashes()
        self._sessions = None
        downtime = self.downtime()
        if downtime:
            self.world.at(downtime, self._boot)
        else:
            self._boot()

    def receive(self, datagram, address, forged=False):
        """A datagram reaches the server."""
        if self._sessions is None:
            self.world.note("{} reaches no server", datagram)
            return
        if self.fate(None):
            self.crash("at once")
            return
        self.world.note("{} reaches the server from {}", datagram, address)
        reply, call = self._ask(datagram, forged)
        self.promises.receives(datagram, reply, call)
        fate = self.fate(call) if call else None
        if fate == "before running":
            self.promises.vanishes(self._request(call).number)
            self.crash(fate)
            return
        if reply:
            self._send(reply, datagram, address)
        if call:
            self._run(call, datagram, address, fate)
        if fate == "afterwards":
            self.crash(fate)

    def _ask(self, datagram, forged):
        before = _state(self._sessions) if forged else None
        try:
            reply, call = self._sessions.receive(datagram, self.clock())
        except Exception as error:
            raise Broken(f"the server raised {error!r}") from error
        if forged and before != _state(self._sessions):
            raise Broken("a forged datagram had an effect on the server")
        return reply, call

    def _request(self, call):
        data = None if call.data is NOTHING else call.data
        return self.promises.request(requests.number_of(call.action.name, data))

    def _run(self, call, datagram, address, fate):
        request = self._request(call)
        self.world.note("the server runs send {}", request.number)
        try:
            value = call.action.fn(*(() if call.data is NOTHING else (call.data,)))
            outcome = Outcome(status.OK, value)
        except ZeroDivisionError as error:
            outcome = Outcome(status.FAILED, type(error).__name__)
        if fate == "while running":
            self.crash(fate)
        elif request.pause:
            self.world.count("slow handler")
            self.world.at(request.pause, self._finish, self._sessions, call, outcome, datagram, address)
        else:
            self._finish(self._sessions, call, outcome, datagram, address)

    def _finish(self, sessions, call, outcome, datagram, address):
        if sessions is self._sessions and not call.noreturn:
            try:
                reply = sessions.finish(call, outcome, self.clock())
            except Exception as error:
                raise Broken(f"the server raised {error!r}") from error
            self._send(reply, datagram, address)

    def _send(self, reply, datagram, address):
        reply = bytes(reply)
        self.promises.answers(datagram, reply)
        self.network.to_address(reply, address)

    def _handle(self, data=None, action="bare"):
        request = self.promises.request(requests.number_of(action, data))
        self.promises.runs(request.number, data)
        if request.action == "fails":
            raise ZeroDivisionError
        return object() if request.action == "strange" else request.answer()

    def _fallback(self, name):
        if name == "forbidden":
            raise Refusal(status.REFUSED, "not for you")
        return Action(name, lambda: self._handle(None, name)) if name.startswith("bare ") else None


def _about(request):
    words = (
        ("noreturn", request.noreturn),
        (f"the answer has {request.size} bytes", request.size),
        (f"the handler takes {request.pause} s", request.pause),
    )
    return "".join(f", {word}" for word, told in words if told)


def _short(value):
    text = "" if value is None else repr(value)
    return text if len(text) < 40 else text[:36] + "..."


def _state(thing):
    # everything that can be told apart, to compare before and after
    if isinstance(thing, dict):
        return tuple((key, _state(value)) for key, value in thing.items())
    if isinstance(thing, (list, tuple)):
        return tuple(map(_state, thing))
    if isinstance(thing, Call):  # its session has it, too
        return id(thing), thing.stream
    if type(thing).__module__.startswith("benserver.sessions"):
        return _state(vars(thing))
    return thing
