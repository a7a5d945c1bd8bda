"""Content formats by name (RFC 7252, 12.3, and the registry that it began)."""

_NUMBERS = {
    "text/plain": 0,
    "application/link-format": 40,
    "application/xml": 41,
    "application/octet-stream": 42,
    "application/json": 50,
    "application/cbor": 60,
    "application/senml+json": 110,
    "application/senml+cbor": 112,
}


def number(name):
    """The number of a content format; ValueError for a name that is not known here."""
    if name not in _NUMBERS:
        raise ValueError("format: " + name)
    return _NUMBERS[name]


def name(number):
    """The name of a content format, or its number as text."""
    for each in _NUMBERS:
        if _NUMBERS[each] == number:
            return each
    return str(number)
