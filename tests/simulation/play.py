"""Schedules drawn from a seed: some boards, one server, about twenty sends, faults; then a clean path."""

from collections import Counter
from unittest import mock

import benserver.sessions

from . import stand_in
from .ends import Board, Server
from .network import ON_THE_WAY, Network
from .promises import Promises
from .requests import Request, Unreadable, body
from .world import Broken, World

FAULTS = (*ON_THE_WAY, "crash", "reboot", "clocks", "wrap", "dropping")
LIKELY = {  # the probabilities that a schedule draws from, for each step at which the fault can happen
    "loss": (0, 0, 0.05, 0.3, 0.6),
    "duplication": (0, 0.05, 0.3),
    "reordering": (0, 0.2, 0.5),
    "holding": (0, 0.03, 0.15, 0.4),
    "corruption": (0, 0, 0.05, 0.1),
    "replay": (0, 0, 0.1, 0.5),
    "flood": (0,) * 19 + (0.3,),
    "rebinding": (0, 0, 0.1),
    "crash": (0, 0, 0.005, 0.03),
    "reboot": (0, 0, 0.1, 0.3),
    "clocks": (0, 1),
    "wrap": (0, 0, 0, 0.2),
    "dropping": (0, 0, 0, 0, 1),
}
NONE = "none"  # of them, on the command line
THINKING = (0, 0.05, 0.5, 3, 9, 31)  # s between two sends of a board: tokens, parts and rests run out
HURRYING = (0, 0.05, 0.5)
FORMS = ("json", "bytes", "text")
LENGTH = 20  # sends of a schedule before the last ones
QUIET = 1.5  # s before the last send: a restart within a round trip of it may make the caller hear "maybe"
MASTER_DEVICE = 0xBE000000


