"""The server's rules, free of sockets and clocks: the handler that a request reaches, and what goes back."""

from .handling import LATER, Error, Request, find, message_of, remember
from .message import const

_CON = const(0)
_NON = const(1)
_ACK = const(2)
_METHODS = const(("get", "post", "put", "delete", "fetch", "patch", "ipatch"))
_REPLY = const(3)  # in what handling keeps of a request
_ROOM = const(1200)  # bytes in one piece, to go on with
_LEAST = const(64)  # without which nothing can be received
_LONG = const(170)  # bytes of a reply, of which not all that are kept may be as long
_BAD_OPTION = const(0x82)
_NOT_FOUND = const(0x84)
_NOT_ALLOWED = const(0x85)
_FAILED = const(0xA0)
_CORE = const(".well-known/core")


class Resource:
    """The handlers of a path by method, and what /.well-known/core says of it."""

    def __init__(self, etag=None, stream=False, **rest):
        self.etag = etag
        self.stream = stream
        self.handlers = {code + 1: rest.pop(name) for code, name in enumerate(_METHODS) if name in rest}
        self.attributes = rest


class Resources:
    """Resources by path, and the requests that reach them."""

    spawn = None  # runs what a handler left to await, and gives what comes of it to finish() or fail()
    failed = None  # is told of the request and the exception of a handler that failed
    bodies = observers = None  # loaded when first used

    def __init__(self, layer, size=1024, limit=4096):
        if not 16 <= size <= 1024 or size & size - 1:
            raise ValueError("size")
        self.layer = layer
        self.size = size  # bytes of a block
        self.limit = limit  # bytes of a body that is put together in memory
        self.paths = {}
        self.later = []  # requests that have no answer yet
        self._seen = []  # those of late
        layer.server = self

    def add(self, path, **of):
        """Adds a resource, or replaces it: its handlers by method, etag=, stream=, and attributes."""
        if of.get("obs") and not self.observers:
            # Now, where there is most memory to load them, the biggest first
            from . import exchange, features  # noqa: F401
            from .observers import Observers

            self.observers = Observers(self)
        self.paths[path.strip("/")] = Resource(**of)

    def flush(self):
        """Sends what is to go out; the driver's."""

    def notify(self, path):
        """Tells the observers of a resource what its handler says now; returns how many there are."""
        return self.observers.notify(path.strip("/")) if self.observers else 0

    def receive(self, message, peer):
        """A request has come."""
        layer = self.layer
        seen = find(self._seen, message, peer, layer.now)
        if not seen:
            self.run(Request(self, message, peer, remember(self._seen, message, peer, layer.now)))
        elif message.type == _CON and seen[_REPLY]:
            layer.out.append((seen[_REPLY], peer))

    def spare(self):
        """Lets go of what strangers had it keep; MemoryError where it is not that which fills the heap."""
        self.bodies = None
        self._seen = []
        try:
            bytearray(_ROOM)
        except MemoryError:
            if self.layer.exchanges:
                self.layer.rules.give_up(self.layer)
            if self.observers:
                self.observers.let_go()
            bytearray(_LEAST)

    def tick(self):
        """Does what is due; returns the ms until there is more to do, or None."""
        if not self.later:
            return None
        from .later import tick

        return tick(self)

    def run(self, request):
        """Runs the handler that a request is for."""
        message = request.message
        try:
            request.read()
            if request.special:
                from .features import check

                check(request)
        except UnicodeError:
            if message.type == _CON:
                request.seen[_REPLY] = self.layer.reset(message.id, request.peer)
            return
        except Error as error:
            if message.type == _CON or error.code != _BAD_OPTION:
                self.finish(request, error)
            return
        try:
            result = self._handled(request)
            awaited = self.spawn and hasattr(result, "send")
            if awaited or result is LATER:
                if not request.finished:
                    from .later import take

                    take(self, request, result)
                if awaited:
                    self.spawn(request, result)
            else:
                self.finish(request, result)
        except Exception as error:
            self.fail(request, error)

    def _handled(self, request):
        resource = self.paths.get(request.path)
        if not resource and request.path == _CORE:
            from .core import core

            resource = Resource(get=core)
        if not resource:
            raise Error(_NOT_FOUND)
        handler = resource.handlers.get(request.method)
        if not handler:
            raise Error(_NOT_ALLOWED)
        request.resource = resource
        result = None
        if request.special or self.bodies:
            from .features import before

            result = before(self, request)
        return handler(request) if result is None else result

    def fail(self, request, error):
        """A handler has raised an Error, or has failed."""
        known = isinstance(error, Error)
        self.finish(request, error if known else Error(_FAILED, type(error).__name__))
        if self.failed and not known:
            self.failed(request, error)

    def finish(self, request, result):
        """Sends what a handler came to, once."""
        if request.finished or result is LATER:  # of a coroutine
            return
        if request in self.later:  # and no new list, for which there may be no memory
            self.later.remove(request)
        try:
            reply = message_of(request.method, result)
            body = reply.payload
            tagged = request.resource and request.resource.etag  # so that a client learns of it
            if request.special or tagged or not hasattr(body, "decode") or len(body) > self.size:
                from .features import after

                reply = after(self, request, reply)
            if reply:
                (request.deliver or self._send)(request, reply)
            else:
                request.acknowledge()
        except Exception as error:
            if isinstance(result, Error) and result.code == _FAILED:
                raise
            self.fail(request, error)
        request.finished = True

    def _send(self, request, reply):
        message = request.message
        reply.token = message.token
        if message.type == _NON:
            reply.type = _NON
            reply.id = self.layer.next_id()
            self.layer.send(reply, request.peer)
        elif request.acknowledged:
            from .later import send

            send(self, request, reply)
        else:
            reply.type = _ACK
            reply.id = message.id
            datagram = request.seen[_REPLY] = self.layer.send(reply, request.peer)
            if len(datagram) > _LONG:
                from .features import spare

                spare(self._seen)
