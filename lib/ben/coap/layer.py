"""The message layer, free of sockets and clocks: what each message that comes is for (RFC 7252, 4)."""

from os import urandom

from .message import Message, const, decode

_CON = const(0)
_NON = const(1)
_ACK = const(2)
_RST = const(3)
_OBSERVE = const(6)


class Layer:
    """What leaves one socket and comes to it: a driver keeps now, calls tick(), and sends what is in out."""

    rules = None  # of exchanges, loaded with the first

    def __init__(self):
        self.now = 0  # ms
        self.out = []  # (datagram, peer)
        self.server = None  # takes requests, and the resets of what is no exchange
        self.exchanges = []  # messages of this end's that are under way
        self.taken = []  # (peer, message id, token) of the last responses that were acknowledged
        self._id = int.from_bytes(urandom(2), "big")
        self.ids = 0  # taken from this port

    def next_id(self):
        """A message id."""
        self._id = self._id + 1 & 0xFFFF
        self.ids += 1
        return self._id

    def start(self, exchange):
        """Begins an exchange; ValueError for a token that another one of its peer has."""
        if not self.rules:
            from . import exchange as rules

            self.rules = rules
        self.rules.start(self, exchange)

    def stop(self, exchange):
        """Ends an exchange: whatever answers it later is a stranger's."""
        if exchange in self.exchanges:
            self.exchanges.remove(exchange)

    def send(self, message, peer):
        """Sends a message once; returns its datagram."""
        datagram = bytes(message.encode())  # a bytearray has room to spare, and this may be kept
        self.out.append((datagram, peer))
        return datagram

    def reset(self, id, peer):
        """Tells a peer that its message means nothing here."""
        return self.send(Message(0, b"", _RST, id), peer)

    def acknowledge(self, id, peer):
        """Tells a peer that its message has come, and no more."""
        return self.send(Message(0, b"", _ACK, id), peer)

    def tick(self):
        """Does what is due; returns the ms until there is more to do, or None."""
        wait = self.server and self.server.tick()
        return self.rules.tick(self, wait) if self.exchanges else wait

    def receive(self, datagram, peer):
        """Takes what came from a peer: any bytes, None for a message that was cut."""
        if datagram is None:
            if self.exchanges:
                self.rules.ask_again(self, peer)
            return
        try:
            message = decode(datagram)
        except ValueError:
            if len(datagram) > 3 and datagram[0] & 0xF0 == 0x40:  # of version 1, and confirmable
                self.reset(int.from_bytes(datagram[2:4], "big"), peer)
            return
        kind = message.type
        code = message.code
        if 0 < code < 32:
            if kind > _NON:
                pass
            elif self.server:
                self.server.receive(message, peer)
            elif kind == _CON:
                self.reset(message.id, peer)
        elif code:
            # A response: one that nobody waits for ends there, but for a notification, and who asks for confirmation.
            known = (
                kind != _RST
                and code >> 5 in (2, 4, 5)
                and self.rules
                and self.rules.response(self, message, peer)
            )
            if not known and (kind == _CON or kind == _NON and message.get(_OBSERVE) is not None):
                self.reset(message.id, peer)
        elif kind > _NON:
            known = self.rules and self.rules.empty(self, message, peer)
            if not known and kind == _RST and self.server and self.server.observers:
                self.server.observers.reset(message.id, peer)
        elif kind == _CON:  # a ping
            self.reset(message.id, peer)
