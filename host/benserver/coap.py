"""The UDP socket of CoAP: datagrams to aiocoap and back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any, cast

from aiocoap import Context, Message, interfaces
from aiocoap.message import Direction
from aiocoap.messagemanager import MessageManager
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.numbers.types import ACK, CON, NON, Type
from aiocoap.tokenmanager import TokenManager

from ben.coap.message import decode

from .actions import Actions
from .address import text
from .coap_actions import FORMATS, LINK_FORMAT, OPTIONS, Kept, Site
from .udp import bind

log = logging.getLogger("benserver")

TOKEN_MAX = 8
OPTIONS_MAX = 1024  # bytes of a message's options: a path, a query and all else
UNKNOWN = 0xFFFF  # stands for any critical option, and any format, that means nothing here
FORMATTED = {OptionNumber.CONTENT_FORMAT, OptionNumber.ACCEPT}
RECENT_MAX = 16384  # requests whose copies are known as such: 30 MB, with the longest answers
RECENT_LIFE = 247.0  # s in which a copy may come: EXCHANGE_LIFETIME of RFC 7252
UNACKNOWLEDGED_MAX = 256  # answers that are repeated until their clients acknowledge them
WAITING_MAX = 8  # of one client's, that wait for it to acknowledge the one before


class Peer(interfaces.EndpointAddress):  # type: ignore[misc]
    """A client, as aiocoap wants it."""

    scheme = "coap"
    hostinfo = property(lambda self: text(self.address))
    hostinfo_local = ""
    uri_base = property(lambda self: f"coap://{self.hostinfo}")
    uri_base_local = "coap://"
    is_multicast = is_multicast_locally = False
    blockwise_key = property(lambda self: self.address)

    def __init__(self, address: tuple[Any, ...]) -> None:
        self.address = address

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Peer) and self.address == other.address

    def __hash__(self) -> int:
        return hash(self.address)


class Messages(MessageManager):  # type: ignore[misc]
    """What aiocoap knows of datagrams, within bounds."""

    def send_message(self, message: Any, messageerror_monitor: Any) -> Any:
        """Sends an answer; once only, where too many wait for their clients to acknowledge them."""
        if self._is_full(message.remote):
            message.mtype = NON
        return super().send_message(message, messageerror_monitor)

    def _deduplicate_message(self, message: Any) -> bool:
        return False  # copies do not come so far, and its list of requests has no end

    def _is_full(self, peer: Peer) -> bool:
        waiting = len(self._backlogs.get(peer, ()))
        return waiting >= WAITING_MAX or len(self._active_exchanges) >= UNACKNOWLEDGED_MAX


class Seen:
    """A request that came, by its hash, and the datagram that acknowledged it."""

    def __init__(self, request: bytes) -> None:
        self.request = hash(request)
        self.reply: bytes | None = None


class Coap(asyncio.DatagramProtocol, interfaces.MessageInterface):  # type: ignore[misc]
    """One listening socket. Not one of aiocoap's own, which share their port with other servers."""

    def __init__(self, actions: Actions, buffersize: int) -> None:
        self._site = Site(actions, buffersize)
        # A longer datagram is cut, and its body is still too long.
        self._most = 4 + TOKEN_MAX + OPTIONS_MAX + 1 + buffersize
        self._recent: Kept[Seen] = Kept(RECENT_MAX, RECENT_LIFE)
        self._context: Any = None
        self._messages: Any = None
        self._transport: asyncio.DatagramTransport | None = None

    async def listen(self, host: str, port: int) -> int:
        """Binds the socket in the running loop; returns its port. OSError."""
        self._start_aiocoap()
        self._transport = await bind(self, host, port, self._most)
        log.warning(
            "CoAP is let in: no key protects what it brings; it reaches actions that were added with "
            "insecure=True, and no others"
        )
        return cast(int, self._transport.get_extra_info("sockname")[1])

    async def close(self) -> None:
        """Closes the socket; handlers that still run are not answered."""
        if self._context:
            await self._context.shutdown()

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """One datagram from anyone: whatever it is, the next one is served."""
        try:
            self._receive(data, Peer(addr))
        except Exception:
            log.exception("a datagram from %s was dropped", text(addr))

    def error_received(self, exc: Exception) -> None:
        """A client that is gone answers with an ICMP error, and to nobody's harm."""

    def _receive(self, data: bytes, peer: Peer) -> None:
        try:
            message = decoded(data, peer)
        except ValueError:
            return
        if message.code.is_request() and message.mtype in (CON, NON):
            key = peer, message.mid
            seen = self._recent.get(key)
            # What differs is no copy: its client has begun anew.
            if seen and seen.request == hash(data):
                self._send(seen.reply, peer)
                return
            self._recent.put(key, Seen(data))
        self._messages.dispatch_message(message)

    def _send(self, datagram: bytes | None, peer: Peer) -> None:
        if datagram and self._transport:
            self._transport.sendto(datagram, peer.address)

    # What aiocoap asks for

    def send(self, message: Any) -> None:
        """Sends a message."""
        datagram = message.encode()
        seen = self._recent.get((message.remote, message.mid)) if message.mtype is ACK else None
        if seen:
            seen.reply = datagram
        self._send(datagram, message.remote)

    async def determine_remote(self, message: Any) -> None:
        """Nobody: we ask for nothing."""

    async def shutdown(self) -> None:
        """The end of close()."""
        if self._transport:
            self._transport.close()
            self._transport = None

    def _start_aiocoap(self) -> None:
        own = log.getChild("coap")
        if not own.level:  # it tells of each datagram that it finds odd, but strangers fill no log
            own.setLevel(logging.ERROR)
        self._context = Context(asyncio.get_running_loop(), self._site, own.name)
        tokens = TokenManager(self._context)
        self._messages = tokens.token_interface = Messages(tokens)
        self._messages.message_interface = self
        self._context.request_interfaces.append(tokens)


def decoded(datagram: bytes, peer: Peer) -> Any:
    """The message in a datagram, without options that mean nothing here; ValueError for what is no CoAP."""
    came = decode(datagram, len(datagram))
    message = Message(code=came.code, payload=came.payload)
    message.mid, message.mtype, message.token = came.id, Type(came.type), came.token
    message.remote = peer
    message.direction = Direction.INCOMING
    for number, value in _known(came.options):
        message.opt.add_option(OptionNumber(number).create_option(decode=value))
    return message


def _known(options: list[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    # aiocoap remembers every number of an option or a format for good: strangers are not to add any.
    before: set[int] = set()
    for number, value in options:
        rule = OPTIONS.get(number)
        if rule and len(value) <= rule.most and (rule.repeats or number not in before):
            yield number, _known_format(value) if number in FORMATTED else value
        elif number % 2:
            yield UNKNOWN, b""
        before.add(number)


def _known_format(value: bytes) -> bytes:
    number = int.from_bytes(value, "big")
    return (number if number in FORMATS or number == LINK_FORMAT else UNKNOWN).to_bytes(2, "big")
