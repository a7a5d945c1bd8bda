"""What the hub promises, judged from outside: from what programs send, are told and hear, and the server grants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ben import wire
from ben.message import BenError
from benserver import status
from benserver.hub_actions import parse_join, parse_receive, parse_send

from .hub_ends import Program
from .requests import number_of
from .world import Broken


@dataclass
class Sent:
    """A send() and what is known of it."""

    number: int
    program: Program
    target: str
    data: Any
    source: str = ""  # as its target has to be told
    handed: int = 0  # by the server, how often
    had: int = 0
    told: str = ""  # "delivered", "not delivered", "unknown", "refused", ...


class HubPromises:
    """Raises Broken as soon as one does not hold.

    kept: the ids of each name that has some, or None where nobody's is; senders: as the server has it;
    firm: whether a name stays whose it is as long as the server runs.
    """

    def __init__(self, world, kept, senders, firm):
        self.world = world
        self.kept = kept
        self.senders = senders
        self.firm = firm
        self.sent = {}
        self.programs = []
        self.holders = {}  # name: the id that the server gave it to, since it was started
        self._joined = set()  # names
        self._forged = set()  # names that somebody has tried
        self._asked = 0

    # What the links do is judged elsewhere; here they get names for the schedule.

    def next_asked(self):
        """A number for what a link is asked for."""
        self._asked += 1
        return self._asked

    def begins(self, link, asked):
        self.world.note("{} asks for {}", link.name, asked.action)

    def leaves(self, link, datagram):
        self.world.name(datagram, "q")
        self.world.note("{} sends {}", link.name, datagram)

    def enters(self, link, datagram):
        pass

    def receives(self, datagram, reply, call):
        pass

    def answers(self, datagram, reply):
        self.world.name(reply, "a")
        self.world.note("the server answers {} with {}", datagram, reply)

    def vanishes(self, action):
        self.world.count(f"crash before {action}")

    # What programs do

    def born(self, machine, *options):
        """A machine's program starts."""
        program = Program(machine, len(self.programs), *options)
        self.programs.append(program)
        return program

    def sends(self, sent):
        """A program begins a send()."""
        self.world.count("sends")
        self.world.note("{} sends message {} to {}", sent.program, sent.number, sent.target)
        sent.source = self.source(sent.program)
        self.sent[sent.number] = sent

    def forges(self, sent, victim):
        """A program sends in another's name; returns what it asks of the server."""
        self.world.count("forgery")
        self.world.note("{} sends message {} as {}", sent.program, sent.number, victim.name)
        self._forged.add(victim.name)
        sent.source, sent.told = victim.name, "forged"
        self.sent[sent.number] = sent
        form, data = wire.encode(sent.data)
        names = b"".join(bytes((len(each),)) + each.encode() for each in (victim.name, sent.target))
        return bytes((0, 10, form)) + names + data

    def spies(self, program, victim):
        """A program asks for what is another's, and knows its life; returns what it asks."""
        self.world.count("spying")
        self.world.note("{} asks for what is {}'s", program, victim)
        return victim.token + (victim.seq or bytes(4)) + bytes((0, 100)) + victim.name.encode()

    def dies(self, program):
        """A machine is switched off; who of its sends was not told never will be."""
        for sent in self.sent.values():
            if sent.program is program and not sent.told:
                sent.told = "switched off"
                self.world.count("sender switched off")

    def told(self, sent, error):
        """A send() has ended."""
        sent.told = self._what(sent, error)
        self.world.note("{} is told that {} is {}: {}", sent.program, sent.number, sent.told, error)
        self.world.count(f"told {sent.told}")
        if sent.told == "delivered" and not sent.had:
            raise Broken(f"message {sent.number} was not had, and its sender was told: delivered")
        if sent.told in ("not delivered", "refused") and sent.had:
            raise Broken(f"message {sent.number} was had, and its sender was told: {sent.told}")
        if sent.told == "delivered" and sent.handed > 1:
            self.world.count("confirmed after a lost answer")
        if sent.told == "unknown":
            self.world.count("unknown and had" if sent.had else "unknown and not had")

    def _what(self, sent, error):
        if error is None:
            return "delivered"
        if not isinstance(error, BenError):
            if error.args[-1] not in ("not delivered", "unknown"):
                raise Broken(f"message {sent.number}: {error!r}")
            return error.args[-1]
        if error.status not in (status.REFUSED, status.TOO_BIG):
            raise Broken(f"message {sent.number}: {error!r}")
        self._refused(sent.program, error)
        return "refused"

    def refused(self, program, error):
        """A receive() was."""
        self.world.note("{} may not receive: {}", program, error)
        if error.status != status.REFUSED:
            raise Broken(f"{program} may not receive: {error!r}")
        self._refused(program, error)

    def _refused(self, program, error):
        name, number = program.name, program.machine.number
        reasons = {
            "bytes more": True,
            "over": True,
            "no such target": True,  # the server is asked, below
            "too many messages": True,
            "may not send": self.senders is not None and program.name not in self.senders,
            "is taken": name in self._forged or self._rivals(name, number),
            "another device's": self.kept is not None and number not in self.kept.get(name, (number,)),
            "joined again": self._others(program),
        }
        reason = next((each for each in reasons if each in error.text), error.text)
        self.world.count(f"refused: {reason}")
        if not reasons.get(reason):
            raise Broken(f"{program} was refused without a reason: {error.text}")

    def _rivals(self, name, number):
        return any(each.name == name and each.machine.number != number for each in self.programs)

    def _others(self, program):
        # Another life of this name, that did not end before this one began.
        return any(
            each is not program and (each.runs or each.ended > program.began) for each in self._lives(program)
        )

    def _lives(self, program):
        name, number = program.name, program.machine.number
        return [each for each in self.programs if each.name == name and each.machine.number == number]

    def had(self, program, who, data):
        """A program's receive() has returned a message."""
        sent = self.sent[number_of("", data)]
        sent.had += 1
        self.world.note("{} has {} from {}", program, sent.number, who)
        self.world.count("had")
        if data != sent.data:
            raise Broken(f"message {sent.number} reached its target with other data")
        if sent.had > 1:
            raise Broken(f"message {sent.number} was had twice")
        if sent.told in ("not delivered", "refused"):
            raise Broken(f"message {sent.number} was had after its sender was told: {sent.told}")
        if sent.told:
            self.world.count(f"had after: {sent.told}")
        if any(
            each.born > program.born and each.machine is not program.machine for each in self._lives(program)
        ):
            self.world.count("had after a new life began")
        if sent.target != program.name:
            raise Broken(f"message {sent.number}, for {sent.target}, reached {program.name}")
        if who != sent.source:
            raise Broken(f"message {sent.number} was sent by {sent.program} and came as {who}'s")
        if self.senders is not None and who not in self.senders:
            raise Broken(f"message {sent.number} came from {who}, who may not send")

    def source(self, program):
        """Who sends, as the target is told."""
        name, number = program.name, program.machine.number
        if not name and self.kept is not None:
            name = next((each for each, ids in self.kept.items() if number in ids), "")
        return name or f"{number:08x}"

    def may_send(self, program):
        """Whether a send() of a program's has to be taken."""
        source, number = self.source(program), program.machine.number
        own = not program.name or self.holders.get(source, number) == number
        return own and (self.senders is None or source in self.senders)

    # What the server grants

    def crashes(self):
        """It forgets everything."""
        self.holders.clear()
        self._joined.clear()

    def did(self, number, action, data, outcome):
        """A handler of the hub's has run."""
        self.world.count(f"{action}: status {outcome.status}")
        granted = outcome.status == status.OK
        if action == "hub.join" and granted:
            name, _, life, _ = parse_join(data)
            self._in_order(life)
            self._joined.add(name)
            self._holds(number, name)
        elif action == "hub.receive":
            self._answered(number, parse_receive(data)[0], outcome.value)
        elif action == "hub.send":
            _, source, target, _, _ = parse_send(data)
            if source and granted:  # what is refused takes no name
                self._holds(number, source)
            if "no such target" in str(outcome.value) and target in self._joined and self.firm:
                raise Broken(f"{target} has joined, and is no such target")

    def _in_order(self, life):
        program = next(each for each in self.programs if each.token == life)
        later = (
            each for each in self.programs if each.machine is program.machine and each.born > program.born
        )
        if any(each.granted for each in later):
            raise Broken(f"{program} joined after a later life of its name")
        program.granted = True
        if not program.runs:
            self.world.count("late join")

    def _answered(self, number, name, value):
        if value is False:
            self.world.count("receive: has to join")
            if self.holders.get(name) == number and name in self._joined and self.firm:
                raise Broken(f"{name} has joined and is told to")
        elif isinstance(value, bytes):
            self.world.count("handed")
            handed = self.sent[number_of("", _data(value))]
            if handed.handed:
                self.world.count("handed again")
            handed.handed += 1
            self._holds(number, name)

    def _holds(self, number, name):
        if self.kept is not None and number not in self.kept.get(name, (number,)):
            raise Broken(f"{name} is another's than {number:08x}'s")
        if self.holders.setdefault(name, number) != number and self.firm:
            raise Broken(f"{name} was given to {self.holders[name]:08x}, and now to {number:08x}")
        self.holders[name] = number


def _data(value):
    return wire.decode(value[4], value[6 + value[5] :])
