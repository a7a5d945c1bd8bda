"""What the board's generator draws."""

from binascii import hexlify
from os import urandom


def draw(count):
    return [hexlify(urandom(16)).decode() for _ in range(count)]
