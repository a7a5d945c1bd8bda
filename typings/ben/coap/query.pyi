"""The query of a request (RFC 7252, 5.10.1). Loaded when it is first asked for."""

from .message import Message

def query_of(message: Message) -> dict[str, str | None]:
    """The arguments by name, decoded; None for one without a value, the last of several with one name.

    Error 4.02 for what is no UTF-8.
    """
