"""HMAC-SHA256, and sealing with A128CBC-HS256 (RFC 7518, section 5.2)."""

from hashlib import sha256 as sha256
from os import urandom as urandom

from typing_extensions import TypeAlias

from .cpython import aes as aes
from .cpython import const as const

_Bytes: TypeAlias = bytes | bytearray | memoryview
"""Bytes, in any of the three forms that a board has them in."""

def same(tag: _Bytes, body: _Bytes, /) -> bool:
    """True where two tags, of one length, are equal; it takes as long wherever they differ.

    Tags only: what the two have in common must not be told by the clock (protocol, Datagrams).
    """

def hmac(key: bytes, *parts: _Bytes) -> bytes:
    """HMAC-SHA256 of the joined parts under key: 32 bytes.

    key: any length; one over 64 bytes is hashed first.

    Source: RFC 2104, section 2; vectors in RFC 4231, section 4.
    """

class Key:
    """One direction's key: seals and opens datagrams with A128CBC-HS256 (RFC 7518, section 5.2)."""

    pads: tuple[bytes, bytes]
    """The tag's key as HMAC's inner and outer pad, 64 bytes each: made once, used for each datagram."""

    key: bytes
    """The key of AES, 16 bytes."""

    def __init__(self, key: bytes) -> None:
        """key: 32 bytes, 16 for the tag and 16 for AES, as `keys.directions` makes them (protocol, Keys)."""

    def tag(self, head: _Bytes, extra: _Bytes, body: _Bytes) -> bytes:
        """The 16 bytes that vouch for extra and for head | body.

        HMAC(tag key, head | extra | body | AL), its first 16 bytes; AL is the length of head and extra in
        bits, in
        8 bytes. head | extra is A of RFC 7518, section 5.2.2.1; body is IV | ciphertext.
        """

    def seal(self, head: _Bytes, extra: _Bytes, start: _Bytes, data: _Bytes = b"") -> bytearray:
        """The datagram head | IV | ciphertext of start | data | tag (protocol, Datagrams).

        head: what goes before, in clear: 16 bytes of a request, 4 of a reply.
        extra: bytes that are only authenticated and do not travel: of a reply, its request's tag; else b"".
        start, data: the plaintext, in two so that a board need not join it. Any length; it is padded by 1 to
        16 bytes.

        The IV is 16 bytes of `os.urandom`. The datagram has len(head) + 32 bytes and the padded plaintext's.
        """

    def open(self, datagram: _Bytes, size: int, extra: _Bytes = b"") -> bytes | memoryview | None:
        """What was sealed behind a head of `size` bytes: a memoryview.

        extra: what `seal` was given.

        None where the length is impossible or the tag is wrong: nothing has been decrypted then. b"" where
        the tag is right and the padding wrong. Never raises for what comes from outside.
        """
