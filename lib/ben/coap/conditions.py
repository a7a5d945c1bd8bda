"""What a request asks for on condition: If-Match, If-None-Match, ETag and Accept (RFC 7252, 5.10)."""

from .handling import Error
from .message import const

_IF_MATCH = const(1)
_ETAG = const(4)
_IF_NONE_MATCH = const(5)
_OBSERVE = const(6)
_CONTENT_FORMAT = const(12)
_MAX_AGE = const(14)
_ACCEPT = const(17)
_CONTENT = const(0x45)
_VALID = const(0x43)


def _all(message, number):
    return [value for each, value in message.options if each == number]


def check_conditions(request):
    """Error 4.12 or 4.06 for a request that is not to reach its handler."""
    message = request.message
    resource = request.resource
    wanted = _all(message, _IF_MATCH)
    if wanted or message.get(_IF_NONE_MATCH) is not None:
        there = (
            resource.etag(request) if resource.etag else b""
        )  # without etag=, it is there, as one that fits none
        if there is not None and message.get(_IF_NONE_MATCH) is not None:
            raise Error("4.12")
        if wanted and (there is None or b"" not in wanted and there not in wanted):
            raise Error("4.12")
    accept = message.uint(_ACCEPT)
    formats = resource.attributes.get("ct")
    if accept is not None and formats is not None and str(accept) not in str(formats).split():
        raise Error("4.06")


def apply_conditions(request, reply):
    """Leaves out a body that the client has; Error 4.06 for one that it does not accept."""
    message = request.message
    accept = message.uint(_ACCEPT)
    format = reply.uint(_CONTENT_FORMAT)
    if reply.code != _CONTENT:
        return
    if accept is not None and format is not None and format != accept:
        raise Error("4.06")
    etag = reply.get(_ETAG)
    if etag is None and request.resource.etag:
        etag = request.resource.etag(request)
        if etag is not None:
            reply.add(_ETAG, etag)
    if etag is not None and etag in _all(message, _ETAG):
        reply.code = _VALID
        reply.payload = b""
        reply.options = [option for option in reply.options if option[0] != _CONTENT_FORMAT]
