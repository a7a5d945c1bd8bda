"""Schedules of the hub drawn from a seed: programs that listen and send through one server, faults; then a clean path."""

import contextlib
from unittest import mock

import benserver.hub
from ben.message import BenError

from . import network
from .hub_ends import HubServer, Machine
from .hub_promises import HubPromises, Sent
from .play import FORMS, MASTER_DEVICE
from .requests import body
from .world import Broken, World

CIRCUMSTANCES = (
    "clocks",
    "rivals",
    "thefts",
    "twins",
    "crowding",
    "dropping",
)  # of a schedule, not of a step
FAULTS = (*network.ON_THE_WAY, "crash", "stop", "failure", "reboot", "away", *CIRCUMSTANCES)
LIKELY = {  # the probabilities that a schedule draws from, for each step at which the fault can happen
    "loss": (0, 0, 0, 0.05, 0.2),
    "duplication": (0, 0.05, 0.3),
    "reordering": (0, 0.2, 0.5),
    "holding": (0, 0, 0.03, 0.1),
    "corruption": (0, 0, 0, 0.05),
    "replay": (0, 0, 0, 0.2),
    "flood": (0,) * 39 + (0.05,),
    "rebinding": (0, 0, 0.1),
    "crash": (0, 0, 0.003, 0.01),
    "stop": (0, 0, 0, 0.05),
    "failure": (0, 0, 0, 0.1),
    "reboot": (0, 0, 0.1, 0.3),
    "clocks": (0, 1),
    "away": (0, 0, 0.2),
    "rivals": (0, 0, 0, 1),
    "thefts": (0, 0, 0, 1),
    "twins": (0, 0, 0, 1),
    "crowding": (0, 0, 0, 1),
    "dropping": (0,) * 9 + (1,),
}
THINKING = (0, 0, 0.05, 0.5, 2)  # s between two sends of a program
LENGTH = 100  # sends of a schedule before the last ones
LATEST = 12.0  # s for which a datagram is held here: listeners never rest
SETTLED = 13  # s, longer than datagrams are held, programs away and machines off
QUIET = 12  # s in which who listens finds a server that was started anew: a copy is due, a pause, a join
RIVAL = MASTER_DEVICE + 9
AT_ONCE = 2.5  # s for a last message: a lost copy of nothing, so some round trips


