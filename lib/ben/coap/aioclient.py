"""The asyncio client."""

from .aioendpoint import Endpoint
from .exchange import Exchange
from .request import Requests, peer_of, request, transfer


class Client(Requests):
    """Sends requests from a socket of its own, or from a Server's, for the tasks of one loop."""

    def __init__(self, server=None, socket=None):
        self.endpoint = server.endpoint if server else Endpoint(socket)

    async def request(self, method, url, payload=b"", *, into=None, limit=65536, **options):
        """The response, with the whole body; OSError without one: ETIMEDOUT, ECONNRESET, EIO, ENOMEM."""
        message, host, port, timing = request(method, url, **options)
        steps = transfer(message, payload, into, limit)
        return await self.run(steps, peer_of(self.endpoint, host, port), **timing)

    async def run(self, steps, peer, **timing):
        """Exchanges what a generator of requests yields, and sends it the replies; returns what it returns."""
        try:
            message = next(steps)
            while True:
                message = steps.send(await self.exchange(Exchange(message, peer, **timing)))
        except StopIteration as end:
            return end.value
        finally:
            steps.close()

    async def exchange(self, exchange):
        """The reply to a request; OSError."""
        endpoint = self.endpoint
        layer = endpoint.layer
        endpoint.enter()
        layer.start(exchange)
        endpoint.move()
        try:
            await endpoint.wait(exchange)
        finally:
            layer.stop(exchange)
            if not exchange.over and [each for each in layer.exchanges if each.due is None]:
                endpoint.move()  # cancelled: one that waits behind it goes out now
        if exchange.error:
            raise OSError(exchange.error, "no response")
        return exchange.reply

    def observe(self, url, **options):
        """An asynchronous iterator over the states of a resource, the first its present one."""
        from .aioobserve import Observe

        return Observe(self, url, **options)

    async def gather(self, url, seconds=5, **options):
        """What the members of a group answer to a GET in so many seconds: pairs of a response and an address."""
        from .multicast import poll_of

        self.endpoint.enter()
        poll = poll_of(self, url, seconds, options)
        self.endpoint.move()
        try:
            await self.endpoint.wait(poll)
        finally:
            self.endpoint.layer.stop(poll)
        return poll.replies

    def close(self):
        """Closes the socket; the next request opens it again."""
        self.endpoint.socket.close()
