"""The server: a key, a registry of actions and the sockets that reach it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Container, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .actions import Action, Actions
from .hub import Hub
from .hub_actions import HubActions
from .keys import read_master
from .legacy import Relay, open_names
from .sessions import Sessions
from .tcp import Tcp
from .udp import Udp

if TYPE_CHECKING:
    from .coap import Coap


class Server:
    """Listens for boards on a UDP port, and on a TCP port and for CoAP where they are named.

    localip: the address to listen on, "0.0.0.0" for every one; port: 0 takes a free one, which `.port` names.
    keyfile: the shared key file; OSError where it cannot be read, ValueError where it is none.
    timeout: seconds for which the parts of an unfinished request, or the rest of a long reply, are kept.
    buffersize: most bytes of data in a request or a reply.
    devices: {id: name} of the only boards that are answered; without it every board that has the key.
    tcp: a TCP port to listen on, too; 0 takes a free one, which `.tcp` then names.
    coap: a UDP port to speak CoAP on, which no key protects: it reaches actions that were added with
        insecure=True, and no others. 0 takes a free one, which `.coap` then names. It needs aiocoap.
    senders: the names that may send to others through the hub; without it everybody may. A name says little unless
        `devices` tells whose it is.
    legacy: also lets in, over TCP, the clients of Client-server-python, whom no key protects and nobody knows.
    plain: the hub's names that are open to them, to send to and to receive under; all others are out of their reach.
        Who comes first has a name, a plain client too: `devices` keeps a board's for it.
    """

    def __init__(
        self,
        localip: str,
        port: int,
        keyfile: str | os.PathLike[str] = "key.sec",
        timeout: float = 10,
        buffersize: int = 4096,
        *,
        devices: Mapping[int, str] | None = None,
        tcp: int | None = None,
        coap: int | None = None,
        senders: Container[str] | None = None,
        legacy: bool = False,
        plain: Collection[str] = (),
    ) -> None:
        for each in (port, tcp or 0, coap or 0):
            if not 0 <= each <= 65535:
                raise ValueError(f"a port is 0 to 65535, not {each!r}")
        if timeout <= 0 or buffersize <= 0:
            raise ValueError("timeout and buffersize are above 0")
        if devices is not None and not all(isinstance(device, int) for device in devices):
            raise ValueError("devices has ids, as int, and their names")
        if isinstance(senders, str):
            raise ValueError("senders: a collection of names, not one")
        if plain and not legacy or legacy and tcp is None:
            raise ValueError("the old clients, and names for them in plain, need legacy=True and a TCP port")
        self.actions = Actions()
        self.port = port
        self.tcp = tcp
        self.coap = coap
        self.listening = threading.Event()
        self.on_listening: Callable[[], None] = lambda: None
        self._localip = localip
        self._sessions = Sessions(
            read_master(keyfile),
            self.actions,
            now=time.monotonic(),
            devices=devices,
            buffersize=buffersize,
            timeout=timeout,
        )
        self._names = {} if devices is None else devices
        self.hub = Hub(self._names, senders)
        self.hub_actions = HubActions(self.hub, self.actions, buffersize)
        self._plain = open_names(plain) if legacy else None
        self._coap_class = None if coap is None else _coap_class()
        self._buffersize = buffersize
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None
        self._told: bool | None = None  # to stop, since start(); None outside of it

    def add_action_handler(
        self,
        name: str,
        fn: Callable[..., Any],
        fresh: float = 0,
        insecure: bool = False,
        thread: bool = False,
    ) -> None:
        """Lets boards ask for an action: fn(data), or fn() where the request has no data.

        What it returns is the reply: bytes, str, None or what JSON can hold. What it raises reaches the
        board as the exception's name. A function runs in the server's loop and holds up everybody else;
        a coroutine function runs as a task, and thread=True puts a function into a worker thread.
        fresh: seconds that may pass between a request's sealing and its running, for locks and motors.
        insecure: also for requests that no key protects.
        """
        self.actions.add(Action(name, fn, fresh, insecure, thread))

    def start(self) -> None:
        """Listens until stop(), SIGINT or SIGTERM; OSError where the address cannot be had."""
        self._told = False
        try:
            asyncio.run(self._serve_until_signal())
        finally:
            self._told = None

    def stop(self) -> None:
        """Ends start() or serve(); from any thread, or from a handler.

        Before either was called there is nothing to end: a thread that starts the server elsewhere waits for
        `listening` first.
        """
        if self._told is not None:
            self._told = True
        loop, stopped = self._loop, self._stopped
        if loop and stopped:
            with contextlib.suppress(RuntimeError):  # it has just ended by itself
                loop.call_soon_threadsafe(stopped.set)

    async def serve(self) -> None:
        """start() for a program that has a loop of its own; ends with stop() or when cancelled."""
        if self._loop:
            raise RuntimeError("this server is listening already")
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        udp = Udp(self._sessions, self.actions, self._names)
        tcp = Tcp(self._sessions, self.actions, self._names, self._relay(self._loop))
        coap = self._coap_class(self.actions, self._buffersize) if self._coap_class else None
        try:
            self.port = await self._listen(udp, self.port)
            if self.tcp is not None:
                self.tcp = await self._listen(tcp, self.tcp)
            if coap and self.coap is not None:
                self.coap = await self._listen(coap, self.coap)
            self.listening.set()
            self.on_listening()
            if self._told:  # before there was a loop to tell
                return
            await self._stopped.wait()
        finally:
            self.listening.clear()
            self.hub.close()
            await asyncio.sleep(0)  # so that who waits there is answered
            udp.close()
            tcp.close()
            if coap:
                await coap.close()
            await self.actions.close()
            self._loop = self._stopped = None

    def _relay(self, loop: asyncio.AbstractEventLoop) -> Relay | None:
        if self._plain is None:
            return None
        return Relay(self.hub, self._plain, self._buffersize, loop.call_soon)

    async def _listen(self, transport: Udp | Tcp | Coap, port: int) -> int:
        try:
            return await transport.listen(self._localip, port)
        except OSError as error:
            # Not the text of asyncio's own, which differs between the two.
            number = error.errno or 0  # below 0 from getaddrinfo()
            why = os.strerror(number) if number > 0 else error.strerror or str(error)
            kind = {Udp: "UDP", Tcp: "TCP"}.get(type(transport), "CoAP")
            raise OSError(
                error.errno, f"cannot listen on {self._localip} port {port} ({kind}): {why}"
            ) from None

    async def _serve_until_signal(self) -> None:
        with _stopped_by_signals(self.stop):
            await self.serve()


def _coap_class() -> type[Coap]:
    # Loaded when asked for: it needs what a server without it does not.
    try:
        import aiocoap  # noqa: F401
    except ModuleNotFoundError:
        raise ImportError("CoAP needs aiocoap: pip install 'benserver[coap]'") from None
    from .coap import Coap

    return Coap


@contextlib.contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # signals go to the main thread, whose business they are
        return

    def ask_to_stop(number: int, _: Any) -> None:
        # Not the loop's own handlers: a function that does not return would hold them up, too.
        for each in before:  # a second signal ends what does not end by itself
            signal.signal(each, signal.SIG_DFL)
        stop()

    before = {each: signal.signal(each, ask_to_stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, old in before.items():
            signal.signal(each, old)
