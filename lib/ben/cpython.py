"""What CPython has elsewhere than a board; a board never loads this."""

import json
from hmac import compare_digest as same  # noqa: F401
from time import monotonic_ns, sleep

from Crypto.Cipher.AES import new as aes  # noqa: F401  # its number for CBC is cryptolib's, 2


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


def ticks_ms():
    """Milliseconds since some moment."""
    return monotonic_ns() // 1000000


def ticks_diff(end, start):
    """Milliseconds from start to end, both of ticks_ms()."""
    return end - start


def sleep_ms(ms):
    """Waits ms milliseconds."""
    sleep(ms / 1000)
