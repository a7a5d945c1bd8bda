"""The blocking client."""

from .exchange import Exchange
from .net import Endpoint
from .request import Requests, peer_of, request, transfer


class Client(Requests):
    """Sends requests from a socket of its own, or from a Server's."""

    def __init__(self, server=None, socket=None):
        self.endpoint = server.endpoint if server else Endpoint(socket)

    def request(self, method, url, payload=b"", *, into=None, limit=65536, **options):
        """The response, with the whole body; OSError without one: ETIMEDOUT, ECONNRESET, EIO, ENOMEM."""
        message, host, port, timing = request(method, url, **options)
        return self.run(transfer(message, payload, into, limit), peer_of(self.endpoint, host, port), **timing)

    def run(self, steps, peer, **timing):
        """Exchanges what a generator of requests yields, and sends it the replies; returns what it returns."""
        try:
            message = next(steps)
            while True:
                message = steps.send(self.exchange(Exchange(message, peer, **timing)))
        except StopIteration as end:
            return end.value
        finally:
            steps.close()

    def exchange(self, exchange):
        """The reply to a request; OSError."""
        layer = self.endpoint.layer
        layer.start(exchange)
        try:
            while not exchange.over:
                self.endpoint.step()
        finally:
            layer.stop(exchange)
        if exchange.error:
            raise OSError(exchange.error, "no response")
        return exchange.reply

    def observe(self, url, **options):
        """An iterator over the states of a resource, the first its present one."""
        from .observe import Observe

        return Observe(self, url, **options)

    def gather(self, url, seconds=5, **options):
        """What the members of a group answer to a GET in so many seconds: pairs of a response and an address."""
        from .multicast import gather

        return gather(self, url, seconds, options)

    def close(self):
        """Closes the socket; the next request opens it again."""
        self.endpoint.socket.close()
