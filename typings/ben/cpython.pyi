"""What CPython has elsewhere than a board; a board never loads this, it has its own of each."""

import socket as _socket
from hmac import compare_digest as same  # noqa: F401
from typing import Any, TypeVar

from .crypto import _Bytes

_T = TypeVar("_T")

class aes:
    """AES in CBC mode for one message: `cryptolib.aes` of MicroPython, as far as ben uses it."""

    def __init__(self, key: bytes, mode: int, iv: _Bytes) -> None:
        """key: 16 bytes. mode: 2, CBC; there is no other here. iv: 16 bytes."""

    def encrypt(self, data: _Bytes, out: bytearray | memoryview) -> None:
        """Encrypts whole blocks of 16 bytes from data to out, which may be the same."""

    def decrypt(self, data: _Bytes) -> bytes:
        """The plaintext of whole blocks of 16 bytes."""

def const(value: _T) -> _T:
    """The value; a board's compiler puts it where the name stands (MicroPython, micropython.const)."""

def dumps(value: Any, separators: tuple[str, str]) -> str:
    """json.dumps with every character as it is, where Python would escape: a board cannot join surrogates.

    separators: what stands between items, and between key and value. ValueError for a list or dict that has
    itself in it, TypeError for what JSON does not know.
    """

def loads(text: str) -> Any:
    """json.loads; ValueError also for what is nested deeper than Python goes."""

def mem_free() -> int:
    """Bytes: more than anybody asks for. On a board, gc.mem_free()."""

def collect() -> None:
    """Nothing. A board collects its garbage before each `send()`, gc.collect(), to have room in one piece."""

def ticks_ms() -> int:
    """Milliseconds since some moment; only for ticks_diff()."""

def ticks_diff(end: int, start: int) -> int:
    """Milliseconds from start to end, both of ticks_ms()."""

def sleep_ms(ms: int) -> None:
    """Waits ms milliseconds, which block the whole thread."""

def running() -> Any:
    """The asyncio loop that runs; RuntimeError where none does."""

async def ready(sock: _socket.socket, ms: float, write: object) -> bool:
    """True when there is something to receive, False after ms milliseconds without. The loop goes on.

    write: anything true to wait until something can be sent, in place of that.
    """
