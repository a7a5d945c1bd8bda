"""What has to hold, whatever happens on the way: judged from outside, from what leaves, arrives and runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ben import keys
from benserver import status

from .requests import NEVER_RUN, Request
from .stand_in import PRK
from .world import Broken

COLD = bytes(7)
NEVER = 65535
NEXT = 15
TOKEN_LIFE = 30  # s on the server's clock


@dataclass
class Send:
    """A send() and what is known of it."""

    request: Request
    board: Any
    began: float
    ended: float | None = None
    told: str = ""  # "result", "error", "not run", "maybe" or "rebooted"
    status: int = 0
    ran: int = 0
    vanished: bool = False  # the server crashed between taking it and running it
    first_sealed: float = 0  # when the first part of the attempt under way was
    latest: bytes = b""  # the request under way
    latest_began: int = 0  # ms on the board's clock
    runs_it: bool = False  # that request can make the handler run: it is the last part, under a token
    may: bool = False  # a copy of the last part has left under a token since the last CHAL or status 6
    may_before: bool = False  # the same before the CHAL that came last
    young: bool = False  # that CHAL said: a session was forgotten since this part's first copy
    interrupted: bool = False  # another was taken since, or the server crashed
    piece: float = 0  # when the server first made its reply, or a piece of it, last
    asked: int = 0  # how many different requests have left
    sealed: dict = field(default_factory=dict)  # request: when the first part of its attempt was


class Promises:
    """Raises Broken as soon as one does not hold."""

    def __init__(self, world):
        self.world = world
        self.sends = {}
        self.server = None
        self.current = {}  # (device, channel): the (token, seq) that the server last went on with
        self.newest = {}  # (device, channel): when the newest send() that succeeded began
        self.late = 0  # requests taken whose send() had ended
        self._of = {}  # request: its Send
        self._full = set()  # requests that a reply over three times their length has gone out for
        self._taken = b""  # the request that reached the server last
        self._sealed = {}  # request: when
        self._replied = {}  # request: the first reply to it
        self._holder = {}  # (device, channel): the Send whose request the server took last
        self._keys = {}

    def request(self, number):
        return self.sends[number].request

    # What the board does

    def begins(self, board, request):
        send = Send(request, board, self.world.now)
        self.sends[request.number] = board.sending = send
        self.world.count("sends")

    def leaves(self, board, datagram):
        """A board sends a request, or a copy of one."""
        if not 64 <= len(datagram) <= 1232:
            raise Broken(f"a request of {len(datagram)} bytes")
        send = board.sending
        if datagram == send.latest:
            self.world.note("{} sends {} again", board.name, datagram)
            self.world.count("copies")
        else:
            self._new(board, send, datagram)
        send.may = send.may or send.runs_it

    def _new(self, board, send, datagram):
        self._describe(board, send, datagram)
        self._of[datagram] = send
        send.asked += 1
        send.latest = datagram
        send.latest_began = board.ms()
        self._sealed[datagram] = self.world.now
        form = self._form(board.device, datagram)
        fetching = form & 0x0F == NEXT
        send.runs_it = datagram[7:14] != COLD and not (form & 0x20 or fetching)
        if not (form & 0x10 or fetching):
            send.first_sealed = self.world.now
        send.sealed[datagram] = send.first_sealed

    def enters(self, board, datagram):
        """A datagram reaches a board that waits: if it is the answer to its request, what does it say?"""
        send = board.sending
        plain = self._open_answer(board.device, datagram, send.latest)
        if plain is None:
            return
        if datagram[1] == 3:
            age = int.from_bytes(plain[8:10], "big") * 100
            send.may_before, send.may = send.may, False
            send.young = age <= (board.ms() - send.latest_began) * 9 / 8
        elif plain[0] & 0x1F == 6:
            send.may = send.may_before = False

    def told(self, board, told, value):
        """A send() has ended."""
        send, request = board.sending, board.sending.request
        send.ended, send.told = self.world.now, told
        if told == "rebooted":
            return
        if told in ("result", "error"):
            self._answered(send, told, value)
        elif told == "not run":
            if send.ran:
                raise Broken(f"send {request.number} ran, and the caller was told: not run")
            if send.may:
                raise Broken(f"send {request.number} may have run, and the caller was told: not run")
        elif not (send.may or send.may_before and send.young):
            raise Broken(f"send {request.number} cannot have run, and the caller was told: maybe")
        if send.ran and told == "result":
            place = board.device, board.channel
            self.newest[place] = max(send.began, self.newest.get(place, -1))

    def _answered(self, send, told, value):
        request, board = send.request, send.board
        send.status = value if told == "error" else status.OK
        allowed = request.told(board.exchange.buffersize, self.server.buffersize)
        if send.status not in allowed:
            raise Broken(f"send {request.number}: status {send.status}, not {sorted(allowed)}")
        if send.status in NEVER_RUN:
            if send.ran:
                raise Broken(f"send {request.number} ran and was refused with status {send.status}")
            return
        if not send.ran and not (request.noreturn and send.vanished):
            raise Broken(f"send {request.number} has not run, and the caller was told: {told} {value}")
        if told == "result" and value != ({} if request.noreturn else request.answer()):
            raise Broken(f"send {request.number} got another's reply: {value}")

    # What the server does

    def crashes(self):
        """The server forgets everything."""
        self.current.clear()
        for send in self._holder.values():
            send.interrupted = True
        self._holder.clear()

    def receives(self, datagram, reply, call):
        """A datagram has reached the server: does it go on with that session?"""
        if (reply or call) and datagram not in self._of:
            raise Broken("the server answered what no board has sent")
        self._taken = datagram
        if not call and not (reply and reply[1] == 2):
            return
        place = int.from_bytes(datagram[2:6], "big"), datagram[6] & 3
        current = datagram[7:14], int.from_bytes(datagram[14:16], "big")
        if current != self.current.get(place):
            self._takes(place, current, datagram)

    def _takes(self, place, current, datagram):
        # the request of another moment than the one before: a commit
        send = self._of[datagram]
        if current[0] != self.current.get(place, current)[0]:
            age = (self.world.now - self._sealed[datagram]) * self.server.rate
            if age > TOKEN_LIFE:
                raise Broken(f"a session began with a request that was sealed {age:.1f} s ago")
        self.current[place] = current
        before = self._holder.get(place, send)
        before.interrupted = before.interrupted or before is not send
        self._holder[place] = send
        if send.ended is not None:
            self.late += 1

    def answers(self, datagram, reply):
        """A reply leaves the server."""
        if not 52 <= len(reply) <= 1232:
            raise Broken(f"a reply of {len(reply)} bytes")
        if len(reply) > 3 * len(datagram):
            if datagram in self._full:
                raise Broken(f"{len(reply)} bytes again for a request of {len(datagram)}")
            self._full.add(datagram)
        if reply[1] == 2:
            self._replies(datagram, reply)
        self.world.count("answers")
        self.world.name(reply, "a")
        self.world.note("the server answers {} with {} {}", datagram, reply, _Answer(self, datagram, reply))

    def _replies(self, datagram, reply):
        send = self._of[datagram]
        plain = self._open_answer(send.board.device, reply, datagram)
        if plain is None:
            raise Broken("the server answered a request with another's reply")
        code = plain[0] & 0x1F
        self.world.count(f"status {code}")
        if datagram in self._replied:
            self.world.count("reply again" if self._replied[datagram] == reply else "reply cut")
            return
        self._replied[datagram] = reply
        if plain[0] & 0x20:
            self.world.count("reply in pieces")
        if (
            self._form(send.board.device, datagram) & 0x0F == NEXT
            and code == status.GONE
            and not send.interrupted
        ):
            age = (self.world.now - send.piece) * self.server.rate
            if age < self.server.timeout:
                raise Broken(f"the rest of a reply is gone after {age:.1f} s")
        send.piece = self.world.now

    def vanishes(self, number):
        """The server crashed before it ran what it had taken."""
        self.sends[number].vanished = True

    def runs(self, number, data):
        """A handler runs."""
        send = self.sends[number]
        request, board = send.request, send.board
        send.ran += 1
        self.world.count("runs")
        if data != request.data:
            raise Broken(f"send {number} reached the handler with other data")
        if send.ran > 1:
            raise Broken(f"send {number} ran twice")
        if send.told == "not run":
            raise Broken(f"send {number} ran after the caller was told: not run")
        if send.told == "error" and send.status in NEVER_RUN:
            raise Broken(f"send {number} ran after it was refused with status {send.status}")
        if send.ended is not None:
            self.world.count("ran late")
            if self.newest.get((board.device, board.channel), -1) >= send.ended:
                raise Broken(f"send {number} ran after a newer one of its channel had succeeded")
        if request.fresh:
            age = (self.world.now - send.sealed[self._taken]) * self.server.rate
            if age > request.fresh + 1e-6:
                raise Broken(
                    f"send {number} ran {age:.1f} s after it was sealed, and not within {request.fresh} s"
                )

    # Reading along

    def _form(self, device, datagram):
        return self._directions(device)[0].open(datagram, 16)[0]

    def _directions(self, device):
        if device not in self._keys:
            self._keys[device] = keys.directions(keys.derive(PRK, device.to_bytes(4, "big")))
        return self._keys[device]

    def _open_answer(self, device, datagram, request):
        if datagram[:1] != b"\xb2" or datagram[1:2] not in (b"\2", b"\3") or datagram[2:4] != request[14:16]:
            return None
        return self._directions(device)[1].open(datagram, 4, request[-16:])

    def _describe(self, board, send, datagram):
        self.world.name(datagram, "q")
        token = datagram[7:14]
        self.world.note(
            "{} sends {}: for send {}, {}, seq {}",
            board.name,
            datagram,
            send.request.number,
            f"token {token.hex()[:4]}" if token != COLD else "cold",
            int.from_bytes(datagram[14:16], "big"),
        )


class _Answer:
    """A reply in words, opened only when somebody reads the schedule."""

    def __init__(self, promises, request, reply):
        self._what = promises, request, reply

    def __format__(self, _):
        promises, request, reply = self._what
        plain = promises._open_answer(int.from_bytes(request[2:6], "big"), reply, request)
        if plain is None:
            return "(of another request)"
        if reply[1] == 3:
            age = int.from_bytes(plain[8:10], "big")
            return f"CHAL(token {bytes(plain[1:3]).hex()}, {'never' if age == NEVER else f'{age / 10} s'})"
        return f"RSP(status {plain[0] & 0x1F}{', more' if plain[0] & 0x20 else ''}, {len(plain) - 2} bytes)"
