# One of many boards: says that it is ready, waits for a line, and sends. "ben" or "echo", port, device, count.
import sys

from reading import READING

what, port, device, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])

if what == "echo":
    from bare import connect

    send = connect(port)
else:
    from ben import client

    link = client("127.0.0.1", port, timeout=60, device=device)

    def send(count):
        for _ in range(count):
            link.send(READING)


send(1)
print("ready")
sys.stdin.readline()
send(count)
