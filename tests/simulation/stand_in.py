"""What stands in for the operating system's randomness, for key files and, in most of a run, for AES and HMAC."""

import contextlib
import hashlib
import os
import random
from threading import get_ident
from types import SimpleNamespace
from unittest import mock

import ben.crypto
import ben.exchange
import ben.keys
import benserver.sessions

PRK = ben.crypto.hmac(b"ben/2", bytes(range(32)))
_BLOCK = 16


class QuickKey:
    """ben.crypto.Key with the same lengths and promises out of hashes in C: a tenth of its time."""

    def __init__(self, key):
        self._key = key

    def _tag(self, extra, sealed):
        return hashlib.blake2b(
            b"%c%b%b" % (len(extra), extra, sealed), digest_size=_BLOCK, key=self._key
        ).digest()

    def _veil(self, iv, plain):
        stream = hashlib.shake_128(self._key + iv).digest(len(plain))
        return (int.from_bytes(stream, "big") ^ int.from_bytes(plain, "big")).to_bytes(len(plain), "big")

    def seal(self, head, extra, start, data=b""):
        plain = b"%b%b" % (start, data)
        pad = _BLOCK - len(plain) % _BLOCK
        iv = ben.crypto.urandom(_BLOCK)
        sealed = b"%b%b%b" % (head, iv, self._veil(iv, plain + bytes((pad,)) * pad))
        return bytearray(sealed + self._tag(extra, sealed))

    def open(self, datagram, size, extra=b""):
        datagram = bytes(datagram)
        if len(datagram) < size + 3 * _BLOCK or (len(datagram) - size) % _BLOCK:
            return None
        sealed = datagram[:-_BLOCK]
        if datagram[-_BLOCK:] != self._tag(bytes(extra), sealed):
            return None
        plain = self._veil(sealed[size : size + _BLOCK], sealed[size + _BLOCK :])
        return plain[: -plain[-1]]


def urandom(chance):
    """os.urandom for this thread, out of chance; one that an earlier test has left does not take from it."""
    here = get_ident()
    return lambda size: chance.randbytes(size) if get_ident() == here else os.urandom(size)


@contextlib.contextmanager
def everything(real=False):
    """Puts the stand-ins in; gives the random.Random that both ends' randomness then comes from."""
    chance = random.Random(0)
    with contextlib.ExitStack() as stack:
        for module in (ben.crypto, ben.exchange, ben.keys):
            stack.enter_context(mock.patch.object(module, "urandom", urandom(chance)))
        system = SimpleNamespace(urandom=urandom(chance))
        stack.enter_context(mock.patch.object(benserver.sessions, "os", system))
        stack.enter_context(mock.patch.object(ben.keys, "read", lambda file: (None, PRK)))
        if not real:
            stack.enter_context(mock.patch.object(ben.keys, "Key", QuickKey))
        yield chance
