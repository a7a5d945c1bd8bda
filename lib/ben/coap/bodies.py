"""Bodies of many blocks, at the server (RFC 7959)."""

from hashlib import sha256

from .block import exponent, pack, reader, unpack
from .handling import Error
from .message import const
from .response import Response

_GET = const(1)
_FETCH = const(5)
_CONTENT = const(0x45)
_ETAG = const(4)
_OBSERVE = const(6)
_BLOCK2 = const(23)
_BLOCK1 = const(27)
_SIZE2 = const(28)
_SIZE1 = const(60)
# No part of what the requests for one body share: Observe, blocks, sizes, No-Response
_NO_PART = const((6, 23, 27, 28, 60, 258))
_MOST = const(2)  # bodies under way in each direction; the one that is idle for longest goes first
_LIFETIME = const(247000)  # ms after which the rest of a body is not waited for (EXCHANGE_LIFETIME)
_CONTINUE = const(0x5F)


class Body:
    """A body that a peer sends, or fetches."""

    at = 0  # bytes that have come

    def __init__(self, request, held):
        self.key = _key(request)
        self.since = request.server.layer.now  # nothing has come of it
        self.held = held  # a bytearray, None where the handler has it, or the Response that goes out


class Bodies:
    """The bodies that are under way."""

    def __init__(self, server):
        self._server = server
        self._szx = exponent(server.size)
        self._coming = []  # the one that is idle for longest first
        self._going = []

    def take(self, request):
        """What a request for a block comes to without its handler, or None."""
        number = _block(request, _BLOCK2)[0]
        if request.message.get(_BLOCK1) is not None:
            if not self._come(request):
                return Response(b"", "2.31")
        elif not number:
            self.begin(request)
        if not number:
            return None
        body = _find(self._going, request)
        # GET runs again for a body that is not kept any more, and FETCH where its question comes with each block.
        if not body and request.method != _GET and not (request.method == _FETCH and request.payload):
            raise Error("4.08")
        return body and body.held

    def begin(self, request):
        """A new request: what its peer was still sending there gives way, for the rest of it is not to mix in."""
        key = _key(request)
        left = self._server.layer.now - _LIFETIME
        self._going = [body for body in self._going if body.since > left]
        self._coming = [body for body in self._coming if body.since > left and body.key != key]

    def _come(self, request):
        # True where the handler is to run: for the last block, or for each where it takes them so.
        number, more, szx = _block(request, _BLOCK1)
        size = 16 << szx
        data = request.payload
        if len(data) > size or more and len(data) < size:
            raise Error("4.00", "block")
        body = _find(self._coming, request)
        if not number:
            self.begin(request)
            body = Body(request, None if request.resource.stream else bytearray())
        elif not body or body.at != number * size:
            raise Error("4.08")
        else:
            self._coming.remove(body)  # until it has this one, for which there may be no room
        if body.held is None:
            request.offset = body.at
            request.more = bool(more)
        elif max(body.at + len(data), request.message.uint(_SIZE1) or 0) > self._server.limit:
            raise Error("4.13", "%d bytes at most" % self._server.limit)
        else:
            body.held += data
            if not more:
                request.payload = bytes(body.held)
        body.at += len(data)
        if more:
            _keep(self._coming, body)
        return body.held is None or not more

    def cut(self, request, reply):
        """Leaves in a response the block that was asked for, and says which it is."""
        if reply.code >> 5 != 2:
            return
        if request.message.get(_BLOCK1) is not None:
            number, more, szx = _block(request, _BLOCK1)
            if more:  # of the handler's answer, too, where it takes its body so
                reply.code = _CONTINUE
                reply.payload = b""
            reply.add(_BLOCK1, number << 4 | more << 3 | (szx if number else min(szx, self._szx)))
        number, _, szx = _block(request, _BLOCK2)
        at = number << 4 + szx
        szx = min(szx, self._szx)
        body = reply.payload
        data = reader(body)(at, (16 << szx) + 1)
        more = len(data) > 16 << szx
        if at and not data:
            raise Error("4.00", "block")
        reply.payload = data[: 16 << szx]
        kept = _find(self._going, request)
        if kept and not (at and more):
            self._going.remove(kept)
        if (at or more) and hasattr(body, "decode") and reply.get(_ETAG) is None:
            # In the last block, too, so that nobody puts together pieces of two bodies.
            reply.add(_ETAG, sha256(body).digest()[:4])
        if more and not (at and kept):
            self._keep(request, reply, body)
        if more or request.message.get(_BLOCK2) is not None:
            reply.add(_BLOCK2, pack(at, more, szx))

    def _keep(self, request, reply, body):
        # For the blocks that follow; the resource's ETag of one that is read anew is asked for anew.
        tag = request.resource.etag
        anew = (
            tag
            and reply.code == _CONTENT
            and not hasattr(body, "decode")
            and reply.get(_ETAG) == tag(request)
        )
        leave = _ETAG if anew else 0
        options = [option for option in reply.options if option[0] not in (_OBSERVE, _BLOCK1, leave)]
        held = Response(body, reply.status, options=options)
        if request.message.get(_SIZE2) is not None and hasattr(body, "decode"):
            reply.add(_SIZE2, len(body))
        _keep(self._going, Body(request, held))


def _keep(bodies, body):
    if len(bodies) == _MOST:
        bodies.pop(0)
    bodies.append(body)


def _key(request):
    message = request.message
    return request.peer, message.code, [option for option in message.options if option[0] not in _NO_PART]


def _block(request, option):
    value = request.message.get(option)
    if value is None:
        return 0, 0, 6
    try:
        return unpack(value)
    except OSError:
        raise Error("4.00", "block")


def _find(bodies, request):
    sought = _key(request)
    for body in bodies:
        if body.key == sought:
            bodies.remove(body)
            bodies.append(body)
            body.since = request.server.layer.now
            return body
    return None
