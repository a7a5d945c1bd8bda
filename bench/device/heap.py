# Prints the bytes of heap of: ben's modules, a client, its first send(), and what each send() leaves to collect.
import gc
import sys

from reading import READING


def used():
    gc.collect()
    return gc.mem_alloc()


used()
before = used()
from ben import client  # noqa: E402

loaded = used()
link = client("127.0.0.1", int(sys.argv[1]))
made = used()
link.send(READING)
sent = used()
gc.disable()
link.send(READING)
churn = gc.mem_alloc() - sent
print(loaded - before, made - loaded, sent - made, churn)
