"""What a handler gets and what it gives, and the requests of late, whose copies reach no handler."""

from .message import Message, const

_CON = const(0)
_URI_PORT = const(7)
_URI_PATH = const(11)
_PART_MAX = const(255)  # bytes of a segment of a path, an argument of a query, a host
_ONCE = const((3, 7))  # Uri-Host, Uri-Port; of the others that may be there once, features knows
_PROXY = const((35, 39))  # Proxy-Uri, Proxy-Scheme
_KNOWN = const((3, 7, 15))  # the others that have to be understood: Uri-Host, -Port, -Query
# If-Match, ETag, If-None-Match, Observe, Accept, Block2, Block1, No-Response
_SPECIAL = const((1, 4, 5, 6, 17, 23, 27, 258))

# What a method has done where its handler does not say
_CONTENT = const(0x45)
_DELETED = const(0x42)
_CHANGED = const(0x44)
_DELETE = const(4)
_BAD_OPTION = const(0x82)
_PROXYING_NOT_SUPPORTED = const(0xA5)

# The last requests, so that a copy of one is known (RFC 7252, 4.5)
_SEEN = const(12)  # the oldest out first
_LIFETIME = const(247000)  # ms after which a message id may come again (EXCHANGE_LIFETIME)
_SAFE = const((1, 5))  # GET, FETCH

# What is kept of each: a list, for it takes half the memory of an object
_ID = const(0)  # the message id, and the method in the lowest bits
_PEER = const(1)
_NOW = const(2)
_REPLY = const(3)

LATER = object()  # what a handler returns that leaves the answer to Server.answer()


class Error(Exception):
    """What a handler raises, or returns: a status such as "4.04", and a text that explains it."""

    def __init__(self, status, text=""):
        super().__init__(status, text)
        self.code = code_of(status)


def code_of(status):
    """The code, as one byte, of a status such as "4.04"; one that is a code already stays."""
    return int(status[0]) << 5 | int(status[2:]) if isinstance(status, str) else status


def message_of(method, result):
    """The message for bytes, text, None, an Error, a Response, or what a body is read from."""
    reply = Message(_CONTENT if method in _SAFE else _DELETED if method == _DELETE else _CHANGED)
    if isinstance(result, Error):
        reply.code = result.code
        result = result.args[1]
        if not isinstance(result, (str, bytes)):
            result = str(result)  # another exception, say
    elif hasattr(result, "fill"):  # a Response, which need not be loaded to know that this is none
        result = result.fill(reply)
    if result is not None:
        reply.payload = result.encode() if isinstance(result, str) else result
    return reply


class Request:
    """A request: its method, path, payload, the message, and the address of the peer."""

    offset = 0  # where payload belongs in a body that a handler takes block by block
    more = False  # whether others follow
    acknowledged = finished = False
    resource = None
    deliver = None  # takes the response instead of the peer

    def __init__(self, server, message, peer, seen=None):
        self.server = server
        self.seen = seen  # None for one that is a notification's
        self.message = message
        self.peer = peer
        self.method = message.code
        self.payload = message.payload

    def read(self):
        """Finds the path, and whether there is more to it; UnicodeError, Error for what is not understood."""
        path = []
        self.special = False
        bad = last = proxy = 0
        for number, value in self.message.options:
            if number == _URI_PATH:
                path.append(value.decode().replace("/", "%2F"))
                if len(value) > _PART_MAX:
                    bad = number
            elif number in _SPECIAL:
                self.special = True
            elif number in _PROXY:
                proxy = number
            elif number & 1 and (
                number not in _KNOWN
                or len(value) > (2 if number == _URI_PORT else _PART_MAX)
                or number == last
                and number in _ONCE
            ):
                bad = number
            last = number
        self.path = "/".join(path)
        if bad:
            raise Error(_BAD_OPTION)
        if proxy:
            raise Error(_PROXYING_NOT_SUPPORTED)

    def __getattr__(self, name):
        # query; with a property, each attribute would take four times as long to set
        if name == "query":
            from .query import query_of

            return query_of(self.message)
        raise AttributeError(name)

    def acknowledge(self):
        """Tells the client that the answer will take a while, so that it waits."""
        if self.seen and self.message.type == _CON and not (self.acknowledged or self.finished):
            self.acknowledged = True
            self.seen[_REPLY] = self.server.layer.acknowledge(self.message.id, self.peer)
            self.server.flush()


def find(all, message, peer, now):
    """What is kept of a request of which this may be a copy, or None."""
    id = message.id << 5 | message.code
    while all and now - all[0][_NOW] > _LIFETIME:
        all.pop(0)
    for seen in all:
        if seen[_ID] == id and seen[_PEER] == peer:
            return seen
    return None


def remember(all, message, peer, now):
    """Keeps a request that has come, as a list."""
    if all and all[-1][_PEER] == peer:
        peer = all[-1][_PEER]  # once is enough
    if len(all) == _SEEN:
        all.pop(0)
    all.append([message.id << 5 | message.code, peer, now, b""])
    return all[-1]