class Schedule:
    """One schedule; `only` names the faults that may happen in it."""

    def __init__(self, chance, seed, counts, only=FAULTS, length=LENGTH):
        chance.seed(seed)
        self.chance = chance
        self.world = World(chance, counts)
        self.faults = {fault: chance.choice(LIKELY[fault]) * (fault in only) for fault in FAULTS}
        for fault in ("clocks", "dropping"):
            self.world.counts[fault] += bool(self.faults[fault])
        self.promises = Promises(self.world)
        self.network = Network(self.world, self.faults)
        self.server = self.promises.server = Server(
            self.world,
            self.network,
            self.promises,
            rate=self._rate(),
            buffersize=chance.choice((300, 1500, 4096)),
            timeout=chance.choice((0.3, 2, 10)),
        )
        self.server.fate = self._fate
        self.server.downtime = lambda: chance.choice((0, 0, 0.3, 3))
        self.hurry = chance.random() < 0.3
        self.boards = self._boards()
        self._left = length
        self._number = 0

    def play(self):
        """Plays it to the end; Broken."""
        most = 3 if self.faults["dropping"] else benserver.sessions.DEVICES_MAX
        with mock.patch.object(benserver.sessions, "DEVICES_MAX", most):
            for board in self.boards:
                board.done = self._ended
                self._later(board)
            self.world.run()
            self._last_sends()

    # Who takes part

    def _rate(self):
        return self.chance.choice((0.95, 1.0, 1.05)) if self.faults["clocks"] else 1.0

    def _boards(self):
        # Some share a device, and some of those a channel. A crowd does, and hurries.
        devices = 5 if self.faults["dropping"] else self.chance.choice((1, 1, 2))
        channels = 1 if self.hurry else 2
        boards = []
        for i in range(devices if self.faults["dropping"] else self.chance.choice((1, 2, 2, 3))):
            board = Board(
                self.world,
                self.network,
                self.promises,
                f"board {i + 1}",
                device=MASTER_DEVICE + i % devices,
                channel=self.chance.randrange(channels),
                rate=self._rate(),
                chunk=self.chance.choice((64, 64, 96, 256, 1024, 1152)),
                buffersize=self.chance.choice((300, 1500, 4096)),
                timeout=1 if self.hurry else self.chance.choice((1, 3, 10)),
            )
            boards.append(board)
        return boards

    # What they do

    def _later(self, board):
        delay = self.chance.choice(HURRYING if self.hurry else THINKING) * self.chance.random()
        self.world.at(delay, self._next, board)

    def _next(self, board):
        if not self._left:
            return
        self._left -= 1
        if self.chance.random() < 0.3:
            board.save()
        if self._happens("reboot"):
            board.reboot(self.chance.choice(("cold", "warm", "stale")))
        if self._happens("wrap") and any(board.exchange.token[1:]) and board.exchange.seq:
            board.wrap(self.chance.randrange(64900, 65536))
        if self._happens("reboot"):
            self.world.at(self.chance.uniform(0, 2), self._pull, board)
        board.send(self._request(board))

    def _ended(self, board):
        self._later(board)

    def _pull(self, board):
        # the plug, in the midst of a send() if it still goes on
        if not board.idle:
            board.save()
            board.reboot(self.chance.choice(("cold", "stale")))

    def _happens(self, fault, often=1):
        if self.chance.random() >= self.faults[fault] * often:
            return False
        self.world.count(fault)
        return True

    def _fate(self, call):
        if not self._happens("crash", 5 if call else 1):
            return None
        return self.chance.choice(("before running", "while running", "afterwards") if call else ("at once",))

    def _request(self, board):
        chance = self.chance
        self._number += 1
        number = self._number
        way = chance.random()
        if way < 0.06:
            return Request(number, "bare", None)
        if way < 0.1:
            return Request(number, "plain", Unreadable(f"{number} "))
        action = "plain"
        if way < 0.35:
            action = chance.choice(("fails", "strange", "unknown", "forbidden", "fresh", "fresh", "fresher"))
        parts = chance.choice((0, 0, 0, 1, 2, 4)) * board.exchange.chunk
        size = int(min(parts, 600) * chance.random())
        if chance.random() < 0.02:
            size = board.exchange.buffersize + 8
        return Request(
            number,
            action,
            body(chance.choice(FORMS), number, size),
            noreturn=chance.random() < 0.2,
            size=chance.choice((0, 0, 0, 100, 350, 1400)),
            pause=chance.choice((0, 0, 0, 0.3, 2)),
        )

    # The end: from every state the next send() succeeds

    def _last_sends(self):
        dropping = self.faults["dropping"]
        self.faults.update(dict.fromkeys(FAULTS, 0), dropping=dropping)
        self.server.downtime = lambda: 0
        for board in self.boards:
            board.done = lambda board: None
        settled = self.chance.random() < 0.7
        if settled:
            self._settle()
        self._wait(4)  # longer than the server is ever down
        for board in list(self.boards):
            state = self._bring_about(board)
            self._wait(self._quiet())
            self.network.flooding = self.chance.random() < 0.2 and not self.faults["dropping"]
            self.world.count(f"last send {state}")
            self.world.count(f"last send {'in a flood' if self.network.flooding else 'undisturbed'}")
            self._last_send(board, settled)
            self.network.flooding = False
        self._settle()

    def _settle(self):
        # afterwards no request is left that could still be taken
        self.world.run()
        self.network.release()
        self.world.run()
        self.network.sweep()
        self.world.run()

    def _wait(self, seconds):
        self.world.run(self.world.now + seconds)

    def _quiet(self):
        # often until a new token will be drawn in the midst of the last send
        left = (benserver.sessions.TOKEN_RENEWED / self.server.rate - 4) - self.chance.uniform(0, 0.08)
        return self.chance.choice((QUIET, left))

    def _bring_about(self, board):
        # the state that the last send begins from
        state = self.chance.choice(("as it is", "cold", "restored", "warm", "stale", "crashed", "taken"))
        if state == "cold":
            board.reboot("cold")
        elif state == "crashed":
            self.server.crash("before a last send")
        elif state != "as it is":
            self._send(board, self._plain())
            if state == "restored":
                board.reboot("warm")
            if state == "stale":
                board.save()
                for _ in range(self.chance.randrange(1, 3)):
                    self._send(board, self._plain())
                board.reboot("stale")
            if state == "taken":
                self._send(board.twin(), self._plain())
        return state

    def _last_send(self, board, settled):
        request = self._last_request(board)
        trips = self._trips(board)
        late = self.promises.late
        send = self._send(board, request)
        if self.promises.late > late:
            # the stranger had kept back a request that nobody had seen, and has taken the session with it
            self.world.count("last send disturbed by a late one")
            return
        if (send.told, send.status) != ("result", 0):
            raise Broken(f"send {request.number}, the last, on a clean path: {send.told} {send.status}")
        self.world.count(f"last send in {send.asked} round trips" if send.asked < 3 else "last send in more")
        single = request.size < 64 and not request.fresh
        if single and settled and not self.faults["dropping"] and send.asked not in trips:
            raise Broken(
                f"send {request.number}, the last, took {send.asked} round trips, not {sorted(trips)}"
            )

    def _trips(self, board):
        # how many a request and answer of a datagram each may take
        token, seq = board.exchange.token[1:], board.exchange.seq
        current = self.promises.current.get((board.device, board.channel))
        if seq > 64000 or any(token) and seq == 0:
            return {
                1,
                2,
            }  # about to begin again before seq wraps; or with a token that it was given, if that lives
        return {1} if current and current[0] == token and current[1] <= seq else {2}

    def _last_request(self, board):
        request = self._plain()
        chunk = board.exchange.chunk
        way = self.chance.random()
        if way < 0.15:
            request.action = self.chance.choice(("fresh", "fresher"))
        elif way < 0.3:
            request.size = min(4 * chunk, 250)
        elif way < 0.4:
            request.size, request.data = 64, body("text", request.number, min(3 * chunk, 250))
        elif way < 0.5:
            request.noreturn = True
        elif way < 0.55:
            request.action, request.data = "bare", None
        return request

    def _plain(self):
        self._number += 1
        return Request(self._number, "plain", body("json", self._number, 0))

    def _send(self, board, request):
        board.send(request)
        while not board.idle and self.world.step():
            pass
        return self.promises.sends[request.number]


