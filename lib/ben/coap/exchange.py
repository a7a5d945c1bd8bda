"""Messages of this end's on their way: their copies, and what answers them (RFC 7252, 4.2 and 5.3)."""

from errno import ECONNRESET, EIO, ETIMEDOUT
from os import urandom

from .message import const

_CON = const(0)
_NON = const(1)
_ACK = const(2)
_RST = const(3)
_NO_RESPONSE = const(258)
_KNOWN = const((1, 3, 5, 7, 11, 15, 17, 23, 27, 35, 39))  # of the options that must be understood
_LIFETIME = const(247000)  # ms after which nothing of an exchange is under way (EXCHANGE_LIFETIME)
_NON_ANSWER = const(10000)  # ms in which a request that nobody confirms is answered, or was lost
_LONGEST = const(60000)  # ms to wait for at a time: a Max-Age of a century is more than poll() takes
_TAKEN = const(8)  # separate responses whose copies are acknowledged again


class Exchange:
    """A message on its way, and for a request the way back; times in seconds, the defaults RFC 7252's."""

    answered = True  # by a response, and not only acknowledged
    acknowledged = False
    due = None  # ms: when the next copy goes, or the end is; None before the first copy
    reply = None
    over = False  # nothing more is waited for
    error = None  # ETIMEDOUT, ECONNRESET: refused as meaningless, EIO: a response that nobody understands

    def __init__(self, message, peer, ack_timeout=2, ack_random_factor=1.5, max_retransmit=4, timeout=None):
        self.message = message
        self.peer = peer
        # ms: when its time is over, also while it waits for another; before the first tick() how long that is, below 0
        self.end = -int(timeout * 1000) if timeout else -_LIFETIME
        self.wait = int(1000 * ack_timeout * (1 + (ack_random_factor - 1) * urandom(1)[0] / 255))
        self.copies = max_retransmit
        if message.type == _NON:
            self.wait = -self.end if timeout else _NON_ANSWER
            self.copies = 0

    def copy(self, now):
        """Whether another copy goes out now; without one it is over."""
        if self.due is not None:
            if self.acknowledged or not self.copies or now >= self.end:
                return False
            self.copies -= 1
            self.wait *= 2
        self.due = min(now + self.wait, self.end)
        return True

    def confirm(self):
        """The other end has it; True where nothing more is waited for."""
        self.acknowledged = True
        self.due = self.end
        # With No-Response, one that does not come is one that is not wanted.
        self.over = not self.answered or self.message.get(_NO_RESPONSE) is not None
        return self.over

    def expects(self, peer):
        """Whether this peer may answer it."""
        return self.answered and peer == self.peer

    def take(self, message, peer, now):
        """A response; True where nothing more is waited for."""
        self.reply = message
        self.over = True
        return True

    def fail(self, error):
        """It has ended without a response."""
        self.over = True
        if error != ETIMEDOUT or self.message.type == _CON or self.message.get(_NO_RESPONSE) is None:
            self.error = error


def start(layer, exchange):
    """Begins an exchange, as soon as the one before with its peer is acknowledged (NSTART is 1)."""
    message = exchange.message
    if exchange.answered and message.code:  # the token of a response is its peer's choice, a ping has none
        for other in layer.exchanges:
            if other.answered and other.peer == exchange.peer and other.message.token == message.token:
                raise ValueError("token: in use")
    message.id = layer.next_id()
    exchange.datagram = message.encode()
    layer.exchanges.append(exchange)


def tick(layer, wait):
    """Sends what is due, ends what is over; returns the ms until there is more to do, at most wait."""
    busy = []
    now = layer.now
    for exchange in list(layer.exchanges):
        if exchange.end < 0:
            exchange.end = now - exchange.end
        held = exchange.due is None and (exchange.peer in busy or exchange.end <= now)
        due = exchange.end if held else exchange.due
        if due is None or due <= now:
            if held or not exchange.copy(now):
                layer.exchanges.remove(exchange)
                exchange.fail(ETIMEDOUT)
                wait = 0  # somebody waits for this
                continue
            layer.out.append((exchange.datagram, exchange.peer))
            due = exchange.due
        if not exchange.acknowledged:
            busy.append(exchange.peer)
        if wait is None or due - now < wait:
            wait = min(due - now, _LONGEST)
    return wait


def ask_again(layer, peer):
    """Something of a peer's was cut on its way in: its answers are sent for again, at once."""
    for exchange in layer.exchanges:
        if (
            exchange.due is not None
            and exchange.expects(peer)
            and not exchange.acknowledged
            and exchange.copies
        ):
            exchange.due = layer.now


def give_up(layer):
    """Ends answers and notifications that are under way; nobody is told, for which there may be no memory."""
    for at in range(len(layer.exchanges) - 1, -1, -1):
        if not layer.exchanges[at].answered:
            layer.exchanges.pop(at)


def empty(layer, message, peer):
    """An acknowledgement or a reset has come; whether it was for an exchange."""
    for exchange in layer.exchanges:
        if exchange.message.id == message.id and exchange.peer == peer and exchange.due is not None:
            break
    else:
        return False
    if message.type == _RST:
        layer.exchanges.remove(exchange)
        exchange.fail(ECONNRESET)
    elif exchange.message.type == _CON and exchange.confirm():
        layer.exchanges.remove(exchange)
    return True


def response(layer, message, peer):
    """A response has come; whether it was for an exchange, now or before."""
    confirmable = message.type == _CON
    this = peer, message.id, message.token
    if confirmable and this in layer.taken:
        layer.acknowledge(message.id, peer)
        return True
    exchange = _answered(layer, message, peer)
    if not exchange:
        return False
    if unknown(message):
        if exchange.peer == peer:  # and not one of a group
            layer.exchanges.remove(exchange)
            exchange.fail(EIO)
        return False
    if confirmable:
        layer.taken = layer.taken[1 - _TAKEN :] + [this]
        layer.acknowledge(message.id, peer)
    exchange.confirm()
    if exchange.take(message, peer, layer.now):
        layer.exchanges.remove(exchange)
    return True


def _answered(layer, message, peer):
    for exchange in layer.exchanges:
        request = exchange.message
        if exchange.due is None or request.token != message.token or not exchange.expects(peer):
            continue
        if message.type != _ACK or request.type == _CON and request.id == message.id:
            return exchange
    return None


def unknown(message):
    """The first option that has to be understood and is not, or 0."""
    for number, _ in message.options:
        if number & 1 and number not in _KNOWN:
            return number
    return 0
