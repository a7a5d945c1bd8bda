# Prints the bytes of heap of: the modules of a CoAP client or server, the object (a server's with three resources),
# its first request, and what each leaves to collect. "client" or "server", the port that it asks, or is to have.
import gc
import socket
import sys

what, port = sys.argv[1], int(sys.argv[2])


def used():
    gc.collect()
    return gc.mem_alloc()


if what == "server":
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.connect(socket.getaddrinfo("127.0.0.1", port)[0][-1])
    numbers = iter((b"\x01", b"\x02"))

    def request(server):
        peer.send(b"\x40\x01\x00" + next(numbers) + b"\xbbtemperature")
        server.poll(0)

    def make():
        made = kind(port, "127.0.0.1")
        made.add("temperature", get=lambda request: "21.5")
        made.add("humidity", get=lambda request: "40")
        made.add("lamp", get=lambda request: "1", put=lambda request: None)
        return made
else:
    url = f"coap://127.0.0.1:{port}/temperature"

    def request(client):
        client.get(url)

    def make():
        return kind()


used()
before = used()
if what == "server":
    from ben.coap import Server as kind
else:
    from ben.coap import Client as kind
loaded = used()
made = make()
there = used()
request(made)
asked = used()
gc.disable()
sys.modules["ben.coap.net"].collect = lambda: None  # which frees a part of it at once
request(made)
churn = gc.mem_alloc() - asked
print(loaded - before, there - loaded, asked - there, churn)
print(*sorted(name for name in sys.modules if name.startswith("ben")))
