"""Addresses for people: the unix port's sockets have bytes where a board's have a host and a port."""

from .message import _Peer

def readable(address: _Peer) -> tuple[str, int]:
    """(host, port) of the address of a peer, such as ("192.168.1.2", 5683).

    address: as a socket of this port of MicroPython gives it: a tuple that begins with both, or the bytes of a
        struct sockaddr. The host is an address, of IPv4 or IPv6, and never a name.
    """
