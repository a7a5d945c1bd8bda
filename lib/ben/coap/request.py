"""A request, from its URL to the last block of its response (RFC 7252, 6.4)."""

from gc import collect
from os import urandom

from .message import LIMIT, Message, const

_CON = const(0)
_NON = const(1)
_URI_HOST = const(3)
_URI_PATH = const(11)
_URI_QUERY = const(15)
_PORT = const(5683)
_PART_MAX = const(255)  # bytes of a segment of a path, or of an argument of a query
_METHODS = const(("get", "post", "put", "delete", "fetch", "patch", "ipatch"))
_TOKEN = const(4)  # bytes: what RFC 7252, 5.3.1 has at least where nothing else keeps forgers away
_BLOCK = const(1024)  # bytes of payload in one message
_MORE = const(32)  # bytes of what is added to the options of a request
_BLOCK2 = const(23)
_NAMES = const(8)  # addresses kept
_IDS = const(60000)  # message ids, of which a peer may remember each for 247 s: another port has new ones

_peers = {}  # (family, address) by (host, port)
_last = ()  # URL, its options, (host, port): mostly the same is asked again


def request(code, url, non=False, **options):
    """(Message, host, port, what an Exchange is to know) of a request; ValueError for what cannot be one."""
    global _last
    message = Message(code, b"", _NON if non else _CON, 0, urandom(_TOKEN))
    last = _last  # looked at once, and put there whole: there may be other threads
    if not last or last[0] != url:
        place = put_url(message, url)
        _last = last = url, message.options, place
    message.options = list(last[1])
    host, port = last[2]
    timing = {}
    if options:
        from .options import put_options

        timing = put_options(message, **options)
    return message, host, port, timing


def put_url(message, url):
    """Gives a message the options for coap://host:port/path?query; returns (host, port); ValueError."""
    if url[:7] != "coap://" or "#" in url:
        raise ValueError(url)
    rest, query = _cut(url[7:], "?")
    host, path = _cut(rest, "/")
    end = host.find("]") + 1
    port = _cut(host[end:], ":")[1]
    if end:
        host = host[1 : end - 1]
    else:
        host = unescape(_cut(host, ":")[0]).decode()
        if host.replace(".", "").strip("0123456789"):  # a name and not an address
            message.add(_URI_HOST, host)
    port = int(port or _PORT)
    if not host or not 0 < port < 65536:
        raise ValueError(url)
    for number, text, between in ((_URI_PATH, path, "/"), (_URI_QUERY, query, "&")):
        for part in text.split(between) if text else ():
            part = unescape(part)
            if len(part) > _PART_MAX:
                raise ValueError(url)
            message.options.append((number, part))  # behind all that it has, for its URL comes first
    return host, port


def peer_of(endpoint, host, port):
    """The address of a host, for the socket of an endpoint; OSError for a name that is not found."""
    layer, socket = endpoint.layer, endpoint.socket
    if layer.ids > _IDS and not layer.exchanges:
        layer.ids = 0
        socket.close()
    name = host, port
    if name not in _peers or socket.family is None:  # for a new client anew: its host may have moved
        if len(_peers) == _NAMES:
            _peers.clear()
        # Once: getaddrinfo blocks, on a board without Wi-Fi for ever, and a name server may be gone later.
        _peers[name] = socket.resolve(host, port)
        collect()  # of what it left, so that what follows leaves whole what is free
    family, address = _peers[name]
    if not socket.socket or socket.family != family:
        socket.open(family)
    return address


def _cut(text, at):
    found = text.find(at)
    return (text, "") if found < 0 else (text[:found], text[found + 1 :])


def unescape(text):
    """The bytes of a text in which %41 is a letter; ValueError."""
    first = text.encode()
    if "%" in text:
        first, *rest = first.split(b"%")
        for piece in rest:
            first += bytes((int(piece[:2], 16),)) + piece[2:]
    return first


def transfer(message, payload, into, limit):
    """Yields the requests that it takes, one or one a block, is sent the replies, and returns the last."""
    if isinstance(payload, str):
        payload = payload.encode()
    if payload:
        room = LIMIT - len(message.encode()) - _MORE
        size = message.uint(_BLOCK2)  # where size= was given
        room = min(room, _BLOCK if size is None else 16 << size)
    if payload and not (hasattr(payload, "decode") and len(payload) <= room):
        from .block import upload

        reply = yield from upload(message, payload, room)
    else:
        message.payload = payload
        reply = yield message
    return reply and (yield from whole(message, reply, into, limit))  # None where none is wanted


def whole(message, reply, into, limit):
    """Yields the requests for the rest of a reply's body, is sent their replies, and returns the last."""
    into = into if reply.code >> 5 == 2 else None  # an error's text is no part of the body
    block = reply.get(_BLOCK2)
    if into or block and (len(block) > 1 or block[0] > 7):  # not the first, or not the only one
        from .block import download

        reply = yield from download(message, reply, into, limit)
    return reply


class Requests:
    """The methods of CoAP (RFC 7252, 5.8, and RFC 8132), as calls of request()."""

    def __getattr__(self, name):
        # Seven functions would take four times the memory.
        if name not in _METHODS:
            raise AttributeError(name)

        def ask(url, payload=b"", **options):
            return self.request(_METHODS.index(name) + 1, url, payload, **options)

        return ask

    def ping(self, url, **options):
        """True where the endpoint of a URL is there; OSError."""
        from .ping import ping_of

        return self.exchange(ping_of(self, url, options))
