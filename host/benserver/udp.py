"""The UDP socket of the link: datagrams to Sessions and back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any, cast

from .actions import Actions, Outcome, Sender
from .address import text
from .sessions import DATAGRAM_MAX, Call, Sessions

log = logging.getLogger("benserver")


class Udp(asyncio.DatagramProtocol):
    """One listening socket."""

    def __init__(self, sessions: Sessions, actions: Actions, names: Mapping[int, str]) -> None:
        self._sessions = sessions
        self._actions = actions
        self._names = names
        self._transport: asyncio.DatagramTransport | None = None

    async def listen(self, host: str, port: int) -> int:
        """Binds the socket in the running loop; returns its port. OSError."""
        self._transport = await bind(self, host, port, DATAGRAM_MAX)
        return cast(int, self._transport.get_extra_info("sockname")[1])

    def close(self) -> None:
        """Closes the socket; handlers that still run are not answered."""
        if self._transport:
            self._transport.close()
            self._transport = None

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """One datagram from anyone: whatever it is, the next one is served."""
        try:
            reply, call = self._sessions.receive(data, time.monotonic())
            self._send(reply, addr)
            if call:
                self._run(call, addr)
        except Exception:
            log.exception("a datagram from %s was dropped", text(addr))

    def error_received(self, exc: Exception) -> None:
        """A board that is gone answers with an ICMP error: its own next request finds us."""

    def _run(self, call: Call, addr: tuple[Any, ...]) -> None:
        asked = Sender(call.device, self._names.get(call.device), "udp", text(addr), secure=True)

        def done(outcome: Outcome) -> None:
            if not call.noreturn:
                reply = self._sessions.finish(call, outcome, time.monotonic())
                self._send(reply, addr)
                if call.stream:  # its client has gone over to TCP meanwhile
                    call.stream(reply)

        self._actions.run(call.action, call.data, asked, done)

    def _send(self, datagram: bytes | None, addr: tuple[Any, ...]) -> None:
        if datagram and self._transport:
            self._transport.sendto(datagram, addr)


async def bind(
    protocol: asyncio.DatagramProtocol, host: str, port: int, most: int
) -> asyncio.DatagramTransport:
    """A socket for datagrams of so many bytes: a longer one is cut, and still too long. OSError."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: protocol, local_addr=(host, port)
    )
    # asyncio makes room for 256 KB before each datagram, which takes longer than to read one of ours.
    if hasattr(transport, "max_size"):
        transport.max_size = most + 1
    return transport
