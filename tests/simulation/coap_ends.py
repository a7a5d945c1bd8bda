"""CoAP's ends: the real endpoint with a simulated socket and clock, and what its drivers do with it."""

from ben.coap import Error, Response
from ben.coap.exchange import Exchange
from ben.coap.net import Endpoint
from ben.coap.observation import Observation
from ben.coap.request import request, transfer, whole
from ben.coap.resources import Resources

from .coap_path import Leg
from .world import Broken

GET, POST, PUT, DELETE = 1, 2, 3, 4
PIECE = 16  # bytes, each of which says whose it is; no block has fewer
STATES = ("state/0", "state/1")
SHORT = 256  # bytes
BIG = 900  # bytes of a body that is read from a function


def body(number, size):
    """So many bytes of which each piece names the operation that they belong to."""
    return b"".join(b"%07d.%07d " % (number, i) for i in range(size // PIECE + 1))[:size]


def number_of(data):
    """The operation that a body names, or None."""
    return int(data[:7]) if data[:7].isdigit() and data[7:8] == b"." else None


class Node:
    """An endpoint on its machine; `life` counts its starts."""

    def __init__(self, world, promises, name):
        self.world = world
        self.promises = promises
        self.name = name
        self.life = 0
        self._wakes = 0  # counts, so that a timer knows when it is late
        self._boot()

    def _boot(self):
        self.life += 1
        self._short = True  # its socket has room for a short datagram, until the first long one is cut
        self.endpoint = Endpoint()
        self.endpoint.socket = self
        self.layer = self.endpoint.layer

    # As its socket

    def send(self, datagram, peer):
        """A datagram leaves."""
        datagram = bytes(datagram)
        self.promises.leaves(self, datagram, peer)
        self._carry(datagram, peer)

    # As its driver

    def tick(self):
        """What is due now."""
        self._sleep(self._real(self.endpoint.tick))

    def _read(self, datagram, peer):
        # What its socket gives; nothing where the datagram was cut.
        self.world.note("{} gets {}", self.name, datagram)
        if not datagram or self._short and len(datagram) >= SHORT:
            self._short = False
            self.promises.cuts(self, peer)
            return b""
        return datagram

    def _take(self, datagram, peer):
        self._real(self.endpoint.receive, datagram, peer)
        self.tick()

    def _real(self, call, *args):
        try:
            return call(*args)
        except Broken:
            raise
        except Exception as error:
            raise Broken(f"{self.name} failed: {error!r}") from error

    def _sleep(self, wait):
        self.promises.bounded(self)
        self._wakes += 1
        if wait is not None:
            if wait < 0:
                raise Broken(f"{self.name} would wait for {wait} ms")
            # its clock has whole milliseconds
            due = (int(self.world.now * 1000) + wait) / 1000 + 1e-6
            self.world.at(due - self.world.now, self._wake, self._wakes)
        self._look()

    def _wake(self, wakes):
        if wakes == self._wakes:
            self.tick()

    def _look(self):
        pass


class Run:
    """A generator of requests, exchanged one after another, as Client.run does; done(reply, error) at its end."""

    def __init__(self, client, leg, steps, timing, done):
        self._client = client
        self._leg = leg
        self._steps = steps
        self._timing = timing
        self._done = done
        self.exchange = None
        self._go(next, steps)

    def _go(self, resume, *got):
        try:
            message = resume(*got)
        except StopIteration as end:
            self._done(end.value, None)
        except OSError as error:
            self._done(None, error)
        except Exception as error:
            raise Broken(f"{self._client.name}: a request raised {error!r}") from error
        else:
            self.exchange = Exchange(message, self._leg.peer, **self._timing)
            self._client.exchange(self.exchange, self._timing, self._came)

    def _came(self, exchange):
        if exchange.error:
            self._steps.close()
            self._done(None, OSError(exchange.error))
        else:
            self._go(self._steps.send, exchange.reply)

    def give_up(self):
        """Ends it, as a task that is cancelled does."""
        self._steps.close()
        self._client.stop(self.exchange)


class Watch:
    """An observation, with what Observe.next does; tells its state, its end, or its error to who made it."""

    def __init__(self, client, leg, path, limit, timing, options):
        self.client = client
        self.leg = leg
        self.path = path
        self.timing = timing
        message, _, _, timing = request(GET, f"coap://10.0.0.1/{path}", **options, **timing)
        self.observation = Observation(message, leg.peer, **timing)
        self.token = bytes(message.token)
        self.living = True
        self._limit = limit
        self.fetching = None  # the state whose first block has come
        self._started = False
        self._run = None

    def next(self, done):
        """Waits for the next state: done(reply, error), with neither for the end."""
        observation = self.observation
        if observation.news:
            first = observation.news.pop(0)
            self.fetching = number_of(bytes(first.payload))
            self.length = len(self.leg.path.server.history[self.path])
            self.fetches = True
            steps = whole(observation.message, first, None, self._limit)
            self._run = Run(self.client, self.leg, steps, {}, done)
            return
        self.fetches = False
        if observation.error:
            ended = observation.error
            self._started = False
            try:
                observation.renew()
            except OSError as error:
                done(None, error)
                return
            self.client.promises.renews(self, ended)
        if observation.over:
            done(None, None)
            return
        if self._started:
            self.client.wait(observation, lambda _: self.next(done))
        else:
            self._started = True
            self.client.exchange(observation, self.timing, lambda _: self.next(done))

    def forget(self):
        """Observe.forget."""
        self.living = False
        self.observation.over = True
        self.client.stop(self.observation)

    def cancel(self, done):
        """Observe.cancel."""
        self.forget()
        exchange = self.observation.cancellation()
        self.client.exchange(exchange, {}, lambda _: done(exchange))


class Client(Node):
    """What Client does with an endpoint, for several at once, as tasks of asyncio are."""

    def __init__(self, world, promises, name, paths, first_id):
        self._waiting = []
        self._first_id = first_id
        super().__init__(world, promises, name)
        self.legs = [Leg(self, path) for path in paths]

    def _boot(self):
        super()._boot()
        self._waiting = []
        self.layer._id = self._first_id & 0xFFFF

    def restart(self):
        """Begins a new life at the same port, in which nothing is known of the last."""
        self.world.note("{} restarts", self.name)
        # Not at an id of its last life's, whose copies the server may still know: a chance of one in hundreds.
        self._first_id = self.layer._id + self.world.chance.randrange(500, 65000)
        self._boot()

    def ask(self, leg, op, done):
        """Client.request."""
        message, _, _, timing = request(op.method, f"coap://10.0.0.1/{op.path}", **op.options, **op.timing)
        return Run(self, leg, transfer(message, op.payload, None, op.limit), timing, done)

    def exchange(self, exchange, timing, then):
        """Begins an exchange, and waits for what comes of it."""
        self._real(self.layer.start, exchange)
        self.promises.starts(self, exchange, timing)
        self.wait(exchange, then)
        self.world.at(0, self._move, self.life)

    def _move(self, life):
        if life == self.life:
            self.tick()

    def wait(self, exchange, then):
        """then(exchange) when something has come of it."""
        self._waiting.append((exchange, then))

    def stop(self, exchange):
        """Nobody waits for it any more."""
        self._waiting = [each for each in self._waiting if each[0] is not exchange]
        self.layer.stop(exchange)
        self.promises.stops(self, exchange)

    def _look(self):
        for entry in list(self._waiting):
            exchange, then = entry
            if entry in self._waiting and (exchange.reply or exchange.error or exchange.over):
                self._waiting.remove(entry)
                if not isinstance(exchange, Observation):
                    self.promises.ends(self, exchange)
                    self.layer.stop(exchange)
                then(exchange)

    def receive(self, datagram, peer, forged=False):
        """A datagram reaches the socket."""
        datagram = self._read(datagram, peer)
        judged = self.promises.reaches_client(self, datagram, peer, forged)
        self._take(datagram, peer)
        judged()

    def _carry(self, datagram, peer):
        for leg in self.legs:
            if leg.peer == peer:
                leg.path.to_server(datagram, leg)
                return
        self.world.count("reply to a stranger")


class Later:
    """What a handler leaves to be awaited."""

    def __init__(self, seconds, result):
        self.seconds = seconds
        self.result = result

    def send(self, _):
        """What awaitables have."""

    def close(self):
        """It is not to be awaited after all."""


class Server(Node):
    """The server's rules, and handlers whose states outlast its restarts."""

    def __init__(self, world, promises, name, path, options):
        self.path = path
        self._options = options
        self.up = True
        self.adds = 0  # requests so far that reached the resources, and were no copies of one
        self.ages = {state: world.chance.choice((None, None, None, 10)) for state in STATES}
        self.history = {state: [0] for state in STATES}  # the operations that made what was and is the state
        super().__init__(world, promises, name)
        path.server = self

    def _boot(self):
        super()._boot()
        self.resources = Resources(self.layer, **self._options)
        self.resources.flush = self.endpoint.tick
        self.resources.spawn = self._spawn
        self.resources.failed = self._failed
        self._run, self.resources.run = self.resources.run, self._counted
        add = self.resources.add
        for state in STATES:
            add(state, get=self._get_state, put=self._put_state, obs=True)
        add("count", post=self._post)
        add("echo", get=self._echo, post=self._echo)
        add("slow", get=self._slow, post=self._slow)
        add("stream", put=self._stream, stream=True)
        add("big", get=lambda request: lambda at, size: body(0, BIG)[at : at + size])
        add("fails", get=self._fails)

    def crash(self, seconds):
        """Loses what it knows, and is away for a while."""
        self.world.note("{} restarts", self.name)
        self._boot()
        self.up = False
        self.world.at(seconds, self._return, self.life)

    def _return(self, life):
        if life == self.life:
            self.up = True

    def receive(self, datagram, peer, forged=False):
        """A datagram reaches the socket."""
        if not self.up:
            return
        datagram = self._read(datagram, peer)
        judged = self.promises.reaches_server(self, datagram, peer, forged)
        self._take(datagram, peer)
        judged()

    def _carry(self, datagram, peer):
        self.path.to_address(datagram, peer)

    def _counted(self, request):
        if not request.deliver:
            self.adds += 1
        self._run(request)

    def change(self, state, number):
        """A state becomes another one; its observers are told."""
        self.history[state].append(number)
        self.resources.notify(state)
        self.tick()

    def _spawn(self, request, later):
        self.world.count("a handler that takes long")
        self.world.at(later.seconds, self._finish, self.life, request, later.result)

    def _finish(self, life, request, result):
        if life == self.life:
            self._real(self.resources.finish, request, result)
            self.tick()

    def _failed(self, request, error):
        if isinstance(error, Broken):
            raise error
        if not isinstance(error, ZeroDivisionError) and not self.promises.lax:
            raise Broken(f"{self.name}: a handler failed: {error!r}") from error

    # Handlers

    def _get_state(self, request):
        number = self.history[request.path][-1]
        return Response(body(number, self.promises.sizes[number]), max_age=self.ages[request.path])

    def _put_state(self, request):
        number = self._took(request, PUT)
        self.change(request.path, number)

    def _post(self, request):
        number = self._took(request, POST)
        return body(number, int(request.query.get("r") or PIECE))

    def _echo(self, request):
        query = request.query
        self.promises.asked(self, request, int(query["n"]))
        return body(int(query["n"]), int(query["s"]))

    def _slow(self, request):
        query = request.query
        self.promises.asked(self, request, int(query["n"]))
        return Later(int(query["t"]) / 1000, body(int(query["n"]), int(query["s"])))

    def _stream(self, request):
        return self.promises.streams(self, request)

    def _fails(self, request):
        return 1 / 0

    def _took(self, request, method):
        number = number_of(request.payload)
        if number is None or number not in self.promises.sizes:
            raise Error("4.00", "number")
        self.promises.ran(self, request, number, request.payload)
        return number
