"""The TCP socket of the link: messages behind their lengths to Sessions and back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Mapping
from typing import Any, cast

from ben.tcp import Frames, framed

from .actions import Actions, Outcome, Sender
from .address import text
from .legacy import TICK, Conversation, Relay, begins
from .sessions import DATAGRAM_MAX, Call, Sessions

log = logging.getLogger("benserver")

CONNECTIONS_MAX = 4096  # as many as devices; where all have shown a key, who comes then is sent away
STRANGERS_MAX = 256  # of these, such as have not shown a key: the oldest makes room
PATIENCE = 10.0  # s for a connection's first message, and for any message from its first byte to its last
UNREAD_MAX = 1 << 16  # bytes of replies that a slow reader may leave before it is dropped
AT_ONCE = 2048  # bytes that are taken from one connection before the next has its turn
DEAD_AFTER = (60, 20, 3)  # s of silence, s between probes, and probes, after which a connection is dead


class Tcp:
    """One listening socket and its connections; relay: what plain clients share, where they are let in."""

    def __init__(
        self, sessions: Sessions, actions: Actions, names: Mapping[int, str], relay: Relay | None = None
    ) -> None:
        self.sessions = sessions
        self.actions = actions
        self.names = names
        self.relay = relay
        self.connections: dict[Connection, None] = {}  # in the order in which they came
        self.plain: set[Connection] = set()  # of plain clients that were let in: the relay counts them
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def listen(self, host: str, port: int) -> int:
        """Binds the socket in the running loop; returns its port. OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), host, port, backlog=CONNECTIONS_MAX)
        if self.relay:
            self.relay.warn()
            self._tick(self.relay)
        return cast(int, self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Closes the socket and every connection; handlers that still run are not answered."""
        if self._server:
            self._server.close()
            self._server = None
        if self._timer:
            self._timer.cancel()
        for connection in (*self.connections, *self.plain):
            connection.drop()

    def make_room(self) -> None:
        """Drops the connections that have not shown a key for longest, where there are too many of any kind."""
        strangers = [connection for connection in self.connections if not connection.known]
        over = max(0, len(strangers) - STRANGERS_MAX, len(self.connections) - CONNECTIONS_MAX)
        for connection in strangers[:over]:
            connection.drop()

    def _tick(self, relay: Relay) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK, self._tick, relay)
        relay.tick()


class Connection(asyncio.BufferedProtocol):
    """One client's connection."""

    def __init__(self, server: Tcp) -> None:
        self.known = False  # whether it has shown a key
        self._server = server
        self._frames = Frames(DATAGRAM_MAX)
        self._room = bytearray(AT_ONCE)
        self._fresh = True  # whether nothing has come yet
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody is there."""
        self._transport = cast(asyncio.Transport, transport)
        self._address = text(transport.get_extra_info("peername"))
        self._server.connections[self] = None
        self._server.make_room()
        if not self._transport.is_closing():  # it had no room itself
            _watch(transport.get_extra_info("socket"))
            self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended, by either side; a call that still runs may be asked for over the next."""
        self._server.connections.pop(self, None)
        self._server.plain.discard(self)
        self._stop_waiting()

    def get_buffer(self, sizehint: int) -> bytearray:
        """Where bytes may come."""
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came, in pieces of any size; whatever they are, the other connections go on."""
        data = bytes(self._room[:nbytes])
        try:
            self._feed(data)
        except ValueError:  # no length of ours
            self.drop()
        except Exception:
            log.exception("the connection of %s was dropped", self._address)
            self.drop()

    def send(self, message: bytes) -> None:
        """Sends a message, or drops a client that reads none."""
        self._write(framed(message))

    def drop(self) -> None:
        """Ends it at once."""
        self._transport.abort()

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)
            if self._transport.get_write_buffer_size() > UNREAD_MAX:
                if self.known:  # a stranger, with what was overheard, writes no log
                    log.warning("%s reads too slowly: its connection was dropped", self._address)
                self.drop()

    def _feed(self, data: bytes) -> None:
        fresh, self._fresh = self._fresh, False
        if fresh and self._server.relay and begins(data):
            self._speak_plainly(data, self._server.relay)
            return
        while data and not self._transport.is_closing():
            need = self._frames.need
            message = self._frames.feed(data[:need])
            data = data[need:]
            if message:
                self._stop_waiting()
                self._take(bytes(message))
            elif not self._deadline:
                self._expect()

    def _take(self, message: bytes) -> None:
        sessions = self._server.sessions
        ask = sessions.open(message, time.monotonic())
        if ask is None:  # a stranger gets no answer, here no connection either
            self.drop()
            return
        before = ask.channel.last
        reply, call = sessions.answer(ask, self.send)
        if ask.channel.last != before:  # else it may be what somebody overheard
            self.known = True
        if reply:
            self.send(reply)
        if call:
            self._run(call)

    def _run(self, call: Call) -> None:
        asked = Sender(call.device, self._server.names.get(call.device), "tcp", self._address, secure=True)

        def done(outcome: Outcome) -> None:
            if not call.noreturn:
                reply = self._server.sessions.finish(call, outcome, time.monotonic())
                self.send(reply)
                if (
                    call.stream and call.stream != self.send
                ):  # a copy came over another connection, for this one may be dead
                    call.stream(reply)

        self._server.actions.run(call.action, call.data, asked, done)

    def _speak_plainly(self, data: bytes, relay: Relay) -> None:
        self.connection_lost(None)
        plain = PlainConnection(self._server, relay)
        self._transport.set_protocol(plain)
        plain.connection_made(self._transport)
        plain._feed(data)

    def _expect(self) -> None:
        self._deadline = asyncio.get_running_loop().call_later(PATIENCE, self.drop)

    def _stop_waiting(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None


class PlainConnection(Connection):
    """One plain client's connection, which counts as a stranger's until the client has said what it is."""

    def __init__(self, server: Tcp, relay: Relay) -> None:
        super().__init__(server)
        self._talk = Conversation(relay, self._write, self._go_on)
        self._unfed = b""  # came, while it waits for the hub: no more than AT_ONCE

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended, by either side."""
        super().connection_lost(exc)
        self._talk.close()

    def drop(self) -> None:
        """Ends it at once."""
        self._talk.close()
        super().drop()

    def _feed(self, data: bytes) -> None:
        self._unfed += data
        while self._unfed and self._talk.need:
            need = self._talk.need
            data, self._unfed = self._unfed[:need], self._unfed[need:]
            self._talk.feed(data)
        if self._talk.entered:
            self._server.connections.pop(self, None)
            self._server.plain.add(self)
        self._follow()

    def _go_on(self) -> None:
        self._feed(b"")

    def _follow(self) -> None:
        # Reads on as long as there is a use for it, and no longer than PATIENCE within a message.
        if self._talk.ended:  # closed now, with something to read, it would take back what was told last
            self._unfed = b""
            self._transport.write_eof()
        if self._talk.need or self._talk.ended:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()
        if self._talk.resting:
            self._stop_waiting()
        elif not self._deadline:
            self._expect()


def _watch(sock: Any) -> None:
    # A board that lost its power says nothing: only probes tell.
    with contextlib.suppress(OSError):  # it has ended already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in zip(("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"), DEAD_AFTER):
        with contextlib.suppress(AttributeError, OSError):  # not every system has each
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
