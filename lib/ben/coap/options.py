"""Options of a request by their names (RFC 7252, 5.10)."""

from .message import const

_IF_MATCH = const(1)
_ETAG = const(4)
_IF_NONE_MATCH = const(5)
_CONTENT_FORMAT = const(12)
_URI_QUERY = const(15)
_ACCEPT = const(17)
_BLOCK2 = const(23)
_NO_RESPONSE = const(258)


def put_options(
    message,
    token=None,
    query=None,
    accept=None,
    format=None,
    etag=None,
    if_match=None,
    if_none_match=False,
    no_response=None,
    size=None,
    options=(),
    **timing,
):
    """Gives a message the options that are asked for; returns the rest, which is for its Exchange. ValueError."""
    if token is not None:
        if len(token) > 8:
            raise ValueError("token: 0 to 8 bytes")
        message.token = token
    for name in query or ():
        value = query[name]
        message.add(_URI_QUERY, name if value is None else "%s=%s" % (name, value))
    for number, value in ((_CONTENT_FORMAT, format), (_ACCEPT, accept)):
        if value is not None:
            if isinstance(value, str):
                from .formats import number as value_of

                value = value_of(value)
            message.add(number, value)
    for number, values in ((_IF_MATCH, if_match), (_ETAG, etag)):
        for value in values if isinstance(values, (list, tuple)) else () if values is None else (values,):
            message.add(number, value)
    if if_none_match:
        message.add(_IF_NONE_MATCH)
    if no_response is not None:
        message.add(_NO_RESPONSE, no_response)
    if size:
        from .block import exponent

        message.add(_BLOCK2, exponent(size))
    for number, value in options:
        message.add(number, value)
    ack_timeout = timing.get("ack_timeout", 1)
    factor = timing.get("ack_random_factor", 1)
    if not 0 < ack_timeout <= 60 or not 1 <= factor <= 4 or not 0 <= timing.get("max_retransmit", 0) <= 10:
        raise ValueError("ack_timeout: to 60 s, ack_random_factor: 1 to 4, max_retransmit: 0 to 10")
    return timing


def uint(number):
    """The value of an option that is a number: its bytes without leading zeros."""
    if number < 0:
        raise ValueError("an option is no number below 0")
    out = b""
    while number:
        out = bytes((number & 0xFF,)) + out
        number >>= 8
    return out
