# Listens at the hub: port, name, device; says each message with a bare datagram to a port, if that is not 0.
import socket
import sys

from ben import Hub

port, name, device, mark = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
bare = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
if mark:
    bare.connect(socket.getaddrinfo("127.0.0.1", mark)[0][-1])


def told(who, data):
    if mark:
        bare.send(b"!")


Hub("127.0.0.1", port, name, device=device).listen(told)
