"""The hub's ends: programs that send and listen, and a server with the hub's actions, all of it the real code."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest import mock

import ben.exchange
from ben.hub import Hub
from ben.message import BenError
from benserver import hub as rules
from benserver import hub_actions, status
from benserver.actions import NOTHING, Actions, Outcome, Sender

from .ends import Board, Server
from .hub_loop import Loop
from .world import Broken

SOON = 0.001  # s
PAUSE = 0.3  # s after an error, as Hub.listen makes


@dataclass
class Asked:
    """What a program asks the server for over one of its links."""

    number: int
    action: str
    data: Any
    noreturn = False
    size = 0
    pause = 0

    @property
    def asked(self):
        """What is given to send()."""
        return {"action": self.action, "data": self.data}


class Link(Board):
    """One of a program's clients: ben.udp.Client with a simulated socket."""

    def __init__(self, program, name, options):
        self._then = None
        self._closed = False
        machine = program.machine
        super().__init__(
            machine.world, machine.network, machine.promises, name, channel=None, rate=machine.rate, **options
        )

    @property
    def _exchange(self):
        return self.exchange

    def ask(self, action, data, then):
        """Client.send; then(result, None) or then(None, error)."""
        self._then = then
        self.send(Asked(self.promises.next_asked(), action, data))

    def receive(self, datagram, forged=False):
        """A datagram reaches the socket, if its program still runs."""
        if not self._closed:
            super().receive(datagram, forged)

    def close(self):
        """Its machine was switched off."""
        self._closed = True
        if self._steps:
            self._steps.close()
        self._steps = None

    def _end(self, told, value):
        self._steps = None
        self.world.note("{} is told: {} {}", self.name, told, value)
        self.world.count(f"link told {told}")
        if told == "result":
            self._then(value, None)
        else:
            self._then(None, self.error)


class Program(Hub):
    """What runs on a machine from one start to the next: a Hub whose links are simulated."""

    def __init__(self, machine, born, made, timeout, buffersize, chunk):
        self.machine = machine
        self.born = born  # counts through all machines
        self._made = made  # clients of this program so far
        super().__init__(
            "", 0, machine.name, "board", timeout, buffersize=buffersize, device=machine.number, chunk=chunk
        )
        self.began, self.ended = machine.world.now, 0.0
        self.runs = True
        self.awaits = False  # a receive() is under way
        self.joined = 0
        self.granted = False  # whether the server has let it join

    def __str__(self):
        return f"{self.machine.title} (life {self.born})"

    def begin(self, call, then):
        """Has a call of Hub's run; then(result, None) or then(None, error)."""
        steps, channel = call

        def go(resume, *got):
            try:
                action, data = resume(*got)
            except StopIteration as end:
                then(end.value, None)
            except (OSError, BenError) as error:
                then(None, error)
            except Exception as error:
                raise Broken(f"{self}: {error!r}") from error
            else:
                self._joins(action)
                self._link(channel).ask(action, data, came)

        def came(result, error):
            if error:
                go(steps.throw, error)
            else:
                go(steps.send, result)

        go(next, steps)

    def ask(self, action, data, then):
        """Asks the server what no Hub would."""
        self._link(False).ask(action, data, then)

    def stop(self):
        """The machine is switched off."""
        self.runs, self.ended = False, self.machine.world.now
        for link in self._clients.values():
            link.close()

    def _joins(self, action):
        if action == "hub.join":
            self.joined += 1
            self.machine.world.count("join again" if self.joined > 1 else "join")

    def _run(self, ask, channel):
        return ask, channel

    def _open(self, host, port, timeout, keyfile, buffersize, **options):
        name = f"{self}, client {self._made}"
        options.update(timeout=timeout, buffersize=buffersize)
        with mock.patch.object(ben.exchange, "_clients", self._made):
            self._made += 1
            return Link(self, name, options)


