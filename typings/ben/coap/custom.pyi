"""A socket that is an object of the user's."""

from typing import Any, Protocol

from .net import Socket

class _User(Protocol):
    """What is asked of it."""

    def sendto(self, data: bytes, address: Any, /) -> Any: ...
    def recvfrom(self, size: int, /) -> Any: ...

class Custom(Socket):
    """Any object with sendto() and recvfrom(), such as a modem's driver.

        client = Client(socket=Custom(modem))

    sendto(datagram, address) gets an address as getaddrinfo() of this port gives it. recvfrom(size) returns (datagram,
    address) or None, or raises OSError, where nothing has come; its address may also be (host, port). Where poll() does
    not know the object, it is looked at every 20 ms, and must not block.
    """

    def __init__(self, user: _User) -> None:
        """It is open at once."""
