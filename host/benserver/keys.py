"""Key files: the shared master key, and what one device gets of it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ben import keys


def generate_new_secret(file: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Writes a new shared key file, 32 random bytes, readable by its owner only.

    Raises FileExistsError where there is one already, unless told to overwrite: a key that is
    replaced locks out every board that holds the old one.
    """
    _write(Path(file), os.urandom(32), overwrite)


def device_key(
    master: str | os.PathLike[str],
    device: int | str,
    file: str | os.PathLike[str],
    overwrite: bool = False,
) -> None:
    """Writes the key file of one device, an int or 8 hex digits, out of the shared key file `master`.

    Whoever gets hold of it has this device and no other.
    """
    number = device_number(device)
    if os.path.exists(file) and os.path.samefile(master, file):
        raise ValueError(f"{os.fspath(file)} is the shared key file itself: the device's needs another name")
    key = keys.derive(read_master(master), number.to_bytes(4, "big"))
    _write(Path(file), b"ben2" + number.to_bytes(4, "big") + key, overwrite)


def device_number(device: int | str) -> int:
    """A device's id from an int or from 8 hex digits; ValueError."""
    if isinstance(device, str):
        if not re.fullmatch("[0-9a-fA-F]{8}", device):
            raise ValueError(f"a device is written as 8 hex digits, not {device!r}")
        return int(device, 16)
    if not 0 <= device < 1 << 32:
        raise ValueError(f"a device is a number of 32 bits, not {device!r}")
    return device


def read_master(file: str | os.PathLike[str]) -> bytes:
    """What every device's key derives from, out of a shared key file; OSError, ValueError."""
    device: bytes | None
    prk: bytes
    device, prk = keys.read(file)
    if device:
        raise ValueError(
            f"{os.fspath(file)} is the key of device {device.hex()} alone: the shared key file is needed"
        )
    return prk


def _write(path: Path, content: bytes, overwrite: bool) -> None:
    # Always a new file: an older one may be a link, be open to others, or be held open by somebody.
    made = path.with_name(path.name + ".new") if overwrite else path
    if overwrite:
        made.unlink(missing_ok=True)
    with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    if overwrite:
        os.replace(made, path)
