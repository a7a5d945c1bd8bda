"""Observing a resource, with await."""

from .observation import Observation
from .request import peer_of, request, whole


class Observe:
    """Iterates over the states of a resource; OSError as from request()."""

    def __init__(self, client, url, limit=65536, **options):
        message, host, port, self._timing = request(1, url, **options)
        self._client = client
        self._limit = limit
        self._observation = Observation(message, peer_of(client.endpoint, host, port), **self._timing)

    def __aiter__(self):
        return self

    async def __anext__(self):
        reply = await self.next()
        if reply is None:
            raise StopAsyncIteration
        return reply

    async def next(self):
        """The next notification, or None where the last one has been; cancelled, it leaves it to the next call."""
        observation = self._observation
        endpoint = self._client.endpoint
        endpoint.enter()
        try:
            while True:
                while observation.news:
                    news = observation.news[0]
                    steps = whole(observation.message, news, None, self._limit)
                    reply = None
                    try:
                        reply = await self._client.run(steps, observation.peer, **self._timing)
                    except OSError:
                        if observation.news[-1] is news:  # or it has changed meanwhile
                            observation.news.clear()
                            raise
                    if news in observation.news:  # not before: it may be cancelled
                        observation.news.remove(news)
                    if reply:
                        return reply
                if observation.over and not observation.error:
                    return None
                observation.begin(endpoint.layer)
                endpoint.move()
                await endpoint.wait(observation)
        except Exception:
            endpoint.layer.stop(observation)  # until it is called again, if it is
            raise

    async def cancel(self):
        """Has the server end it; returns what it replied."""
        self.forget()
        return await self._client.exchange(self._observation.cancellation())

    def forget(self):
        """Ends it here: the server learns it from the answer to its next notification."""
        observation = self._observation
        endpoint = self._client.endpoint
        observation.over = True
        observation.error = None
        if observation in endpoint.layer.exchanges:
            endpoint.layer.stop(observation)
            endpoint.wake()  # who waits for the next one
