"""What a request may ask for besides a plain answer: conditions, blocks, observation, silence."""

from .handling import Error
from .message import const

_OBSERVE = const(6)
_BLOCK2 = const(23)
_BLOCK1 = const(27)
_NO_RESPONSE = const(258)
_BAD_OPTION = const(0x82)
_CONTINUE = const(0x5F)
_CONDITIONS = const((1, 4, 5, 17))  # If-Match, ETag, If-None-Match, Accept
_LONGEST = {1: 8, 5: 0, 17: 2, 23: 3, 27: 3}  # bytes of what has to be understood (RFC 7252, 5.10, RFC 7959)
_OFTEN = const((1,))  # of these, the others may be there once
_SAFE = const((1, 5))  # GET, FETCH
_TEXT_MAX = const(1024)  # bytes of an error's text, which has no blocks
_REPLIES = const(2048)  # bytes of all replies that are kept
_ID = const(0)  # in what handling keeps of a request
_REPLY = const(3)


def check(request):
    """Error 4.02 for an option that is not as its kind is."""
    last = 0
    for number, value in request.message.options:
        if number in _LONGEST and (len(value) > _LONGEST[number] or number == last and number not in _OFTEN):
            raise Error(_BAD_OPTION)
        last = number


def before(server, request):
    """What a request comes to without its handler, or None; Error."""
    message = request.message
    # It is judged with the first part of a body, and not by what that has made of the resource.
    if _is_conditional(message) and (message.uint(_BLOCK1) or message.uint(_BLOCK2) or 0) < 16:
        from .conditions import check_conditions

        check_conditions(request)
    if _is_block(message):
        return _bodies(server).take(request)
    if server.bodies:
        server.bodies.begin(request)
    return None


def after(server, request, reply):
    """Makes of what a handler returned what was asked for; None where the client does not want to hear it."""
    message = request.message
    if reply.code >> 5 == 2:
        if request.resource.etag or _is_conditional(message):
            from .conditions import apply_conditions

            apply_conditions(request, reply)
        if message.get(_OBSERVE) is not None and _is_observable(request):
            server.observers.asked(request, reply)
        body = reply.payload
        if server.bodies or _is_block(message) or not hasattr(body, "decode") or len(body) > server.size:
            _bodies(server).cut(request, reply)
    else:
        reply.payload = reply.payload[:_TEXT_MAX]
    quiet = message.uint(_NO_RESPONSE)  # a bit for each class (RFC 7967)
    if quiet and quiet >> (reply.code >> 5) - 1 & 1 and reply.code != _CONTINUE:
        return None
    return reply


def _is_conditional(message):
    for number, _ in message.options:
        if number in _CONDITIONS:
            return True
    return False


def _is_block(message):
    return message.get(_BLOCK1) is not None or message.get(_BLOCK2) is not None


def _is_observable(request):
    return request.method in _SAFE and request.resource.attributes.get("obs")


def _bodies(server):
    if not server.bodies:
        from .bodies import Bodies

        server.bodies = Bodies(server)
    return server.bodies


def spare(late):
    """Lets go of the replies to requests of late, the oldest first, where they are many."""
    size = sum([len(seen[_REPLY]) for seen in late])
    for seen in list(late):
        if size <= _REPLIES:
            break
        size -= len(seen[_REPLY])
        seen[_REPLY] = b""
        if seen[_ID] & 31 in _SAFE:  # it may run again; a copy of another is not answered any more
            late.remove(seen)
