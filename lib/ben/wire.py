"""ben/2 on the wire: the layout of datagrams and bodies, for both ends."""

from struct import pack

try:
    from json import dumps, loads

    from micropython import const
except ImportError:
    from .cpython import const, dumps, loads

REPLY = const(2)
CHALLENGE = const(3)

# fmt, low half
NONE = const(0)
_JSON = const(1)
_BYTES = const(2)
TEXT = const(3)
NEXT = const(15)  # asks for the reply's data from an offset on
# fmt, flags; MORE is a flag of status too
CONTINUES = const(0x10)
MORE = const(0x20)
ACKNOWLEDGE = const(0x40)

# status: those that a client has to tell apart; benserver.status has the others
TOO_BIG = const(3)
GONE = const(5)
OUT_OF_ORDER = const(6)

_NESTED_MAX = const(20)  # lists and dicts inside each other: a board's C stack is short


def chunk_of(token):
    """Most bytes of plaintext in a request, of data in a reply, as a token's first byte says; ValueError."""
    chunk = (token[0] >> 2) * 32
    if not 64 <= chunk <= 1152:
        raise ValueError("chunk: 64 to 1152")
    return chunk


def request_head(device, token, seq):
    """The 16 bytes before a request's IV; device 4 bytes, token 8."""
    return pack(">BB4s8sH", 0xB2, 1, device, token, seq)


def reply_head(kind, seq):
    """The 4 bytes before a reply's IV; kind REPLY or CHALLENGE."""
    return pack(">BBH", 0xB2, kind, seq)


def _check(value, depth=0):
    # a board's dumps() writes what no reader takes: nan, objects, keys that are no text
    if isinstance(value, float):
        if value - value == 0:
            return
    elif (
        isinstance(value, (list, dict)) or type(value) is tuple
    ) and depth < _NESTED_MAX:  # a board knows namedtuple
        for each in value:
            if isinstance(value, dict):
                if not isinstance(each, str):
                    raise ValueError("not for JSON: a key")
                each = value[each]
            _check(each, depth + 1)
        return
    elif value is None or isinstance(value, (str, int, bool)):
        return
    raise ValueError("not for JSON: " + type(value).__name__)  # its repr may be endless, or fail


def encode(value):
    """(format, bytes) of a body: bytes, str, or what JSON can hold; ValueError otherwise."""
    if isinstance(value, (bytes, bytearray)):
        return _BYTES, value
    if isinstance(value, memoryview):  # its items may be wider than a byte
        return _BYTES, bytes(value)
    if isinstance(value, str):
        return TEXT, value.encode()
    _check(value)
    return _JSON, dumps(value, separators=(",", ":")).encode()


def decode(form, body):
    """The value of a body, None for none; ValueError for what is not of its format."""
    if form == _BYTES:
        return bytes(body)
    if form == NONE and not body:
        return None
    if form != _JSON and form != TEXT:
        raise ValueError("format")
    value = str(body, "utf-8")
    if form == _JSON:
        value = loads(value)
        _check(value)  # 1e999 is read as infinite, by CPython also NaN
    return value
