# Prints the bytes of a message, and for each round the microseconds to make it, to encode it, to decode it, and of
# two yardsticks: a datagram as long that goes to its own socket, and 100 turns of a loop. A free port, rounds, count.
import socket
import sys
from time import ticks_diff, ticks_us

from ben.coap.message import Message, decode

port, rounds, count = [int(word) for word in sys.argv[1:]]


def make():
    message = Message(2, b'{"temperature":21.5,"humidity":40}', 0, 0x1234, b"toke")
    message.add(11, "sensors")
    message.add(11, "attic")
    message.add(11, "climate")
    message.add(12, b"\x32")
    return message


def to_itself():
    itself.sendto(datagram, address)
    itself.recvfrom(256)


def loop():
    for _ in range(100):
        pass


def timed(what, *arguments):
    began = ticks_us()
    for _ in range(count):
        what(*arguments)
    return ticks_diff(ticks_us(), began) / count


message = make()
datagram = bytes(message.encode())
address = socket.getaddrinfo("127.0.0.1", port)[0][-1]
itself = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
itself.bind(address)
print(len(datagram))
for _ in range(rounds):
    print(timed(make), timed(message.encode), timed(decode, datagram), timed(to_itself), timed(loop))
