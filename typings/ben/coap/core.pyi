"""What /.well-known/core says of the resources of a server (RFC 6690). Loaded when it is first asked for."""

from .handling import Request
from .response import Response

def core(request: Request) -> Response:
    """The handler of /.well-known/core: the resources that fit the query, in the order of their paths.

    A query such as rt=temperature* or href=/lamp leaves those of which one value of the attribute is that, or begins
    so; several have all to fit. The content format is 40.

    Source: RFC 6690, 2 and 4.1.
    """
