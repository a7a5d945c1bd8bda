"""Bodies of many blocks, at the client (RFC 7959)."""

from errno import EIO, ENOMEM
from os import urandom

from .message import Message, const

_ETAG = const(4)
_OBSERVE = const(6)
_BLOCK2 = const(23)
_BLOCK1 = const(27)
_SIZE1 = const(60)
_NO_RESPONSE = const(258)
_REQUEST_TAG = const(292)
_CONTINUE = const(0x5F)
_TOO_LARGE = const(0x8D)


def unpack(value):
    """(number, whether more follow, exponent of the size) of a Block option's value; OSError(EIO) for none."""
    if len(value) > 3 or value and value[-1] & 7 == 7:
        raise OSError(EIO, "blocks")
    number = int.from_bytes(value, "big")
    return number >> 4, number >> 3 & 1, number & 7


def exponent(size):
    """A size of blocks as the options have it: 0 for 16 to 6 for 1024; ValueError."""
    for szx in range(7):
        if size == 16 << szx:
            return szx
    raise ValueError("size: 16, 32, 64, 128, 256, 512 or 1024")


def pack(at, more, szx):
    """A Block option's number for the block that begins at a byte of the body."""
    return at >> 4 + szx << 4 | more << 3 | szx


def again(message, *without):
    """A message like another, with a token of its own, and without some options."""
    copy = Message(message.code, b"", message.type, 0, urandom(4))
    copy.options = [option for option in message.options if option[0] not in without]
    return copy


def reader(source):
    """A function of (offset, size) for bytes, for a file, or for such a function."""
    if hasattr(source, "read"):

        def read(at, size):
            source.seek(at)
            return source.read(size)

        return read
    if callable(source):
        return source
    return lambda at, size: bytes(source[at : at + size])


def upload(message, source, room):
    """Yields the request for each block of a body, is sent the replies, and returns the last."""
    read = reader(source)
    szx = 6
    while szx and 16 << szx > room:
        szx -= 1
    at = 0
    message.add(_REQUEST_TAG, urandom(2))  # so that late blocks of another body are no part of it (RFC 9175)
    while True:
        size = 16 << szx
        data = read(at, size + 1)
        more = len(data) > size
        block = again(message, more and _NO_RESPONSE)  # 2.31 is always wanted
        block.payload = data[:size]
        if at or more:
            block.add(_BLOCK1, pack(at, more, szx))
            if not at and not callable(source) and not hasattr(source, "read"):
                block.add(_SIZE1, len(source))
        reply = yield block
        if not reply:  # none is wanted
            return None
        answer = reply.get(_BLOCK1)
        wanted = szx if answer is None else unpack(answer)[2]
        if reply.code == _TOO_LARGE and wanted < szx:
            at = 0
        elif reply.code >> 5 != 2 or answer is None or not more:
            return reply
        else:
            at += size
        szx = min(szx, wanted)


def download(message, reply, into, limit):
    """Yields the requests for the rest of a body, is sent the replies, and returns the last with all of it."""
    pieces = []
    write = getattr(into, "write", into) or pieces.append
    etag = reply.get(_ETAG)
    at = 0
    while True:
        value = reply.get(_BLOCK2)
        number, more, szx = unpack(value or b"")
        if value is not None and (number << 4 + szx != at or more and len(reply.payload) != 16 << szx):
            raise OSError(EIO, "blocks")
        at += len(reply.payload)
        if not into and at > limit:
            raise OSError(ENOMEM, "limit")
        write(reply.payload)
        if not more:
            break
        block = again(message, _OBSERVE, _BLOCK1, _SIZE1, _BLOCK2)
        block.add(_BLOCK2, pack(at, 0, szx))
        reply = yield block
        if not reply or reply.code >> 5 != 2:
            return reply
        if reply.get(_ETAG) != etag or reply.get(_BLOCK2) is None:
            raise OSError(EIO, "blocks")  # the body has changed
    reply.payload = b"" if into else b"".join(pieces)
    return reply
