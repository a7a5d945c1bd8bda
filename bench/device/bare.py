# What a request costs without ben: datagrams of the same sizes, there and back.
import select
import socket

REQUEST = 96  # bytes of a datagram with reading.READING: head 16, IV 16, ciphertext 48, tag 16
REPLY = 52  # its answer's: head 4, IV 16, ciphertext 16, tag 16


def connect(port, request=REQUEST, reply=REPLY):
    """echo(count) for a port of 127.0.0.1."""
    bare = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bare.connect(socket.getaddrinfo("127.0.0.1", port)[0][-1])
    poll = select.poll()
    poll.register(bare, select.POLLIN)
    datagram = reply.to_bytes(2, "big") + bytes(request - 2)

    def echo(count):
        for _ in range(count):
            bare.send(datagram)
            while not poll.poll(400):  # lost: so many boards at once overflow a socket
                bare.send(datagram)
            bare.recv(256)

    return echo
