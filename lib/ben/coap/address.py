"""Addresses for people: the unix port's sockets have bytes where a board's have a host and a port."""

import socket


def readable(address):
    """(host, port) of the address of a peer."""
    if isinstance(address, tuple):
        return address[:2]
    port = int.from_bytes(address[2:4], "big")
    if len(address) < 28:
        return "%d.%d.%d.%d" % tuple(address[4:8]), port
    return socket.inet_ntop(socket.AF_INET6, address[8:24]), port
