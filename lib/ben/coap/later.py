"""Requests whose answers come later, behind an empty acknowledgement (RFC 7252, 5.2.2)."""

from .exchange import Exchange
from .handling import Error
from .message import const

_NON = const(1)
_PATIENCE = const(250)  # ms that a handler has before its request is acknowledged without an answer
_MOST = const(8)  # requests without an answer, and answers without an acknowledgement
_UNAVAILABLE = const(0xA3)


def take(server, request, result):
    """A request is answered later; Error 5.03 where there are too many: a stranger could fill the memory."""
    if not request.deliver and len(server.later) + _answers(server) >= _MOST:
        if hasattr(result, "close"):  # what nobody is going to await
            result.close()
        raise Error(_UNAVAILABLE)
    request.due = server.layer.now + _PATIENCE
    server.later.append(request)


def _answers(server):
    return len([each for each in server.layer.exchanges if not each.answered])


def tick(server):
    """Acknowledges what takes long; returns the ms until there is more to do, or None."""
    wait = None
    flush = server.flush
    server.flush = (
        int  # does nothing: all leaves when this tick is over, and not from one inside, for a stack is short
    )
    try:
        for request in server.later:
            left = request.due - server.layer.now
            if left <= 0:
                request.acknowledge()
            elif wait is None or left < wait:
                wait = left
    finally:
        server.flush = flush
    return wait


def send(server, request, reply):
    """Sends the answer to a request that was acknowledged without."""
    if _answers(server) >= _MOST:  # of handlers that acknowledged by themselves: once, and nothing is kept
        reply.type = _NON
        reply.id = server.layer.next_id()
        server.layer.send(reply, request.peer)
        return
    exchange = Exchange(reply, request.peer)
    exchange.answered = False
    server.layer.start(exchange)
