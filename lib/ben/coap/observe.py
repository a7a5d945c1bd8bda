"""Observing a resource, blocking."""

from .message import const
from .net import ticks_diff, ticks_ms
from .observation import Observation
from .request import peer_of, request, whole

_WAITING = const(4)  # datagrams that are looked at first


class Observe:
    """Iterates over the notifications of a resource, the first of which is its state; OSError as from request()."""

    def __init__(self, client, url, limit=65536, **options):
        message, host, port, self._timing = request(1, url, **options)
        self._client = client
        self._endpoint = client.endpoint
        self._limit = limit
        self._observation = Observation(message, peer_of(self._endpoint, host, port), **self._timing)
        self._observation.begin(self._endpoint.layer)

    def __iter__(self):
        return self

    def __next__(self):
        reply = self.next()
        if reply is None:
            raise StopIteration
        return reply

    def next(self, seconds=None):
        """The next notification, or None: after so many seconds, or where the last one has been."""
        observation = self._observation
        endpoint = self._endpoint
        began = ticks_ms()
        left = None
        try:
            for _ in range(_WAITING):  # in the socket, older than the answer to being asked anew
                came = endpoint.socket.recv(0)
                if not came:
                    break
                endpoint.receive(*came)
            while True:
                while observation.news:
                    steps = whole(observation.message, observation.news.pop(0), None, self._limit)
                    try:
                        return self._client.run(steps, observation.peer, **self._timing)
                    except OSError:
                        if not observation.news or seconds is not None:  # or it has changed meanwhile
                            raise
                if seconds is not None:
                    left = int(seconds * 1000) - ticks_diff(ticks_ms(), began)
                if observation.over and not observation.error or left is not None and left < 0:
                    return None
                observation.begin(endpoint.layer)
                endpoint.step(left)
        except BaseException:
            endpoint.layer.stop(observation)  # until it is called again, if it is
            raise

    def cancel(self):
        """Has the server end it; returns what it replied."""
        self.forget()
        return self._client.exchange(self._observation.cancellation())

    def forget(self):
        """Ends it here: the server learns it from the answer to its next notification."""
        self._observation.over = True
        self._observation.error = None
        self._endpoint.layer.stop(self._observation)
