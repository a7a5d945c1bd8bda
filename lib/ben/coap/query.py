"""The query of a request (RFC 7252, 5.10.1)."""

from .handling import Error
from .message import const

_URI_QUERY = const(15)
_BAD_OPTION = const(0x82)


def query_of(message):
    """The arguments by name, None for one without a value; Error for what is no UTF-8."""
    found = {}
    for number, value in message.options:
        if number == _URI_QUERY:
            try:
                name = value.decode()
            except UnicodeError:
                raise Error(_BAD_OPTION)
            at = name.find("=")
            found[name if at < 0 else name[:at]] = None if at < 0 else name[at + 1 :]
    return found
