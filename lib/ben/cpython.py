"""What CPython has elsewhere than a board; a board never loads this."""

import json
from functools import lru_cache
from hmac import compare_digest as same  # noqa: F401
from time import monotonic_ns, sleep

from Crypto.Cipher import AES

_KEYS = 8192  # two for each of the most devices that a server keeps
_SHORT = 8  # blocks; a longer message is sealed sooner by a cipher made for it


@lru_cache(_KEYS)
def _cipher(key):
    # Kept, for to make one takes several times as long as to seal a short message with it.
    return AES.new(key, AES.MODE_ECB)


def _xor(one, two):
    return (int.from_bytes(one, "big") ^ int.from_bytes(two, "big")).to_bytes(len(one), "big")


class aes:  # noqa: N801  # its name in cryptolib
    """AES in CBC mode for one message, as cryptolib has it."""

    def __init__(self, key, mode, iv):
        self._key = key
        self._iv = iv

    def encrypt(self, data, out):
        """Encrypts whole blocks from data to out, which may be the same."""
        if len(data) > 16 * _SHORT:
            AES.new(self._key, AES.MODE_CBC, self._iv).encrypt(data, out)
            return
        encrypt, last = _cipher(self._key).encrypt, self._iv
        for at in range(0, len(data), 16):
            out[at : at + 16] = last = encrypt(_xor(last, data[at : at + 16]))

    def decrypt(self, data):
        """The plaintext of whole blocks."""
        data = bytes(data)
        return _xor(_cipher(self._key).decrypt(data), self._iv + data[:-16])


def const(value):
    """The value; a board's compiler puts it where the name stands."""
    return value


def dumps(value, separators):
    """json.dumps in UTF-8, as a board writes it: it cannot join escaped surrogates."""
    return json.dumps(value, separators=separators, ensure_ascii=False)


def loads(text):
    """json.loads; ValueError also for what is nested deeper than Python goes."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def collect():
    """Nothing: on a board it makes room for what comes; here it would take milliseconds."""


def mem_free():
    """Bytes: more than anybody asks for."""
    return 1 << 40


def ticks_ms():
    """Milliseconds since some moment."""
    return monotonic_ns() // 1000000


def ticks_diff(end, start):
    """Milliseconds from start to end, both of ticks_ms()."""
    return end - start


def sleep_ms(ms):
    """Waits ms milliseconds."""
    sleep(ms / 1000)


def running():
    """The asyncio loop that runs."""
    from asyncio import get_running_loop  # a blocking client does without

    return get_running_loop()


async def ready(sock, ms, write):
    """True when a socket can be read, or written, False after ms milliseconds."""

    def end(came):
        if not ended.done():
            ended.set_result(came)

    # Not by wait_for(): before Python 3.12 it loses a cancellation that comes together with the datagram.
    loop = running()
    ended = loop.create_future()
    add, remove = (loop.add_writer, loop.remove_writer) if write else (loop.add_reader, loop.remove_reader)
    add(sock, end, True)
    timer = loop.call_later(ms / 1000, end, False)
    try:
        return await ended
    finally:
        timer.cancel()
        remove(sock)