class Schedule:
    """One schedule; `only` names the faults that may happen in it."""

    def __init__(self, chance, seed, counts, only=FAULTS, length=LENGTH):
        chance.seed(seed)
        self.chance = chance
        self.world = World(chance, counts)
        self.faults = {fault: chance.choice(LIKELY[fault]) * (fault in only) for fault in FAULTS}
        for fault in CIRCUMSTANCES:
            self.world.counts[fault] += bool(self.faults[fault])
        self.network = network.Network(self.world, self.faults)
        self._left = length
        self._number = 0
        self._cast()

    def play(self):
        """Plays it to the end; Broken."""
        with self._crowded():
            # Dropped are also those that listen, which a real server would rather keep.
            few = {"NAMES_MAX": 2, "HERE": 0} if self.faults["dropping"] else {"NAMES_MAX": 4096}
            with mock.patch.multiple(benserver.hub, **few):
                self._begin()
            self._end()

    def _begin(self):
        for machine in self.machines:
            if not (self.heir and machine.title == "rival"):
                machine.start()
        if self.heir:
            heir = next(each for each in self.machines if each.title == "rival")
            self.world.at(self.chance.uniform(0, 10), self._replace, self.machines[0], heir)
        while self._left or self._sending():
            self.world.step()

    # Who takes part

    def _cast(self):
        chance = self.chance
        roles = ["lamp", "door", "fan"][: chance.choice((1, 1, 2, 3))]
        numbers = {name: MASTER_DEVICE + i for i, name in enumerate([*roles, "desk", "phone"])}
        named = chance.choice((True, True, False))
        kept = chance.choice((None, None, {name: [number] for name, number in numbers.items()}))
        self.heir = kept is not None and self.faults["rivals"] and chance.random() < 0.5
        if self.heir:
            kept["lamp"].append(RIVAL)
        self.contested = kept is None and (self.faults["rivals"] or self.faults["thefts"])
        senders = chance.choice((None, None, None, None, {"desk", "lamp"}))
        self.promises = HubPromises(self.world, kept, senders, not (self.faults["dropping"] or self.heir))
        self._serve(kept and {number: name for name, ids in kept.items() for number in ids}, senders)
        self.machines = [self._machine(name, numbers[name], name, True) for name in roles]
        for name in ("desk", "phone")[: chance.choice((1, 2))]:
            self.machines.append(self._machine(name, numbers[name], name if named else "", False))
        self.senders = [each for each in self.machines if not each.listens or chance.random() < 0.4]
        self.targets = [*roles * 4, "nobody"]
        if self.faults["twins"]:
            self.machines.append(self._machine("twin", numbers["lamp"], "lamp", True))
        if self.faults["rivals"]:
            self.machines.append(self._machine("rival", RIVAL, "lamp", True))
        if self.faults["thefts"]:
            self.machines.append(self._machine("thief", RIVAL + 1, "", False))

    def _serve(self, names, senders):
        chance = self.chance
        self.server = HubServer(
            self.world,
            self.network,
            self.promises,
            names=names,
            senders=senders,
            rate=self._rate(),
            buffersize=chance.choice((300, 1500, 4096)),
            timeout=chance.choice((0.3, 2, 10)),
        )
        self.server.fate = self._fate
        self.server.downtime = lambda: chance.choice((0, 0, 0.3, 3))
        self.server.fails = lambda: self._happens("failure")

    def _rate(self):
        return self.chance.choice((0.95, 1.0, 1.05)) if self.faults["clocks"] else 1.0

    def _machine(self, title, number, name, listens):
        machine = Machine(
            self.world,
            self.network,
            self.promises,
            title,
            number,
            name,
            listens=listens,
            rate=self._rate(),
            options=self._options,
        )
        machine.starts = lambda program: self._starts(machine, program)
        machine.thinks = lambda program: self._thinks(machine, program)
        machine.refused = lambda program: self._refused(machine, program)
        return machine

    def _options(self):
        # timeout, buffersize, chunk: of a program, which may be another one after a restart
        chance = self.chance
        return (
            chance.choice((1, 3, 10, 10)),
            chance.choice((300, 1500, 4096)),
            chance.choice((64, 96, 256, 1024, 1152)),
        )

    @contextlib.contextmanager
    def _crowded(self):
        if self.faults["crowding"]:
            with mock.patch.multiple(benserver.hub, QUEUE_MAX=2, MESSAGES_MAX=3):
                yield
        else:
            yield

    # What they do

    def _sending(self):
        return any(not sent.told for sent in self.promises.sent.values())

    def _starts(self, machine, program):
        if self._happens("reboot"):  # perhaps before it has joined
            self.world.at(self.chance.uniform(0, 0.5), self._again, machine, program)
        if machine in self.senders:
            self._later(self._next, machine, program)
        elif machine.title == "thief":
            self._later(self._steal, machine, program)

    def _later(self, call, *args):
        if self._left:
            self.world.at(self.chance.choice(THINKING) * self.chance.random(), call, *args)

    def _next(self, machine, program):
        if not self._left or not program.runs:
            return
        self._left -= 1
        if self._happens("reboot"):
            self.world.at(self.chance.uniform(0, 2), self._reboot, self.chance.choice(self.machines))
        if self._happens("stop"):
            self.world.at(self.chance.uniform(0, 0.2), self.server.stop)
        self._send(machine, self.chance.choice(self.targets))

    def _send(self, machine, target, small=False):
        sent = self._sent(machine.program, target, self._data(machine.program, small))
        machine.send(sent, self._told)
        return sent

    def _told(self, machine, program, error):
        if isinstance(error, BenError):  # most often its target has not joined yet
            self.world.at(self.chance.uniform(0, 2), self._next, machine, program)
        else:
            self._later(self._next, machine, program)

    def _sent(self, program, target, data, **more):
        self._number += 1
        return Sent(self._number, program, target, data, **more)

    def _data(self, program, small):
        chance = self.chance
        size = 0 if small else int(chance.choice((0, 0, 0, 0, 150, 150, 500)) * chance.random())
        if not small and chance.random() < 0.02:
            size = program.buffersize - chance.randrange(-8, 40)
        return body(chance.choice(FORMS), self._number + 1, size)

    def _steal(self, machine, program):
        # with a key of its own it tries for what is another's
        if not program.runs:
            return
        victims = [each.program for each in self.machines if each.listens and each.program]
        if victims:
            victim = self.chance.choice(victims)
            if self.chance.random() < 0.5:
                asked = "hub.receive", self.promises.spies(program, victim)
            else:
                sent = self._sent(program, self.chance.choice(self.targets), self._data(program, True))
                asked = "hub.send", self.promises.forges(sent, victim)
            program.ask(*asked, lambda *_: self._later(self._steal, machine, program))

    def _thinks(self, machine, program):
        # over a message: with it in hand its machine may be switched off
        if self._happens("reboot"):
            self.world.count("reboot with a message in hand")
            self._reboot(machine)
        if self._happens("away"):
            return self.chance.uniform(2, 12)
        return self.chance.choice((0, 0, 0, 0.05, 0.5))

    def _reboot(self, machine):
        if machine.on and machine.program:
            self.world.count(f"reboot {'receiving' if machine.program.awaits else 'not receiving'}")
            machine.switch_off(self.chance.choice((0, 0.1, 1, 6)))

    def _refused(self, machine, program):
        # its program ends, and a watchdog starts another
        self.world.at(self.chance.uniform(1, 9), self._again, machine, program)

    def _again(self, machine, program):
        if program.runs:
            machine.switch_off(0)

    def _replace(self, old, new):
        # by a device that has the name as well
        self.world.count("replacement")
        old.switch_off()
        new.start()

    def _happens(self, fault):
        if self.chance.random() >= self.faults[fault]:
            return False
        self.world.count(fault)
        return True

    def _fate(self, call):
        if not self._happens("crash"):
            return None
        return self.chance.choice(("before running", "while running", "afterwards") if call else ("at once",))

    # The end: from every state the next send() to who listens succeeds

    def _end(self):
        self.faults.update(dict.fromkeys(FAULTS, 0))
        self.server.downtime = lambda: 0
        for machine in self.machines:
            if machine.title in ("twin", "thief"):
                machine.switch_off()
        self._wait(SETTLED)
        self.network.release()
        if self.chance.random() < 0.2:  # which takes long
            self.world.count("sweep")
            self.network.sweep()
        listening = [each for each in self.machines if each.listens and each.on]
        for machine in self.chance.sample(listening, min(2, len(listening))):
            state = self._bring_about(machine)
            self._wait(QUIET)
            may = [each for each in self.machines if each.program and self.promises.may_send(each.program)]
            if not self._listens(machine):
                if not self.contested and (machine.title != "rival" or self.heir):
                    raise Broken(f"{machine.title} does not listen, on a clean path")
            elif may:
                self.world.count(f"last send {state}")
                self._last_send(self.chance.choice(may), machine)

    def _wait(self, seconds):
        self.world.run(self.world.now + seconds)

    def _listens(self, machine):
        program = machine.program
        if not (program and program.awaits and program.joined):
            return False
        # Whose name has an heir: what is left of the old one's sends ends after the other has joined.
        return self.heir or self.promises.holders.get(program.name) == machine.number

    def _bring_about(self, machine):
        # the state that a last send begins from
        state = self.chance.choice(("as it is", "as it is", "crashed", "stopped", "rebooted"))
        if state == "crashed":
            self.server.crash("before a last send")
        elif state == "stopped":
            self.server.stop()
        elif machine.on and state == "rebooted":
            machine.switch_off(0)
        return state

    def _last_send(self, sender, machine):
        began = self.world.now
        sent = self._send(sender, machine.name, small=True)
        while not sent.told and self.world.step():
            pass
        if sent.told != "delivered":
            raise Broken(f"message {sent.number}, one of the last, on a clean path: {sent.told}")
        if self.world.now - began > AT_ONCE:
            raise Broken(f"message {sent.number}, one of the last, took {self.world.now - began:.1f} s")
