"""HMAC-SHA256, and sealing with A128CBC-HS256 (RFC 7518, section 5.2)."""

from hashlib import sha256
from os import urandom

try:
    from cryptolib import aes
    from micropython import const

    def same(tag, body):
        """True where two tags, of one length, are equal; takes as long wherever they differ."""
        differ = 0
        for i in range(len(tag)):
            differ |= tag[i] ^ body[i]
        return not differ

except ImportError:
    from .cpython import aes, const, same

_CBC = const(2)
_BLOCK = const(16)  # of AES; also the length of an IV and of a tag
_HASH_BLOCK = const(64)  # of SHA-256: what HMAC pads its key to


def _pad(key, byte):
    key = int.from_bytes(key + bytes(_HASH_BLOCK - len(key)), "big")
    return (key ^ int.from_bytes(bytes((byte,)) * _HASH_BLOCK, "big")).to_bytes(_HASH_BLOCK, "big")


def _pads(key):
    return _pad(key, 0x36), _pad(key, 0x5C)


def _mac(pads, parts):
    for pad in pads:
        digest = sha256(pad)
        for part in parts:
            digest.update(part)
        parts = (digest.digest(),)
    return parts[0]


def hmac(key, *parts):
    """HMAC-SHA256 of the joined parts: 32 bytes."""
    if len(key) > _HASH_BLOCK:
        key = sha256(key).digest()
    return _mac(_pads(key), parts)


class Key:
    """One direction's key, 32 bytes: 16 for the tag, 16 for AES."""

    def __init__(self, key):
        self.pads = _pads(key[:_BLOCK])
        self.key = key[_BLOCK:]

    def tag(self, head, extra, body):
        """The 16 bytes that vouch for extra and for head | body."""
        bits = (len(head) + len(extra)) * 8
        return _mac(self.pads, (head, extra, body, bits.to_bytes(8, "big")))[:_BLOCK]

    def seal(self, head, extra, start, data=b""):
        """The datagram head | IV | ciphertext of start + data | tag; extra is only authenticated."""
        at = len(head) + _BLOCK
        size = len(start) + len(data)
        pad = _BLOCK - size % _BLOCK
        out = bytearray(at + size + pad + _BLOCK)
        # Everything is put where it leaves from: a board has no room for copies of a message.
        view = memoryview(out)
        view[: len(head)] = head
        iv = view[len(head) : at] = urandom(_BLOCK)
        plain = view[at:-_BLOCK]
        plain[: len(start)] = start
        plain[len(start) : size] = data
        plain[size:] = bytes((pad,)) * pad
        aes(self.key, _CBC, iv).encrypt(plain, plain)
        view[-_BLOCK:] = self.tag(head, extra, view[len(head) : -_BLOCK])
        return out

    def open(self, datagram, size, extra=b""):
        """What was sealed behind a head of size bytes; None for a wrong tag, empty for wrong padding."""
        view = memoryview(datagram)
        sealed = view[size + _BLOCK : -_BLOCK]
        if len(sealed) < _BLOCK or len(sealed) % _BLOCK:
            return None
        if not same(self.tag(view[:size], extra, view[size:-_BLOCK]), view[-_BLOCK:]):
            return None
        plain = aes(self.key, _CBC, bytes(view[size : size + _BLOCK])).decrypt(sealed)
        pad = plain[-1]
        if not 0 < pad <= _BLOCK or plain[-pad:] != bytes((pad,)) * pad:
            return b""
        return memoryview(plain)[:-pad]
