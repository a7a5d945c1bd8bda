"""The server here, which can stop, come back and lose datagrams."""

import os
import threading

from benserver import Server, generate_new_secret

from .verdicts import Stop

LISTEN = 10  # s for the server to listen
LOSES = (0, 2)  # of five datagrams: of those that come and go in turn it loses some each way


class Station:
    """A server with its key in a folder; it can be stopped, replaced, and made to lose datagrams."""

    def __init__(self, folder, address, port):
        self.key = os.path.join(folder, "key.sec")
        generate_new_secret(self.key)
        self.address = address
        self.port = port
        self.numbers = []  # of the readings that arrived
        self.lossy = False
        self.lost = 0
        self._datagrams = 0

    def start(self):
        """Begins a new server, which knows nothing of an earlier one."""
        self._server = Server(self.address, self.port, self.key)
        self._server.add_action_handler("reading", self._reading)
        self._server.add_action_handler("echo", lambda data: data)
        self._lose_datagrams(self._server._sessions)
        self._error = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self._server.listening.wait(LISTEN if self._thread.is_alive() else 0)
        if not self._server.listening.is_set():
            raise Stop(f"no server can listen on {self.address} port {self.port} here: {self._error}")
        self.port = self._server.port

    def stop(self):
        self._server.stop()
        self._thread.join()

    def _serve(self):
        try:
            self._server.start()
        except OSError as error:
            self._error = error

    def _reading(self, data):
        self.numbers.append(data["number"])
        return data["number"]

    def _lose_datagrams(self, sessions):
        receive, finish = sessions.receive, sessions.finish

        def receive_some(datagram, now):
            if self._loses():
                return None, None
            reply, call = receive(datagram, now)
            return (None if reply and self._loses() else reply), call

        def finish_some(*arguments):
            reply = finish(*arguments)
            return None if self._loses() else reply

        sessions.receive, sessions.finish = receive_some, finish_some

    def _loses(self):
        """Whether it loses this datagram, one that came or one that is to go."""
        self._datagrams += 1
        loses = self.lossy and self._datagrams % 5 in LOSES
        self.lost += loses
        return loses
