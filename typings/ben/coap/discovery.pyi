"""Reading what /.well-known/core says (RFC 6690).

The links to the resources of a server:

    from ben.coap import Client, discovery

    reply = Client().get("coap://192.168.1.2/.well-known/core")
    for path, attributes in discovery.parse(reply.payload):
        print(path, attributes.get("rt"))
"""

from .message import _Bytes

def parse(text: str | _Bytes) -> list[tuple[str, dict[str, str | bool]]]:
    """The links of /.well-known/core as a list of (path, attributes), in their order.

    text: the payload, bytes or text. attributes: {name: value}, the values text, without quotes; True for a name
    without one. ValueError for what is no list of links; UnicodeError, which is one on CPython, for bad UTF-8.

    Source: RFC 6690, 2.
    """
