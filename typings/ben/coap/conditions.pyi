"""What a request asks for on condition: If-Match, If-None-Match, ETag and Accept (RFC 7252, 5.10)."""

from .handling import Request
from .message import Message

def check_conditions(request: Request) -> None:
    """Error 4.12 or 4.06 for a request that is not to reach its handler.

    4.12: If-Match or If-None-Match do not hold for what the resource's etag= says; without that, the resource is
    there, and fits no If-Match but an empty one. 4.06: Accept names none of the resource's ct=.

    Source: RFC 7252, 5.10.8 and 5.10.4.
    """

def apply_conditions(request: Request, reply: Message) -> None:
    """Leaves out a body that the client has, and makes that a 2.03; Error 4.06 for one that it does not accept.

    Gives a 2.05 the ETag that the resource's etag= says. Other codes stay as they are.

    Source: RFC 7252, 5.10.6.2 and 5.10.4.
    """
