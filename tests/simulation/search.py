"""Small cases, exhaustively: every schedule of two or three requests with up to so many faults in it.

A schedule is a list of (step, fault); at every other step happens what comes next without a fault. Those with
fewer faults are played first, so that the first which breaks a promise is about as short as can be.
"""

from collections import Counter, deque

from . import stand_in
from .ends import Board, Server
from .promises import Promises
from .requests import Request, body
from .world import Broken, World

TRIP = 0.02  # s one way
STEPS_MAX = 60
QUIET = 1  # s before a last send, as in play.py
TIMEOUT = 1.5  # s: some copies, then the caller is told

# What boards ask for: (board, action, more), each after what its board asked for before
SHORT = (0, "plain", {})
CASES = {
    "one after the other": [SHORT, SHORT],
    "noreturn": [(0, "plain", {"noreturn": True}), SHORT],
    "a slow handler": [(0, "plain", {"pause": 0.7}), SHORT],
    "in parts": [(0, "plain", {"form": 60}), SHORT],
    "a fresh one in parts": [(0, "fresher", {"form": 60})],
    "a long reply": [(0, "plain", {"size": 300}), SHORT],
    "two clients of one channel": [SHORT, (1, "plain", {}), SHORT],
    "two clients, one slow": [(0, "plain", {"pause": 0.7}), (1, "plain", {})],
}


class Line:
    """A way on which a datagram stays until a step of the schedule moves it."""

    def __init__(self, world):
        self.world = world
        self.server = None
        self.way = deque()  # (datagram, its board, whether to the server)
        self.held = []
        self.recorded = []
        self._boards = {}

    def attach(self, board):
        """A new address for a board."""
        address = len(self._boards) + 1
        self._boards[address] = board
        return address

    def to_server(self, datagram, board):
        """A board sends."""
        self.way.append((datagram, board, board.address))
        if datagram not in self.recorded:
            self.recorded.append(datagram)

    def to_address(self, datagram, address):
        """The server answers; an old address is nobody's."""
        board = self._boards.get(address)
        if board and board.address == address:
            self.way.append((datagram, board, None))

    def deliver(self, datagram, board, address):
        """It arrives."""
        self.world.now += TRIP
        if address is None:
            board.receive(datagram)
        else:
            self.server.receive(datagram, address)


