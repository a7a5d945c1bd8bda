"""The checks: each returns what it saw, or raises Failed or Skipped. Its docstring is its name in the report."""

import time

from .board import FOLDER, device
from .verdicts import Failed, Skipped, Stop, expect, report

SETTLED = 3  # s; a send() within a round trip of the server's restart may hear "maybe": docs/protocol.md
PAYLOAD = 1500  # bytes: more than one datagram holds
KEY, WRONG_KEY = f"{FOLDER}/key.sec", f"{FOLDER}/wrong.sec"


class Checks:
    def __init__(self, board, station, facts, wifi):
        self.board = board
        self.station = station
        self.facts = facts
        self.wifi = wifi

    @classmethod
    def chosen(cls, only):
        """The checks that have these words in their names."""
        checks = [each for each in cls.ORDER if only in each.__doc__]
        if not checks:
            names = "; ".join(each.__doc__ for each in cls.ORDER)
            raise Stop(f"no check has {only!r} in its name: {names}")
        return checks

    def make(self, checks):
        """Makes these; whether none failed."""
        self._contact()
        return all([self._passes(each) for each in checks])

    def _passes(self, each):
        """Makes one check and reports what came of it; False if it failed."""
        try:
            verdict, text = "ok", each(self)
        except Failed as error:
            verdict, text = "failed", error
        except Skipped as error:
            verdict, text = "skipped", error
        report(verdict, each.__doc__, text)
        return verdict != "failed"

    # --- what they begin with ---

    def _restart(self):
        """The board's memory is empty then."""
        self.board.run("", restarted=True)
        self.wifi.join(self.board, self.facts)

    def _link(self, **options):
        """A client on a board that has just been restarted, and what uses it."""
        self._restart()
        self.board.run(device("link") + self._client(**options))

    def _client(self, timeout=10, key=KEY, **options):
        """The source of a new client."""
        options.update(host=self.station.address, port=self.station.port, timeout=timeout, keyfile=key)
        words = ", ".join(f"{name}={value!r}" for name, value in options.items())
        return f"from ben import client\nlink = client({words})\n"

    def _contact(self):
        """The first reading; without it nothing else makes sense."""
        self._link()
        got = self.board.ask("send(link, 0)")
        if got != 0:
            raise Stop(
                f"the board's first reading did not arrive ({got}). Is UDP port {self.station.port} of "
                f"{self.station.address} open in this machine's firewall, and is the board in the same network? "
                "--address and --udp-port name others"
            )

    # --- the checks; up to the wrong key they go on with one client ---

    def readings(self):
        """ten readings"""
        return self._all_arrive(10)

    def long(self):
        """a long message both ways"""
        expect(self.board.ask(f"echo(link, {PAYLOAD})"), "what came back is not what was sent")
        return f"{PAYLOAD} bytes"

    def loss(self):
        """two of five datagrams lost"""
        self.station.lossy = True
        try:
            return f"{self._all_arrive(12)}, {self.station.lost} datagrams lost"
        finally:
            self.station.lossy = False

    def _all_arrive(self, count):
        self.station.numbers.clear()
        got = self.board.ask(f"[send(link, i) for i in range({count})]")
        self._expect_once(got, list(range(count)))
        return f"{count} of {count}, each once"

    def _expect_once(self, told, numbers):
        expect(told == numbers, f"the board was told {told}")
        got = self.station.numbers
        expect(got == numbers, f"the server got {got}")

    def restarted_server(self):
        """the server restarts, stops and comes back"""
        self.station.numbers.clear()
        first = self.board.ask("send(link, 1)")
        self.station.stop()
        self.station.start()
        time.sleep(SETTLED)
        second = self.board.ask("send(link, 2)")
        self.station.stop()
        try:
            third = self.board.ask("send(link, 3)", "link.close()\n" + self._client(timeout=3))
        finally:
            self.station.start()
        fourth = self.board.ask("send(link, 4)", self._client())
        expect(third == "not run", f"while there was no server, the board was told {third!r}")
        self._expect_once([first, second, fourth], [1, 2, 4])
        return 'the next send works; meanwhile it says "not run"'

    def wrong_key(self):
        """a wrong key"""
        self.station.numbers.clear()
        got = self.board.ask("send(link, 5)", "link.close()\n" + self._client(timeout=3, key=WRONG_KEY))
        expect(got == "not run" and not self.station.numbers, f"the board was told {got!r}")
        return "gets no answer"

    def session(self):
        """a session handed over, as before and after deep sleep"""
        self._link(device=1)
        _, before = self.board.ask("send_and_session(link, 6)")
        self._link(device=1, session=bytes.fromhex(before))
        got, after = self.board.ask("send_and_session(link, 7)")
        expect(got == 7, f"the board was told {got!r}")
        # The same token as before: had the server forgotten the session, it would have sent a new one.
        expect(after[:16] == before[:16], "the server did not know the session any more")
        return "goes on in one round trip"

    def times(self):
        """a hundred sends: time"""
        self._link()
        self.heap, times = self.board.ask("hundred(link, send)", device("hundred"))
        sent, median, worst = times
        expect(sent == 100, f"the one after {sent} was not answered")
        return f"median {median / 1000:.1f} ms, worst {worst / 1000:.1f} ms"

    def memory(self):
        """a hundred sends: memory"""
        if not hasattr(self, "heap"):
            self.times()
        start, low, after = self.heap
        text = (
            f"free after a restart {self.facts['free']}, with ben and a client {start}, "
            f"lowest seen in a send {low}, after 100 sends {after} bytes"
        )
        # The list of a hundred times is gone, but a heap that was in pieces keeps a few blocks.
        expect(start - after < 1024, text)
        return text

    def aio(self):
        """the asyncio client"""
        if not self.facts["asyncio"]:
            raise Skipped("this board has no asyncio")
        self._restart()
        self.station.numbers.clear()
        got = self.board.call("two_tasks", self.station.address, self.station.port, KEY)
        self.station.numbers.sort()  # two tasks have no order
        self._expect_once(got, list(range(10)))
        return "two tasks, five sends each"

    def random(self):
        """os.urandom, also after a reset"""
        draws = []
        for _ in range(2):
            self.board.restart()
            draws += self.board.call("draw", 32)
        expect(len(set(draws)) == len(draws), "numbers come again: an old reply could be taken for a new one")
        bits = "".join(f"{int(each, 16):0128b}" for each in draws)
        ones = bits.count("1")
        # 8192 bits: eight standard deviations, so that it is never chance
        expect(abs(ones - len(bits) // 2) < 362, f"{ones} of {len(bits)} bits are set")
        return f"{len(draws)} draws of 16 bytes, no two alike, {100 * ones / len(bits):.1f} % of bits set"

    ORDER = (readings, long, loss, restarted_server, wrong_key, session, times, memory, aio, random)