class Machine:
    """A board or a computer: its id, its clock, the name it uses, and what its program does."""

    def __init__(self, world, network, promises, title, number, name, *, listens, rate, options):
        self.world = world
        self.network = network
        self.promises = promises
        self.title = title
        self.number = number
        self.made = world.chance.choice((0, 0, 1, 2))  # clients that its programs make before their Hub
        self.name = name
        self.listens = listens
        self.rate = rate
        self.program = None
        self.on = True  # or for ever off
        self.starts = lambda program: None
        self.thinks = lambda program: 0  # s that it takes over a message
        self.refused = lambda program: None
        self._options = options
        self._off = 0  # counts, so that a start knows whether it is still meant

    def start(self, *meant):
        """Begins a life."""
        if not self.on or meant and meant != (self._off,):
            return
        self.program = self.promises.born(self, self.made, *self._options())
        self.world.note("{} starts as {}", self.program, self.name or "nobody")
        if self.listens:
            self._listen(self.program)
        self.starts(self.program)

    def switch_off(self, seconds=None):
        """Ends this life; the next begins after a while, if it does."""
        self._off += 1
        self.on = seconds is not None
        if self.program:
            self.world.note("{} is switched off", self.program)
            self.promises.dies(self.program)
            self.program.stop()
            self.program = None
        if self.on:
            self.world.at(seconds, self.start, self._off)

    def send(self, sent, then):
        """Its program sends to another; then(self, program, error) when it is told."""
        program = sent.program

        def told(_, error):
            self.promises.told(sent, error)
            then(self, program, error)

        self.promises.sends(sent)
        program.begin(program.send(sent.target, sent.data), told)

    def _listen(self, program):
        # what Hub.listen does
        if not program.runs:
            return
        timeout = self.world.chance.choice((None, None, None, 0.5, 9))

        def came(got, error):
            program.awaits = False
            if isinstance(error, BenError):
                self.promises.refused(program, error)
                self.refused(program)
            elif error:
                self.world.count("receive: no answer")
                self.world.at(PAUSE / self.rate, self._listen, program)
            elif got is None:
                self._listen(program)
            else:
                self.promises.had(program, *got)
                self.world.at(self.thinks(program), self._listen, program)

        program.awaits = True
        program.begin(program.receive(timeout), came)


class HubServer(Server):
    """The server's rules and its hub's; `names` and `senders` as benserver.server takes them."""

    def __init__(self, world, network, promises, *, names, senders, **options):
        self.names = names
        self.senders = senders
        self.fails = lambda: False  # whether a handler does, at its very end
        super().__init__(world, network, promises, **options)

    def _boot(self):
        self._actions = Actions()
        self.hub = rules.Hub(self.names or {}, self.senders)
        hub_actions.HubActions(self.hub, self._actions, self.buffersize)
        self._loop = Loop(self.world, self.rate)
        super()._boot()

    def crash(self, moment):
        """Everything is gone."""
        loop = self._loop
        super().crash(moment)
        loop.stop()

    def stop(self):
        """It is stopped as Server.serve ends, and started again."""
        if self._sessions:
            with self._loop.running():
                self.hub.close()
            self.promises.crashes()
            self.world.at(0, self._stopped, self._loop)

    def _stopped(self, loop):
        if self._sessions and loop is self._loop:
            self.crash("stopped")

    def end(self):
        """The simulation is over."""
        self._sessions = None
        self._loop.stop()

    def _request(self, call):
        return SimpleNamespace(number=call.action.name)

    def _run(self, call, datagram, address, fate):
        if fate == "while running":  # within a round trip, or while it waits
            self.world.at(self.world.chance.choice((0, 0.01, 1)), self._crashes, self._loop)
        sessions, data = self._sessions, None if call.data is NOTHING else call.data
        answered = []

        def done(outcome):
            if sessions is not self._sessions:  # killed meanwhile
                return
            answered.append(outcome)
            self.world.note("{} of {:08x}: {}", call.action.name, call.device, outcome)
            if outcome.status == status.FAILED:
                raise Broken(f"{call.action.name} failed: {outcome.value}")
            self.promises.did(call.device, call.action.name, data, outcome)
            if call.action.name == "hub.send" and self.fails():
                outcome = Outcome(status.FAILED, "MemoryError")
            self._finish(sessions, call, outcome, datagram, address)

        name = (self.names or {}).get(call.device)
        with self._loop.running():
            self._actions.run(call.action, call.data, Sender(call.device, name, "udp", "", True), done)
        seconds = _patience(call.action.name, data) / self.rate
        self.world.at(seconds + SOON, self._answered, sessions, call, answered)

    def _answered(self, sessions, call, answered):
        if sessions is self._sessions and not answered:
            raise Broken(f"{call.action.name} of {call.device:08x} was not answered in its time")

    def _crashes(self, loop):
        if self._sessions and loop is self._loop:
            self.crash("while running")


def _patience(action, data):
    # seconds for which it may wait
    if action == "hub.send":
        return hub_actions.parse_send(data)[0]
    return hub_actions.parse_receive(data)[-1] if action == "hub.receive" else 0
