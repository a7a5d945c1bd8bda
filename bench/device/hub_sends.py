# Sends to one target: says that it is ready, waits for a line, and sends. Port, target, device, count.
import sys

from ben import Hub

port, target, device, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
hub = Hub("127.0.0.1", port, device=device, timeout=60)
hub.send(target, {"on": True})
print("ready")
sys.stdin.readline()
for _ in range(count):
    hub.send(target, {"on": True})
