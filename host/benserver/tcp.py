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
from .sessions import DATAGRAM_MAX, Call, Sessions

log = logging.getLogger("benserver")

CONNECTIONS_MAX = 4096  # as many as devices; where all have shown a key, who comes then is sent away
STRANGERS_MAX = 256  # of these, such as have not shown a key: the oldest makes room
PATIENCE = 10.0  # s for a connection's first message, and for any message from its first byte to its last
UNREAD_MAX = 1 << 16  # bytes of replies that a slow reader may leave before it is dropped
AT_ONCE = 2048  # bytes that are taken from one connection before the next has its turn
DEAD_AFTER = (60, 20, 3)  # s of silence, s between probes, and probes, after which a connection is dead


class Tcp:
    """One listening socket and its connections."""

    def __init__(self, sessions: Sessions, actions: Actions, names: Mapping[int, str]) -> None:
        self.sessions = sessions
        self.actions = actions
        self.names = names
        self.connections: dict[Connection, None] = {}  # in the order in which they came
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> int:
        """Binds the socket in the running loop; returns its port. OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), host, port, backlog=CONNECTIONS_MAX)
        return cast(int, self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Closes the socket and every connection; handlers that still run are not answered."""
        if self._server:
            self._server.close()
            self._server = None
        for connection in list(self.connections):
            connection.drop()

    def make_room(self) -> None:
        """Drops the connections that have not shown a key for longest, where there are too many of any kind."""
        strangers = [connection for connection in self.connections if not connection.known]
        over = max(0, len(strangers) - STRANGERS_MAX, len(self.connections) - CONNECTIONS_MAX)
        for connection in strangers[:over]:
            connection.drop()


class Connection(asyncio.BufferedProtocol):
    """One client's connection."""

    def __init__(self, server: Tcp) -> None:
        self.known = False  # whether it has shown a key
        self._server = server
        self._frames = Frames(DATAGRAM_MAX)
        self._room = bytearray(AT_ONCE)
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
        self._stop_waiting()

    def get_buffer(self, sizehint: int) -> bytearray:
        """Where bytes may come."""
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came, in pieces of any size; whatever they are, the other connections go on."""
        data = bytes(self._room[:nbytes])
        try:
            while data and not self._transport.is_closing():
                need = self._frames.need
                message = self._frames.feed(data[:need])
                data = data[need:]
                if message:
                    self._stop_waiting()
                    self._take(bytes(message))
                elif not self._deadline:
                    self._expect()
        except ValueError:  # no length of ours
            self.drop()
        except Exception:
            log.exception("the connection of %s was dropped", self._address)
            self.drop()

    def send(self, message: bytes) -> None:
        """Sends a message, or drops a client that reads none."""
        if not self._transport.is_closing():
            self._transport.write(framed(message))
            if self._transport.get_write_buffer_size() > UNREAD_MAX:
                if self.known:  # a stranger, with what was overheard, writes no log
                    log.warning("%s reads too slowly: its connection was dropped", self._address)
                self.drop()

    def drop(self) -> None:
        """Ends it at once."""
        self._transport.abort()

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

    def _expect(self) -> None:
        self._deadline = asyncio.get_running_loop().call_later(PATIENCE, self.drop)

    def _stop_waiting(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None


def _watch(sock: Any) -> None:
    # A board that lost its power says nothing: only probes tell.
    with contextlib.suppress(OSError):  # it has ended already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in zip(("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"), DEAD_AFTER):
        with contextlib.suppress(AttributeError, OSError):  # not every system has each
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
