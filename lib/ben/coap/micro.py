"""The interface of microCoAPy, for programs written for it: import ben.coap.micro as microcoapy."""

from .address import readable
from .custom import Custom
from .exchange import Exchange
from .handling import LATER
from .macros import (  # noqa: F401
    COAP_CONTENT_FORMAT,
    COAP_METHOD,
    COAP_RESPONSE_CODE,
    COAP_TYPE,
)
from .message import const
from .net import Endpoint, ticks_diff, ticks_ms
from .request import peer_of, request, transfer
from .resources import Resources
from .response import Response
from .server import Bound

_CON = const(0)
_NON = const(1)
_PORT = const(5683)
_CONTENT_FORMAT = const(12)
_URI_QUERY = const(15)
_OPEN = const(4)  # requests that sendResponse() can still answer
_UNDER_WAY = const(8)  # requests without an answer; nobody waits for those of a network that is away
_LIMIT = const(65536)  # bytes of a response


class CoapPacket:
    """A message as microCoAPy's callbacks get it."""

    def __init__(self, message):
        self.type = message.type
        self.code = message.code
        self.messageid = message.id
        self.token = message.token
        self.payload = message.payload
        self.options = message.options  # pairs of a number and its bytes
        format = message.uint(_CONTENT_FORMAT)
        self.content_format = COAP_CONTENT_FORMAT.COAP_NONE if format is None else format
        self.query = b"&".join([value for number, value in message.options if number == _URI_QUERY])

    def toString(self):  # noqa: N802
        """As text."""
        return str(self.__dict__)


class _Request(Exchange):
    def __init__(self, coap, steps, message, peer):
        super().__init__(message, peer)
        self._coap = coap
        self._steps = steps

    def take(self, message, peer, now):
        self._coap.layer.stop(self)  # whatever the callback does
        self._coap.go_on(self._steps, message, peer)


class _Resource:
    # A path: its callback gets all requests, and answers them by sendResponse(), at once or later.

    etag = stream = None
    attributes = {}

    def __init__(self, coap, callback):
        self._coap = coap
        self._callback = callback
        self.handlers = {method: self._handle for method in range(1, 8)}

    def _handle(self, request):
        coap = self._coap
        coap.open.append(request)
        if len(coap.open) > _OPEN:
            oldest = coap.open.pop(0)
            if oldest in request.server.later:
                request.server.later.remove(oldest)
        packet = CoapPacket(request.message)
        packet.payload = request.payload
        coap.called(self._callback, packet, *readable(request.peer))
        return LATER


def _sender(type, method):
    # What sends a payload, and returns the bytes sent, 0 where that failed

    def send(self, ip, port, url, payload=b"", query_option=None, content_format=None, token=None):
        return self.send(ip, port, url, type, method, token, payload, content_format, query_option)

    return send


class Coap:
    """A client, and a server whose callbacks answer."""

    debug = False  # nothing is printed
    discardRetransmissions = True  # always  # noqa: N815
    responseCallback = None  # gets a CoapPacket and the sender's address  # noqa: N815
    resposeCallback = None  # noqa: N815

    def __init__(self, port=_PORT):
        self.port = port
        self._endpoint = None
        self._paths = {}
        self._heard = False

    def start(self, port=None):
        """Opens a socket at a port; OSError where it is taken."""
        self.port = self.port if port is None else port
        self._begin(Endpoint(Bound(None, self.port)))

    def setCustomSocket(self, sock):  # noqa: N802
        """Uses an object with sendto() and recvfrom() instead of start()."""
        self._begin(Endpoint(Custom(sock)))

    def _begin(self, endpoint):
        self._endpoint = endpoint
        self.open = []  # requests that can be answered, the oldest first
        self.layer = endpoint.layer
        self._server = Resources(self.layer)
        self._server.flush = endpoint.tick
        self._server.paths = self._paths

    def stop(self):
        """Closes the socket."""
        if self._endpoint:
            self._endpoint.socket.close()
            self._endpoint = None

    def addIncomingRequestCallback(self, requestUrl, callback):  # noqa: N802, N803
        """Has callback(packet, ip, port) called for each request with a path."""
        self._paths[requestUrl.strip("/")] = _Resource(self, callback)

    def go_on(self, steps, reply, peer):
        """Sends the next message of a request, or hands over its response."""
        try:
            exchange = _Request(self, steps, steps.send(reply), peer)
        except StopIteration as end:
            callback = self.responseCallback or self.resposeCallback
            self.called(callback, CoapPacket(end.value), readable(peer))
            return None
        except OSError:  # a body that came in pieces which do not fit
            return None
        self.layer.start(exchange)
        return exchange

    def called(self, callback, *args):
        """Calls a callback, and has poll() return."""
        self._heard = True
        if callback:
            callback(*args)

    def send(self, ip, port, url, type, method, token, payload, content_format, query_option):
        """Sends a request; returns the bytes of its first message, 0 where that failed."""
        if not self._endpoint or len(self.layer.exchanges) >= _UNDER_WAY:
            return 0
        options = {}
        if content_format is not None and content_format >= 0:
            options["format"] = content_format
        if token:
            options["token"] = token
        if query_option:
            options["options"] = ((_URI_QUERY, query_option),)
        url = "coap://%s:%d/%s" % ("[%s]" % ip if ":" in ip else ip, port, url.lstrip("/"))
        try:
            message, host, port, _ = request(method, url, type != _CON, **options)
            steps = transfer(message, payload or b"", None, _LIMIT)
            exchange = self.go_on(steps, None, peer_of(self._endpoint, host, port))
            self._endpoint.tick()
        except (OSError, ValueError):  # no such host, no such path
            return 0
        return len(exchange.datagram)

    def get(self, ip, port, url, token=None):
        """GET; returns the bytes sent, 0 where that failed."""
        return self.send(ip, port, url, _CON, 1, token, None, None, None)

    def getNonConf(self, ip, port, url, token=None):  # noqa: N802
        """GET without confirmation."""
        return self.send(ip, port, url, _NON, 1, token, None, None, None)

    post = _sender(_CON, 2)
    postNonConf = _sender(_NON, 2)  # noqa: N815
    put = _sender(_CON, 3)
    putNonConf = _sender(_NON, 3)  # noqa: N815

    def sendResponse(self, ip, port, messageid, payload, method, contentFormat, token):  # noqa: N802, N803
        """Answers a request that a callback got; 0 where it is not open any more."""
        for asked in self.open:
            if asked.message.id == messageid and readable(asked.peer) == (ip, port):
                break
        else:
            return 0
        self.open.remove(asked)
        response = Response(payload)
        response.code = method
        if contentFormat is not None and contentFormat >= 0:
            response.options.append((_CONTENT_FORMAT, contentFormat))
        self._server.finish(asked, response)
        self._endpoint.tick()
        return messageid

    def loop(self, blocking=True):
        """Takes one message, waiting for it unless told otherwise; whether one came."""
        if not self._endpoint:
            return False
        return self._endpoint.step(None if blocking else 0)

    def poll(self, timeoutMs=-1, pollPeriodMs=500):  # noqa: N803
        """Takes messages until a callback was called, for so many ms, or for ever; whether one was."""
        began = ticks_ms()
        self._heard = False
        left = None
        while self._endpoint and not self._heard:
            if timeoutMs >= 0:
                left = timeoutMs - ticks_diff(ticks_ms(), began)
                if left <= 0:
                    return False
            self._endpoint.step(left)
        return self._heard
