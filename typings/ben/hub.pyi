"""The blocking Hub: messages to and from boards behind a router, by way of the server.

    from ben import Hub

    def switch(who, data):
        lamp.value(data["on"])

    Hub("192.168.1.2", 8585, "lamp").listen(switch)

and on another board, or in a Python program:

    Hub("192.168.1.2", 8585, "desk").send("lamp", {"on": True})

A board has no address that others could reach. So it asks the server whether there is something for it, and the
server answers when there is: a message arrives in about half a round trip. See docs/hub.md.
"""

from collections.abc import Callable, Generator
from typing import Any, NoReturn

from .crypto import const as const
from .crypto import urandom as urandom
from .keys import _File
from .message import BenError as BenError
from .net import sleep_ms as sleep_ms

_Asked = Generator[tuple[str, Any], Any, Any]
_Message = tuple[str, Any]

def receive(hub: Hub, timeout: int | None) -> _Asked:
    """The rules of who receives, free of sockets and clocks: yields (action, data), is sent the action's result.

    It joins where it has not, confirms the message before by asking for the next, and asks again where a part of a
    message got lost. What the link or the server raises is thrown in.

    timeout: ms, or None for no end. Returns and raises as `Hub.receive`. Source: protocol, The hub.
    """

class Hub:
    """A name at the server's hub: whoever knows the name can send to it, and it to them.

    Nothing leaves before the first call. Listening has a channel of its own, which a Hub with a name takes when it is
    made, and so has the rest: from another thread the same Hub can send while one listens, and so can a Client. Make
    Hubs and Clients in the same order after each start: no join from before a restart can come late then.
    """

    name: str
    """Its name, as others know it; "" without one."""

    kind: bytes
    """What it is, for people who read the list."""

    token: bytes
    """4 random bytes, by which the server tells that it was started anew."""

    seq: bytes | None
    """The number of the last message, 4 bytes, of 0 before the first; None before it joined."""

    buffersize: int
    """The most bytes that a message may have, with its sender's name and six more."""

    ms: int
    """Milliseconds that a message may wait for its target: three quarters of `timeout`."""

    def __init__(
        self,
        host: str,
        port: int,
        name: str = "",
        kind: str = ...,
        timeout: float = 10,
        keyfile: _File = "key.sec",
        buffersize: int = 4096,
        *,
        device: int | None = None,
        chunk: int = 1024,
        tcp: bool = False,
    ) -> None:
        """Reads the key file; no socket is opened and nobody joins yet.

        name: 1 to 64 bytes, without a comma or |. It belongs to the device that used it first, until the server is
            started anew, or for good where `server(..., devices={id: name})` says so. Only who receives needs one.
        kind: what the list shows as its type; `sys.platform` without it, such as "esp8266".
        timeout: seconds that one call may take, `receive()` and `listen()` excepted. A message waits for its target
            for three quarters of it.
        device: this device's id. It has to be the same after a restart, or the name would be another's: so where
            there is neither a serial number (`machine.unique_id()`) nor a device's own key file, as on a PC with the
            shared one, it is asked for: ValueError.
        host, port, keyfile, buffersize, chunk, tcp: as of `Client`.

        Raises as `Client` does.
        """

    def targets(self) -> list[dict[str, Any]]:
        """Who has joined, in the order of their names.

        Each is a dict: "name" and "type" (str), "here" (bool: it was heard within 12 s, as who listens is), "joined"
        and "seen" (float: seconds since it joined, and since it was heard). They come in pages of up to 900 bytes, for
        which buffersize has to do. Raises as `Client.send`.
        """

    def send(self, target: str, data: Any) -> None:
        """Has a target's program get data, at most once; returns when it has asked for the next message.

        data: bytes, str, or what JSON can hold, as of `Client.send`. Where the target is away, it waits, for three
        quarters of `timeout`, behind at most 15 others.

        Raises
            OSError(ETIMEDOUT, "not delivered"): the target has not had it and never will.
            OSError(ETIMEDOUT, "unknown"): it was on its way; the target had it once, or not at all.
            BenError with status 8: no such target, the queue is full, no right to send. 3: over what the target
                takes. It has not had it and never will.
            another OSError, ValueError, RuntimeError: as of `Client.send`.

        Source: docs/hub.md.
        """

    def receive(self, timeout: float | None = None) -> _Message | None:
        """The next message, as (who sent it, data), or None where none came within timeout seconds.

        Joins first where that is needed. The next call tells the server that this message was had; until then its
        sender waits, and its program hears "unknown" where that takes too long.

        who: the sender's name, or the 8 hex digits of its device where it has none; "|plain|" for a client without a
            key, of those that a server lets in on request.
        timeout: None waits for ever; 0 or less only looks.

        Raises OSError(ETIMEDOUT, ...) where the server gave no answer within the link's timeout; nothing is lost by
        that. BenError with status 8: the name is another's, or was joined again elsewhere; 2: this server has no hub.
        MemoryError, ValueError: a message that this board cannot take; it does not come again, its sender hears "unknown".
        """

    def listen(
        self, callback: Callable[[str, Any], Any], away: Callable[[OSError], Any] | None = None
    ) -> NoReturn:
        """Calls callback(who, data) for each message, for ever.

        Where the server gives no answer it goes on after 0.3 s; away(error), if there is one, is called each time, to
        join Wi-Fi again perhaps. What a callback raises ends it, and so does a BenError, as of
        `receive()`. A message whose callback raised has been had: it does not come again.
        """

    def close(self) -> None:
        """Closes the sockets. A later call opens them again; the name is kept."""