def run(first, sends, only=FAULTS, real=False, length=LENGTH):
    """Plays seeds from first on until so many sends have begun; returns the counts. Broken, with the schedule."""
    counts = Counter()
    with stand_in.everything(real) as chance:
        seed = first
        while counts["sends"] < sends:
            schedule = Schedule(chance, seed, counts, only, length)
            try:
                schedule.play()
            except Broken:
                raise Broken(_report(chance, seed, only, real, length)) from None
            counts["schedules"] += 1
            counts["simulated seconds"] += int(schedule.world.now)
            seed += 1
    return counts


def _report(chance, seed, only, real, length):
    # What somebody needs who looks for the fault; with as few kinds of faults, and sends, as still break a promise.
    for fault in only:
        fewer = tuple(each for each in only if each != fault)
        if _breaks(chance, seed, fewer, length):
            only = fewer
    length = next(each for each in range(length + 1) if _breaks(chance, seed, only, each))
    schedule, broken = _breaks(chance, seed, only, length)
    options = f"--seed {seed} --sends 1 --length {length} --only {','.join(only) or NONE}{' --real' if real else ''}"
    return f"""{broken}
{schedule.world.schedule()}
{broken}
This plays it again:
PYTHONPATH=lib:host:tests python -m simulation {options}"""


def _breaks(chance, seed, only, length):
    schedule = Schedule(chance, seed, Counter(), only, length)
    try:
        schedule.play()
    except Broken as broken:
        return schedule, broken
    return None
