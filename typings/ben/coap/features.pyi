"""What a request may ask for besides a plain answer: conditions, blocks, observation, silence."""

from .handling import Request, _Kept
from .message import Message
from .resources import Resources
from .response import Response

def check(request: Request) -> None:
    """Error 4.02 for an option that is longer than its kind is, or there more than once where it must not be.

    Source: RFC 7252, 5.4.3 to 5.4.5 and 5.10; RFC 7959, 2.1.
    """

def before(server: Resources, request: Request) -> Response | None:
    """What a request comes to without its handler, or None; Error.

    That is a block that is not the last of its request's body, or one of a body that is kept.
    """

def after(server: Resources, request: Request, reply: Message) -> Message | None:
    """Makes of what a handler returned what was asked for; None where the client does not want to hear it.

    Source: RFC 7252, 5.10; RFC 7641, 4; RFC 7959, 2; RFC 7967, 2.
    """

def spare(late: list[_Kept]) -> None:
    """Lets go of the replies to requests of late, the oldest first, where they are many: over 2048 bytes.

    Of GET and FETCH the request is forgotten with its reply, for they may run again; a copy of another one is not
    answered any more.
    """
