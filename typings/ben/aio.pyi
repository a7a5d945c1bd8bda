"""The asyncio client: the one of `ben.udp`, with await."""

from typing import Any

from .cpython import ready as ready
from .cpython import running as running
from .keys import _File
from .message import _Request

class Client:
    """A link to one server, for the tasks of one loop, which go on while one of them waits for its answer.

    Another loop may have it after that one has ended. On Windows it needs the selector loop.

        from ben import aio

        link = aio.Client("192.168.1.2", 8585)
        print(await link.send({"action": "dht", "data": {"temperature": 21.5}}))

    Nothing leaves before the first `send()`, which is also what looks up the server's address. One request is
    on its way at a time: a second task that calls `send()` waits its turn.

    `client` is another name of it.
    """

    def __init__(
        self,
        host: str,
        port: int,
        timeout: float = 10,
        keyfile: _File = "key.sec",
        buffersize: int = 4096,
        *,
        device: int | None = None,
        channel: int | None = None,
        session: bytes | None = None,
        chunk: int = 1024,
        tcp: bool = False,
    ) -> None:
        """Reads the key file; no socket is opened and no name looked up yet.

        host: the server's name or address, such as "192.168.1.2". A name is looked up once, in the first
            `send()`. On some boards that waits for ever while Wi-Fi is down, so join Wi-Fi first.
        port: the server's UDP port, or its TCP port with `tcp`, 1 to 65535. benserver's own UDP port is 8585
            unless it is told another; it has a TCP port where it is told one.
        timeout: seconds that one whole `send()` may take, with all copies, parts and pieces. Over 0, up to
            360000; a fraction will do. Counted in milliseconds.
        keyfile: the name of the file with the key, looked for in the current folder; on CPython it may be a
            Path. It holds 32 bytes, the key that all devices share with the server, or 40, the key of this
            device alone (protocol, Keys).
        buffersize: the most bytes of data in one request or one reply, 1 to 1048576. A longer request is
            refused before anything leaves (`BenError` with status 3); a longer reply is given up (status 5,
            it ran).
        device: this device's id, 0 to 0xFFFFFFFF. Without it the key file's own, if it is that of one device;
            else the first 4 bytes of SHA-256 of the board's serial number (`machine.unique_id()`); and where
            there is none, as on CPython, 4 random bytes for each client.
        channel: 0 to 3. A device has four channels, each a sequence of requests of its own. Without it the
            clients of one program take them in turn. Two clients with one device and channel stay correct,
            but take the session from each other, which costs round trips. Not looked at beside `session`.
        session: the 10 bytes that `session` of the client before this one gave, before deep sleep perhaps.
            They save the first round trip, and bring that client's channel and chunk with them. Use them
            once: with older ones everything still works, but the first request takes a round trip more.
        chunk: the most bytes of plaintext in one datagram, and of data in one piece of a reply: 64 to 1152, a
            multiple of 32. Longer messages go in several. A smaller one needs less memory in one piece, a
            larger one fewer round trips. Not looked at beside `session`.
        tcp: True for a TCP connection in place of UDP, for networks that let nothing else pass. The messages
            are the same and as safe; the board needs more memory for it. A connection is made in the first
            `send()`, kept from one to the next, and made again after it broke.

        Raises OSError if the key file cannot be read, and ValueError if it is no key file or is another
        device's, or if an argument is out of its bounds. `host` and `port` are not looked at before the first
        `send()`.
        """

    @property
    def session(self) -> bytes:
        """10 bytes to keep over a deep sleep, for the `session=` of the next client of this device, once.

        Read it after the last `send()`: 8 bytes of session and 2 of sequence number (protocol, The client).
        Read during a `send()`, it is that of a client that has not sent yet: good, and a round trip slower.
        """

    async def send(self, data: _Request, noreturn: bool = False) -> Any:
        """Has the server run an action, at most once, and returns what its handler returned.

        data: `{"action": name}` or `{"action": name, "data": value}`, which is not changed. The name has 1 to
            255 bytes of UTF-8, and at most chunk - 2. The value: bytes (also bytearray, memoryview), str, or
            what JSON can hold: None, bool, int, finite float, str, and lists, tuples and dicts of these with
            str for keys, at most 20 of them inside each other. Without "data" the handler is called without
            an argument.
        noreturn: True to have the server acknowledge the request before its handler runs; the result is then
            {}. That means received, not succeeded.

        Returns bytes, str, or a value out of JSON (a tuple comes back as a list), as the handler returned it;
        None if it returned None; {} with noreturn. That takes at most `timeout` seconds, another task's
        `send()` excepted. The look-up of the host's name, in the first `send()`, holds the whole loop.

        Raises
            OSError(ETIMEDOUT, "not run"): no answer in time; the handler has not run and never will.
            OSError(ETIMEDOUT, "maybe"): no answer in time; the handler ran once, or not at all.
            another OSError, from the first `send()`: the server's name cannot be resolved; nothing was sent.
            BenError: the server refused, the handler failed, or its reply is lost; its `status` says which.
            ValueError: what cannot be sent; nothing was.
        After any of them, and after the task was cancelled inside of it, the next `send()` works. The handler
        of a request that was cancelled ran once, or not at all. Where asyncio.TimeoutError is TimeoutError
        (Python 3.11 and newer), an `except` for a wait_for() around this catches its OSErrors of ETIMEDOUT, too.

        Source: protocol, The client.
        """

    def close(self) -> None:
        """Closes the socket, after the `send()` that is under way, if any. The session is kept.

        A later `send()` opens it again, from another port. CPython warns of a client that is dropped open.
        """

client = Client
"""Another name of `Client`, as in `ben.udp`."""
