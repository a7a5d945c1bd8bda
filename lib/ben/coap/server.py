"""The blocking server."""

from .net import Endpoint, Socket, resolve, ticks_diff, ticks_ms
from .resources import Resources


class Bound(Socket):
    """A socket at a port of its own, of all addresses or of a host's."""

    def __init__(self, host, port):
        super().__init__()
        self._at = resolve(host or "0.0.0.0", port)
        self.open(self._at[0])

    def open(self, family):
        """Opens it at its port; OSError where that is taken."""
        super().open(self._at[0])
        self.family = family  # it has but one address, and sends to others in vain
        self.socket.bind(self._at[1])


class Server:
    """Resources at a UDP port; the arguments behind socket are those of Resources."""

    Endpoint = Endpoint

    def __init__(self, port=5683, host=None, socket=None, **kwargs):
        self.endpoint = self.Endpoint(socket or Bound(host, port))
        self.resources = Resources(self.endpoint.layer, **kwargs)
        self.resources.flush = self.flush
        self.add = self.resources.add

    def notify(self, path):
        """Tells the observers of a resource what its handler says now; returns how many there are."""
        found = self.resources.notify(path)
        self.flush()
        return found

    def flush(self):
        """Sends what is to go out."""
        self.endpoint.tick()

    def answer(self, request, result):
        """Answers a request whose handler has returned LATER: with what a handler returns, or an Error."""
        if isinstance(result, Exception):
            self.resources.fail(request, result)
        else:
            self.resources.finish(request, result)
        self.flush()

    def run(self):
        """Serves for ever."""
        while True:
            self._step(None)

    def poll(self, ms=0):
        """Serves for so many milliseconds; for 0, what has come already."""
        began = ticks_ms()
        left = ms = int(ms)
        while left >= 0:
            came = self._step(left)
            left = ms - ticks_diff(ticks_ms(), began)
            if not came and not ms:
                break

    def _step(self, ms):
        try:
            return self.endpoint.step(ms)
        except MemoryError:  # what strangers sent may have taken it
            self.resources.spare()

    def close(self):
        """Closes the socket."""
        self.endpoint.socket.close()
