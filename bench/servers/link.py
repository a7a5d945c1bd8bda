"""The server that is measured: it prints its port, and answers "cpu" with its seconds of CPU time."""

import time

from benserver import Server

server = Server("127.0.0.1", 0, "key.sec")
server.add_action_handler("dht", lambda reading: "ok")
server.add_action_handler("cpu", time.process_time)
server.on_listening = lambda: print(server.port, flush=True)
server.start()
