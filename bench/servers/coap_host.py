"""The host's server, which is asked by CoAP: it prints its port."""

import logging

from benserver import Server

logging.disable(logging.WARNING)  # it says that no key protects what comes
server = Server("127.0.0.1", 0, "key.sec", coap=0)
server.add_action_handler("temperature", lambda *data: 21.5, insecure=True)
server.on_listening = lambda: print(server.coap, flush=True)
server.start()
