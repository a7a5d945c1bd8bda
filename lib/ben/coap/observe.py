"""Observing a resource, blocking."""

from .net import ticks_diff, ticks_ms
from .observation import Observation
from .request import peer_of, request, whole


class Observe:
    """Iterates over the notifications of a resource, the first of which is its state; OSError as from request()."""

    def __init__(self, client, url, limit=65536, **options):
        message, host, port, timing = request(1, url, **options)
        self._client = client
        self._endpoint = client.endpoint
        self._limit = limit
        self._observation = Observation(message, peer_of(self._endpoint, host, port), **timing)
        self._endpoint.layer.start(self._observation)

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
        began = ticks_ms()
        left = None
        while not observation.news:
            if seconds is not None:
                left = int(seconds * 1000) - ticks_diff(ticks_ms(), began)
            if observation.error:
                observation.renew()
                self._endpoint.layer.start(observation)
            if observation.over or left is not None and left < 0:
                return None
            self._endpoint.step(left)
        steps = whole(observation.message, observation.news.pop(0), None, self._limit)
        return self._client.run(steps, observation.peer)

    def cancel(self):
        """Has the server end it; returns what it replied."""
        self.forget()
        return self._client.exchange(self._observation.cancellation())

    def forget(self):
        """Ends it here: the server learns it from the answer to its next notification."""
        self._observation.over = True
        self._endpoint.layer.stop(self._observation)
