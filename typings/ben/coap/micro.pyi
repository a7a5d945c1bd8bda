"""The interface of microCoAPy, for programs written for it.

    import ben.coap.micro as microcoapy

They run with only the import changed. Paths arrive in their order, bodies of any size go in blocks, and messages
that ask for it are repeated until they are acknowledged: while `poll()` or `loop()` is called.
"""

from collections.abc import Callable, Generator
from typing import Any

from typing_extensions import TypeAlias

from .custom import _User
from .exchange import Exchange
from .handling import Request
from .layer import Layer
from .macros import COAP_CONTENT_FORMAT as COAP_CONTENT_FORMAT
from .macros import COAP_METHOD as COAP_METHOD
from .macros import COAP_RESPONSE_CODE as COAP_RESPONSE_CODE
from .macros import COAP_TYPE as COAP_TYPE
from .message import Message, _Body, _Peer

_Callback: TypeAlias = Callable[[CoapPacket, str, int], Any]
"""callback(packet, ip, port) of a request."""

class CoapPacket:
    """A message as microCoAPy's callbacks get it."""

    type: int
    """One of COAP_TYPE."""

    code: int
    """One of COAP_METHOD or COAP_RESPONSE_CODE."""

    messageid: int
    """The message id, 0 to 65535."""

    token: bytes
    """The token, 0 to 8 bytes."""

    payload: bytes
    """All of the payload, also where it came in blocks."""

    options: list[tuple[int, bytes]]
    """(number, value), in the order of their numbers."""

    content_format: int
    """One of COAP_CONTENT_FORMAT, or another number; COAP_NONE, -1, without."""

    query: bytes
    """The arguments of the query, joined by &; b"" without."""

    def __init__(self, message: Message) -> None:
        """Of a message as `ben.coap.message` has it."""

    def toString(self) -> str:
        """All of it as text."""

class Coap:
    """A client, and a server whose callbacks answer; one that sends asks for acknowledgement and repeats by itself.

        client = microcoapy.Coap()
        client.responseCallback = lambda packet, sender: print(packet.payload)
        client.start()
        client.get("192.168.1.2", 5683, "current/measure")
        client.poll(2000)

    One Coap is both at once, at one port.
    """

    debug: bool
    """Without effect: nothing is printed."""

    discardRetransmissions: bool
    """Without effect: a copy of a request reaches no callback."""

    responseCallback: Callable[[CoapPacket, tuple[str, int]], Any] | None
    """Called with a response and (ip, port) of its sender; None: nobody is."""

    resposeCallback: Callable[[CoapPacket, tuple[str, int]], Any] | None
    """microCoAPy's name of it, where that one is None."""

    port: int
    """The port, for start()."""

    layer: Layer
    """The message layer, from start() on."""

    open: list[Request]
    """Requests that sendResponse() can still answer, the oldest first."""

    def __init__(self, port: int = 5683) -> None:
        """port: the UDP port to listen at; 0 for any. Nothing is opened yet."""

    def start(self, port: int | None = None) -> None:
        """Opens a socket at a port, `port` without one; OSError where it is taken."""

    def setCustomSocket(self, sock: _User) -> None:
        """Uses an object with sendto() and recvfrom() instead of start(): see `ben.coap.custom.Custom`."""

    def stop(self) -> None:
        """Closes the socket; one of setCustomSocket() is left to its owner. Once more does no harm."""

    def addIncomingRequestCallback(self, requestUrl: str, callback: _Callback) -> None:
        """Has callback(packet, ip, port) called for each request with a path, with any method.

        It answers by sendResponse(), at once or later; 4 requests at most are open. Other paths are answered 4.04, but for
        /.well-known/core, which lists them.
        """

    def go_on(
        self, steps: Generator[Message, Message | None, Message], reply: Message | None, peer: _Peer
    ) -> Exchange | None:
        """Sends the next message of a request, or hands over its response, and returns None then."""

    def called(self, callback: Callable[..., Any] | None, *args: Any) -> None:
        """Calls a callback, and has poll() return."""

    def send(
        self,
        ip: str,
        port: int,
        url: str,
        type: int,
        method: int,
        token: bytes | None,
        payload: _Body | None,
        content_format: int | None,
        query_option: bytes | str | None,
    ) -> int:
        """Sends a request; returns the bytes of its first message, 0 where that failed.

        ip: the server's address or name. url: path?query. type: COAP_CON or COAP_NONCON. method: one of COAP_METHOD.
        token: up to 8 bytes; 4 random ones without. payload: of any size. content_format: COAP_NONE for none.
        query_option: one argument of the query, behind those of url. A response of over 65536 bytes is dropped.
        """

    def get(self, ip: str, port: int, url: str, token: bytes | None = None) -> int:
        """GET; returns the bytes sent, 0 where that failed. The response goes to responseCallback."""

    def getNonConf(self, ip: str, port: int, url: str, token: bytes | None = None) -> int:
        """GET without confirmation."""

    def post(
        self,
        ip: str,
        port: int,
        url: str,
        payload: _Body | None = b"",
        query_option: bytes | str | None = None,
        content_format: int | None = None,
        token: bytes | None = None,
    ) -> int:
        """POST; returns the bytes sent, 0 where that failed. Arguments as of send()."""

    def postNonConf(
        self,
        ip: str,
        port: int,
        url: str,
        payload: _Body | None = b"",
        query_option: bytes | str | None = None,
        content_format: int | None = None,
        token: bytes | None = None,
    ) -> int:
        """POST without confirmation."""

    def put(
        self,
        ip: str,
        port: int,
        url: str,
        payload: _Body | None = b"",
        query_option: bytes | str | None = None,
        content_format: int | None = None,
        token: bytes | None = None,
    ) -> int:
        """PUT; returns the bytes sent, 0 where that failed. Arguments as of send()."""

    def putNonConf(
        self,
        ip: str,
        port: int,
        url: str,
        payload: _Body | None = b"",
        query_option: bytes | str | None = None,
        content_format: int | None = None,
        token: bytes | None = None,
    ) -> int:
        """PUT without confirmation."""

    def sendResponse(
        self,
        ip: str,
        port: int,
        messageid: int,
        payload: _Body | None,
        method: int,
        contentFormat: int | None,
        token: bytes,
    ) -> int:
        """Answers a request that a callback got; returns messageid, 0 where it is not open any more.

        ip, port, messageid: the request's. method: one of COAP_RESPONSE_CODE. contentFormat: COAP_NONE for none.
        token: not looked at; the request's is taken.
        """

    def loop(self, blocking: bool = True) -> bool:
        """Takes one message, waiting for it unless told otherwise; whether one came. False before start()."""

    def poll(self, timeoutMs: int = -1, pollPeriodMs: int = 500) -> bool:
        """Takes messages until a callback was called, for timeoutMs, or for ever below 0; whether one was.

        pollPeriodMs: without effect: it waits for the socket. False before start().
        """
