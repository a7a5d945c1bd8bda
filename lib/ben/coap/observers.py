"""Who observes which resource, and what they are told (RFC 7641)."""

from .exchange import Exchange
from .handling import Request
from .message import const

_CON = const(0)
_NON = const(1)
_OBSERVE = const(6)
_MOST = const(4)  # observers; the one that was heard of longest ago goes first
_CONFIRMED = const(8)  # of so many notifications to an observer, one asks whether it is still there
_NUMBERS = const(0xFFFFFF)
_LONGEST = const(3)  # bytes of the option; a longer one is passed over (RFC 7252, 5.4.3)


class Observer:
    """A peer that is told of a resource, and what it asked."""

    def __init__(self, request):
        self.message = request.message
        self.peer = request.peer
        self.path = request.path
        self.id = None  # of the last notification
        self.told = 0  # notifications
        self.busy = None  # the one that is not acknowledged yet, or whose handler takes a while
        self.stale = False  # and there is news since


class Notification(Exchange):
    """A notification that has to be acknowledged."""

    answered = False

    def __init__(self, observers, observer, message):
        super().__init__(message, observer.peer)
        self._observers = observers
        self._observer = observer

    def confirm(self):
        """The observer is there."""
        self._observers.heard(self._observer)
        return super().confirm()

    def fail(self, error):
        """It is not, or wants no more."""
        self._observers.drop(self._observer)


class Observers:
    """The observers of a server."""

    def __init__(self, server):
        self._server = server
        self._all = []  # the one that was heard of longest ago first
        self._number = 1

    def asked(self, request, reply):
        """A GET with Observe has been answered: its peer is entered, or struck out."""
        message = request.message
        if request.deliver or len(message.get(_OBSERVE)) > _LONGEST:  # a notification's own, or no Observe
            return
        token = message.token
        for observer in self._all:
            if observer.peer == request.peer and observer.message.token == token:
                self.drop(observer)
                break
        if message.uint(_OBSERVE) == 0:
            if len(self._all) == _MOST:
                self.drop(self._all[0])
            self._all.append(Observer(request))
            reply.add(_OBSERVE, self._next())
            if getattr(request, "stale", False):
                self._tell(self._all[-1])

    def _next(self):
        self._number = self._number + 1 & _NUMBERS
        return self._number

    def notify(self, path):
        """Tells the observers of a resource what its handler says now; how many there are."""
        for request in self._server.later:
            if request.path == path:  # it may have read what was there before
                request.stale = True
        found = [observer for observer in self._all if observer.path == path]
        for observer in found:
            if observer.busy:
                observer.stale = True
            else:
                self._tell(observer)
        return len(found)

    def _tell(self, observer):
        observer.stale = False
        request = Request(self._server, observer.message, observer.peer)

        def deliver(request, reply):
            if observer.busy is request:
                observer.busy = None
            self._send(observer, reply)
            if observer.stale and not observer.busy:
                self._tell(observer)

        request.deliver = deliver
        self._server.run(request)
        if not request.finished:  # its handler takes a while: one at a time, however often there is news
            observer.busy = request

    def _send(self, observer, reply):
        if observer not in self._all or observer.busy:
            return
        reply.token = observer.message.token
        good = reply.code >> 5 == 2
        if good:
            reply.add(_OBSERVE, self._next())
        else:
            self._all.remove(observer)  # the last that it hears
        layer = self._server.layer
        observer.told += 1
        if good and observer.told % _CONFIRMED != 1:
            reply.type = _NON
            observer.id = reply.id = layer.next_id()
            layer.send(reply, observer.peer)
        else:
            reply.type = _CON
            sent = Notification(self, observer, reply)
            layer.start(sent)
            observer.busy = sent  # not where there was no memory to send it

    def heard(self, observer):
        """An observer has acknowledged; what it has missed meanwhile follows."""
        observer.busy = None
        if observer in self._all:
            self._all.remove(observer)
            self._all.append(observer)
            if observer.stale:
                self._tell(observer)

    def drop(self, observer):
        """An observer is told no more, nor sent copies of the last."""
        if observer in self._all:
            self._all.remove(observer)
            self._server.layer.stop(observer.busy)

    def let_go(self):
        """Tells nobody any more."""
        while self._all:
            self.drop(self._all[0])

    def reset(self, id, peer):
        """A peer does not know what a notification was for."""
        for observer in list(self._all):
            if observer.id == id and observer.peer == peer:
                self._all.remove(observer)
