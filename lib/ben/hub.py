"""The blocking Hub: messages to and from boards behind a router, by way of the server."""

from sys import platform

from . import keys, wire
from .crypto import const, urandom
from .message import BenError
from .net import sleep_ms

_WAIT_MAX = const(7500)  # ms that the server keeps a receive() waiting: over TCP until the third copy is due
_RTO = const(400)  # ms before a copy, whatever the path is: the answer waits for somebody else
_RTO_TCP = const(2000)  # over TCP the third copy ends a connection
_PAUSE = const(300)  # ms after an error, which may come again at once: a name that cannot be resolved


def receive(hub, timeout):
    """A generator: yields (action, data) and is sent the result; returns as Hub.receive; timeout in ms."""
    name = hub.name.encode()
    while True:
        got = False
        if hub.seq is not None:
            ms = min(hub.ms, _WAIT_MAX)
            if timeout is not None:
                ms = min(ms, timeout)
                timeout -= ms
            try:
                got = yield "hub.receive", hub.token + hub.seq + ms.to_bytes(2, "big") + name
            except BenError as error:
                if error.status != wire.GONE:
                    raise
                continue  # a piece of a long message got lost: it is still there
        if got is False:  # the server does not know it (any more)
            data = hub.buffersize.to_bytes(4, "big") + bytes((len(name),)) + name + hub.kind
            yield "hub.join", hub.token + data
            hub.seq = hub.seq or bytes(4)
        elif got:
            size = 6 + got[5]
            try:
                data = str(got[6:size], "utf-8"), wire.decode(got[4], got[size:])
            except Exception:
                # Too much for this board: as after a restart, it does not come again.
                hub.token, hub.seq = urandom(4), None
                raise
            if got[:4] != hub.seq:  # else it came once more
                hub.seq = got[:4]  # with the next request the server may forget it
                return data
        if timeout is not None and timeout <= 0 and got is None:
            return None


class Hub:
    """A name at the server's hub; the arguments behind kind are those of Client."""

    def __init__(
        self,
        host,
        port,
        name="",
        kind=platform,
        timeout=10,
        keyfile="key.sec",
        buffersize=4096,
        **kwargs,
    ):
        if kwargs.get("device") is None and not keys.read(keyfile)[0]:
            try:
                from machine import unique_id  # noqa: F401
            except ImportError:  # it would be another one after a restart
                raise ValueError("device: no id of its own")
        self.name = name
        self.kind = kind.encode()
        self.token = urandom(4)  # another one after a restart
        self.seq = None  # of the message before, 4 bytes; None before it joined
        self.buffersize = buffersize
        self.ms = int(timeout * 750)  # that a message may wait: three quarters, so that the answer is in time
        self._to = (host, port, timeout, keyfile, buffersize), kwargs
        self._clients = {}  # True: to listen on, False: to ask over
        if name:
            # Here, so that it has the same channel after a restart: no join of the life before comes later then.
            self._link(True)

    def targets(self):
        """A list of who has joined, dicts of name, type, here, joined and seen (s ago); errors as of send()."""
        from .outbox import targets

        return self._run(targets(), False)

    def send(self, target, data):
        """Returns when target has it; OSError(ETIMEDOUT, "not delivered" or "unknown"), BenError."""
        from .outbox import send

        return self._run(send(self, target, data), False)

    def receive(self, timeout=None):
        """(who sent it, data) of the next message, None after timeout seconds; OSError, BenError."""
        return self._run(receive(self, None if timeout is None else int(max(0, timeout) * 1000)), True)

    def listen(self, callback, away=None):
        """Calls callback(who, data) for each message, away(error) where the server gave no answer."""
        while True:
            try:
                got = self.receive()
            except OSError as error:
                sleep_ms(_PAUSE)
                if away:
                    away(error)
            else:
                callback(*got)

    def close(self):
        """Closes the sockets; the next call opens them again."""
        for link in self._clients.values():
            link.close()

    def _open(self, *args, **kwargs):
        from .udp import Client

        return Client(*args, **kwargs)

    def _link(self, channel):
        args, kwargs = self._to
        if channel not in self._clients:
            self._clients[channel] = self._open(*args, **kwargs)
        link = self._clients[channel]
        link._exchange.rto = _RTO_TCP if kwargs.get("tcp") else _RTO
        return link

    def _run(self, ask, channel):
        # Puts to the server what a generator asks, which keeps nothing that it had to close.
        try:
            action, data = next(ask)
            while True:
                try:
                    got = self._link(channel).send({"action": action, "data": data})
                except (OSError, BenError) as error:
                    action, data = ask.throw(error)
                else:
                    action, data = ask.send(got)
        except StopIteration as end:
            return end.value