class Case:
    """One schedule of one case."""

    def __init__(self, chance, requests, schedule):
        chance.seed(0)
        self.world = World(chance)
        self.promises = Promises(self.world)
        self.line = Line(self.world)
        self.server = self.promises.server = Server(self.world, self.line, self.promises)
        self.boards = [self._board(i) for i in range(1 + max(board for board, _, _ in requests))]
        self.requests = deque(self._request(i + 1, *each) for i, each in enumerate(requests))
        self.schedule = dict(schedule)
        self.possible = []  # for each step, the faults that there could have been

    def play(self):
        """Plays it, delivers what was held and replays everything, and asks once more; Broken."""
        while (self.requests or not all(board.idle for board in self.boards)) and len(
            self.possible
        ) < STEPS_MAX:
            fault = self.schedule.get(len(self.possible))
            self.possible.append(self._faults())
            if fault:
                getattr(self, "_" + fault.split()[0])(*map(int, fault.split()[1:]))
            else:
                self._go_on()
        self._end()

    def further(self):
        """(step, fault) of each fault that there could have been after those of the schedule."""
        after = max(self.schedule, default=-1) + 1
        return [(step, each) for step in range(after, len(self.possible)) for each in self.possible[step]]

    def _board(self, i):
        name = f"board {i + 1}"
        return Board(
            self.world, self.line, self.promises, name, device=1, channel=0, chunk=64, timeout=TIMEOUT
        )

    def _request(self, number, board, action, more):
        more = dict(more)
        data = body("text", number, more.pop("form", 0))
        return board, Request(number, action, data, **more)

    # What happens at a step

    def _go_on(self):
        ready = self.requests and self.boards[self.requests[0][0]].idle
        if ready:
            board, request = self.requests.popleft()
            self.boards[board].send(request)
        elif self.line.way:
            self.line.deliver(*self.line.way.popleft())
        else:
            self.world.step()

    def _faults(self):
        faults = [f"replay {i}" for i in range(len(self.line.recorded))]
        faults += [f"release {i}" for i in range(len(self.line.held))]
        if self.line.way:
            faults += ["lose", "hold", "double"]
        if len(self.line.way) > 1:
            faults += ["overtake"]
        for i, board in enumerate(self.boards):
            faults += [f"reboot {i}"] + [f"restore {i}"] * bool(board.saved)
            faults += [f"save {i}"] * bool(board.idle and any(board.exchange.token[1:]) and not board.saved)
        return [*faults, "crash", "pass"]

    def _replay(self, which):
        datagram = self.line.recorded[which]
        self.world.note("a stranger replays {}", datagram)
        self.server.receive(datagram, -1)

    def _release(self, which):
        self.line.deliver(*self.line.held.pop(which))

    def _lose(self):
        self.world.note("{} is lost", self.line.way.popleft()[0])

    def _hold(self):
        self.line.held.append(self.line.way.popleft())
        self.world.note("{} is held", self.line.held[-1][0])

    def _double(self):
        self.world.note("{} arrives, and will again", self.line.way[0][0])
        self.line.held.append(self.line.way[0])
        self.line.deliver(*self.line.way.popleft())

    def _overtake(self):
        self.line.deliver(*self.line.way.pop())

    def _crash(self):
        self.server.crash("at once")

    def _reboot(self, which):
        self.boards[which].reboot("cold")

    def _save(self, which):
        self.boards[which].save()

    def _restore(self, which):
        self.boards[which].reboot("stale")

    def _pass(self):
        """Time passes, and nothing arrives: until the caller is told, and tokens are old."""
        self.world.note("nothing arrives for some time")
        way, self.line.way = self.line.way, deque()
        self.line.held += way
        self.world.run(self.world.now + 9)
        self.line.held += self.line.way
        self.line.way.clear()

    # The end

    def _end(self):
        self._finish()
        for each in [*self.line.held, *((datagram, None, -1) for datagram in self.line.recorded)]:
            self.line.deliver(*each)
        self._finish()
        for board in self.boards:
            self.world.run(self.world.now + QUIET)
            request = Request(len(self.promises.sends) + 1, "bare", None)
            board.send(request)
            self._finish()
            send = self.promises.sends[request.number]
            if send.told != "result":
                raise Broken(f"send {request.number}, the last, on a clean path: {send.told}")
            if send.asked > 2:
                raise Broken(f"send {request.number}, the last, took {send.asked} round trips")

    def _finish(self):
        while self.line.way or not all(board.idle for board in self.boards):
            if self.line.way:
                self.line.deliver(*self.line.way.popleft())
            else:
                self.world.step()


def search(faults, every=1):
    """Plays all schedules with up to so many faults, of the longest each so-manieth; returns the counts. Broken."""
    counts = Counter()
    with stand_in.everything() as chance:
        level = [(name, ()) for name in CASES]
        for depth in range(faults + 1):
            longer = []
            for name, schedule in level[:: every if depth == faults else 1]:
                case = _play(chance, name, schedule)
                counts[f"schedules with {depth} faults"] += 1
                counts["sends"] += len(case.promises.sends)
                if depth < faults:
                    longer += [(name, (*schedule, each)) for each in case.further()]
            level = longer
    return counts


def again(name, schedule):
    """Plays one schedule of a case, as a report tells it: "crash at step 3, pass at step 5"."""
    faults = [each.split(" at step ") for each in schedule.split(", ") if each]
    with stand_in.everything() as chance:
        _play(chance, name, [(int(step), fault) for fault, step in faults])


def _play(chance, name, schedule):
    case = Case(chance, CASES[name], schedule)
    try:
        case.play()
    except Broken as broken:
        raise Broken(_report(case, name, schedule, broken)) from None
    return case


def _report(case, name, schedule, broken):
    faults = ", ".join(f"{fault} at step {step}" for step, fault in schedule)
    return f"""{broken}
{case.world.schedule()}
{broken}
This plays it again:
PYTHONPATH=lib:host:tests python -m simulation --case "{name}" --faults "{faults}\""""
