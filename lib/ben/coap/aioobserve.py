"""Observing a resource, with await."""

from .observation import Observation
from .request import peer_of, request, whole


class Observe:
    """Iterates over the states of a resource; OSError as from request()."""

    def __init__(self, client, url, limit=65536, **options):
        message, host, port, timing = request(1, url, **options)
        self._client = client
        self._limit = limit
        self._observation = Observation(message, peer_of(client.endpoint, host, port), **timing)
        self._started = False

    def __aiter__(self):
        return self

    async def __anext__(self):
        reply = await self.next()
        if reply is None:
            raise StopAsyncIteration
        return reply

    async def next(self):
        """The next notification, or None where the last one has been."""
        observation = self._observation
        endpoint = self._client.endpoint
        endpoint.enter()
        while not observation.news:
            if observation.error:
                observation.renew()
                self._started = False
            if observation.over:
                return None
            if not self._started:
                endpoint.layer.start(observation)
                self._started = True
            endpoint.move()
            await endpoint.wait(observation)
        steps = whole(observation.message, observation.news.pop(0), None, self._limit)
        return await self._client.run(steps, observation.peer)

    async def cancel(self):
        """Has the server end it; returns what it replied."""
        self.forget()
        return await self._client.exchange(self._observation.cancellation())

    def forget(self):
        """Ends it here: the server learns it from the answer to its next notification."""
        self._observation.over = True
        endpoint = self._client.endpoint
        endpoint.layer.stop(self._observation)
        if self._started:
            endpoint.wake()  # who waits for the next one
