"""Observing a resource, the client's rules (RFC 7641)."""

from os import urandom

from .exchange import Exchange
from .message import const

_OBSERVE = const(6)
_MAX_AGE = const(14)
_FRESH = const(60)  # s that a notification without Max-Age is good for
_GRACE = const(5000)  # ms, and up to as many again, after that, before a server is asked anew
_OLD = const(128000)  # ms after which any number is a newer one
_LONGEST = const(3)  # bytes of the option; a longer one is passed over (RFC 7252, 5.4.3)
_KEPT = const(4)  # notifications that nobody has fetched yet; older ones give way


class Observation(Exchange):
    """A registration, and the notifications that have come."""

    @property
    def reply(self):
        """Whether there is something to fetch."""
        return self.news

    def __init__(self, message, peer, **timing):
        message.add(_OBSERVE)
        super().__init__(message, peer, **timing)
        self.news = []
        self._number = None
        self._first = self.wait, self.copies, self.end

    def take(self, message, peer, now):
        """A notification, unless a newer one came before it; True for the last."""
        number = message.uint(_OBSERVE)
        if number is None or len(message.get(_OBSERVE)) > _LONGEST or message.code >> 5 != 2:
            self.over = True
        elif self._number is not None and now - self._since < _OLD:
            if not 0 < (number - self._number & 0xFFFFFF) < 1 << 23:
                return False
        self.news = self.news[1 - _KEPT :] + [message]
        self._number = number
        self._since = now
        age = message.uint(_MAX_AGE)
        self.due = self.end = now + 1000 * (_FRESH if age is None else age) + _GRACE + 20 * urandom(1)[0]
        return self.over

    def begin(self, layer):
        """Registers, unless that is under way; OSError where it was in vain."""
        if self not in layer.exchanges:
            self.renew()
            layer.start(self)

    def renew(self):
        """Makes it ready to be started again, for nothing has come for long; OSError where that was in vain."""
        error = self._number is None and self.error
        self._number = self.due = self.error = None
        self.acknowledged = self.over = False
        self.wait, self.copies, self.end = self._first
        if error:
            raise OSError(error, "no response")

    def cancellation(self):
        """The request by which the server strikes it out."""
        message = self.message
        message.options = [option for option in message.options if option[0] != _OBSERVE]
        message.add(_OBSERVE, 1)
        return Exchange(self.message, self.peer)
