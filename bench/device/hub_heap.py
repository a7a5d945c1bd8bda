# Prints the bytes of heap of: the modules to listen with, a Hub, its first receive(), and what each leaves to collect.
import gc
import sys


def used():
    gc.collect()
    return gc.mem_alloc()


used()
before = used()
from ben import Hub  # noqa: E402

loaded = used()
hub = Hub("127.0.0.1", int(sys.argv[1]), "heap", device=77)
made = used()
hub.receive(0)
received = used()
gc.disable()
hub.receive(0)
churn = gc.mem_alloc() - received
print(loaded - before, made - loaded, received - made, churn)
