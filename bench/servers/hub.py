"""The server of the hub's bench: it prints its port, and tells its TCP port, its seconds of CPU time, its memory."""

import gc
import os
import time

from benserver import Server


def memory():
    """Bytes that are resident."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


server = Server("127.0.0.1", 0, "key.sec", tcp=0)
server.add_action_handler("tcp", lambda: server.tcp)
server.add_action_handler("cpu", time.process_time)
server.add_action_handler("memory", memory)
server.on_listening = lambda: print(server.port, flush=True)
server.start()
