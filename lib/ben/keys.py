"""Key files, and the keys that derive from them by HKDF (RFC 5869)."""

from .crypto import Key, hmac, sha256, urandom


def read(file):
    """(None, PRK) of a shared key file, (device, device key) of a device's; OSError, ValueError."""
    with open(file, "rb") as f:
        key = f.read(41)  # one more than any key file has
    if len(key) == 32:
        return None, hmac(b"ben/2", key)
    if len(key) == 40 and key[:4] == b"ben2":
        return key[4:8], key[8:]
    raise ValueError("%s is no key file" % file)


def derive(key, device):
    """The device key, 32 bytes, of a device of 4 bytes; key is the PRK."""
    return hmac(key, b"dev", device, b"\x01")  # HKDF-Expand of one block


def directions(key):
    """The two Keys of a device key, 32 bytes: client to server, server to client."""
    return Key(hmac(key, b"c2s\x01")), Key(hmac(key, b"s2c\x01"))


def own(file, device):
    """(device, Key to the server, Key from it) of this board; device None, or an int for its id."""
    owner, key = read(file)
    if device is not None:
        if not 0 <= device <= 0xFFFFFFFF:
            raise ValueError("device: 32 bits")
        device = device.to_bytes(4, "big")
        if owner and owner != device:
            raise ValueError("%s is another device's" % file)
    elif not owner:
        try:
            from machine import unique_id

            device = sha256(unique_id()).digest()[:4]
        except ImportError:
            device = urandom(4)
    device = owner or device
    return (device,) + directions(key if owner else derive(key, device))
