"""Key files, and the keys that derive from them by HKDF (RFC 5869).

Source: protocol, Keys.
"""

from os import PathLike as _PathLike

from typing_extensions import TypeAlias

from .crypto import Key as Key
from .crypto import hmac as hmac
from .crypto import sha256 as sha256
from .crypto import urandom as urandom

_File: TypeAlias = str | _PathLike[str]
"""The name of a file; a board knows no Path."""

def read(file: _File) -> tuple[None, bytes] | tuple[bytes, bytes]:
    """The key in a key file.

    (None, PRK) of the shared key, a file of 32 bytes; PRK is 32 bytes too, HKDF-Extract with the salt
    "ben/2".
    (device, device key) of a device's own, a file of 40 bytes: "ben2", 4 bytes of device, 32 of key.

    OSError if the file cannot be read, ValueError if it has another length or start.
    """

def derive(key: bytes, device: bytes) -> bytes:
    """The device key, 32 bytes, of a device of 4 bytes: HKDF-Expand(key, "dev" | device), one block.

    key: the PRK that `read` gives for a shared key file.

    Source: RFC 5869, section 2.3.
    """

def directions(key: bytes) -> tuple[Key, Key]:
    """The two Keys of a device key of 32 bytes: client to server, server to client.

    HKDF-Expand(key, "c2s") and HKDF-Expand(key, "s2c"), one block each.
    """

def own(file: _File, device: int | None) -> tuple[bytes, Key, Key]:
    """Who this board is: (device of 4 bytes, Key to the server, Key from the server).

    file: a key file, shared or of one device.
    device: its id, 0 to 0xFFFFFFFF. None for the file's own, or the first 4 bytes of SHA-256 of
        `machine.unique_id()`, or, where there is none, 4 random ones.

    OSError if the file cannot be read; ValueError if it is no key file or is another device's, or device is
    out of its bounds.
    """
