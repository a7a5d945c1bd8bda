"""Bodies of many blocks, at the server (RFC 7959). Loaded for the first one."""

from typing import Any

from .handling import Request
from .message import Message
from .resources import Resources
from .response import Response

class Body:
    """A body that a peer sends, or fetches."""

    at: int
    """Bytes that have come."""

    path: str
    """The resource that it is sent to."""

    key: tuple[Any, ...]
    """What all requests for its blocks share: peer, method, and options but those of the blocks (RFC 7959, 2.4)."""

    held: bytearray | Response | None
    """A bytearray while it comes, None where the handler takes it block by block, or the Response that goes out."""

    since: int
    """When something last came of it, or went, in ms of `Layer.now`."""

    def __init__(self, request: Request, held: bytearray | Response | None) -> None:
        """request: the first for it. held is kept."""

class Bodies:
    """The bodies that are under way: at most 2 in each direction; the one that is idle for longest gives way."""

    def __init__(self, server: Resources) -> None:
        """The size of blocks and the limit of a body are the server's; ValueError for a size that there is not."""

    def take(self, request: Request) -> Response | None:
        """What a request for a block comes to without its handler: 2.31, or what is kept of a body; or None.

        Error 4.08 for a block that fits none that came before, 4.13 for a body over the server's limit, 4.00 for a
        Block option that is none.

        Source: RFC 7959, 2.9.
        """

    def begin(self, request: Request) -> None:
        """A new request: what its peer was still sending there gives way, for the rest of it is not to mix in.

        So does what has been idle for 247 s.
        """

    def cut(self, request: Request, reply: Message) -> None:
        """Leaves in a response the block that was asked for, and says which it is.

        Gives it an ETag of 4 bytes where there are others and it has none. Error 4.00 for a block behind the end.

        Source: RFC 7959, 2.4.
        """
