"""The way between CoAP's ends, and the stranger beside it, who has no part in what they say to each other."""

from ben.coap.message import Message, decode

from .network import Network

CON, NON, ACK, RST = range(4)
FORGED = b"forged"
CONTENT = 0x45
RECENT = 20  # datagrams that the stranger thinks of
OBSERVE, PATH, MAX_AGE, QUERY, BLOCK2, BLOCK1 = 6, 11, 14, 15, 23, 27


class Leg:
    """A client's way to one server: its address there, which a NAT may change."""

    def __init__(self, client, path):
        self.client = client
        self.path = path
        self.peer = path.server.name  # the server's address, for the client
        self.name = client.name
        self.address = path.attach(self)

    def new_address(self):
        """The NAT has forgotten the old one."""
        self.address = self.path.attach(self)

    def receive(self, datagram, forged=False, peer=None):
        """A datagram reaches the client, from the server's address unless told otherwise."""
        self.client.receive(datagram, peer or self.peer, forged)


class Path(Network):
    """Carries datagrams between clients and one server."""

    losing = 0  # so many datagrams from here on are lost: of the last requests, which must survive it

    def _carry(self, datagram, reach, address):
        if self.losing:
            self.losing -= 1
            self.world.note("{} is lost", datagram)
            self.world.count("lost on the way of a last request")
        else:
            super()._carry(datagram, reach, address)

    # The stranger: replays what was, and forges from what can be seen beside the path, with his own address or a
    # spoofed one. With a spoofed one he lacks either the token or the message id: against who sees both and can
    # spoof there is only OSCORE.

    def _stranger(self):
        super()._stranger()
        if self._happens("forgery"):
            seen, leg, to_server = self.world.chance.choice(self._recorded[-RECENT:])
            if to_server and self.world.chance.random() < 0.3:
                self._forge_request(seen)
            else:
                self._forge_response(decode(seen), leg, to_server)

    def _replay(self, datagram, board, to_server):
        chance = self.world.chance
        self.world.count("replayed")
        way = chance.random()
        if way < 0.1:
            self.world.note("a stranger sends {} to {}", datagram, board.name)
            board.receive(datagram, False, self._somebody())
        elif not to_server:
            self.world.note("a stranger replays {} as the server", datagram)
            board.receive(datagram)
        else:
            spoofed = way < 0.6
            self.world.note("a stranger replays {}{}", datagram, f" as {board.name}" if spoofed else "")
            self.server.receive(datagram, board.address if spoofed else self._somebody())

    def _somebody(self):
        return -1 - self.world.chance.randrange(1 << 16)

    def _forge_request(self, seen):
        # from an address of his own, where it is another request; or what no server takes
        chance = self.world.chance
        message = decode(seen)
        way = chance.randrange(6)
        if way == 0:
            seen = chance.randbytes(chance.randrange(40))
        elif way == 1:
            message.add(chance.choice((9, 2049)), FORGED)
            seen = message.encode()
        elif way == 2:
            seen = Message(0, b"", chance.choice((CON, RST, ACK)), chance.randrange(1 << 16)).encode()
        elif way == 3:
            seen = Message(
                CONTENT, FORGED, chance.choice((CON, NON, ACK)), message.id, message.token
            ).encode()
        elif way == 4:
            message.payload = FORGED
            seen = message.encode()
        self.server.receive(bytes(seen), self._somebody(), True)

    def _forge_response(self, seen, leg, to_server):
        chance = self.world.chance
        peer = None
        kind = chance.choice((CON, NON, ACK, RST))
        if chance.random() < 0.5:  # who sees it, but cannot spoof
            peer = self._somebody()
            forged = Message(CONTENT, FORGED, kind, seen.id, seen.token)
            if kind == RST or chance.random() < 0.2:
                forged = Message(0, b"", kind, seen.id)
        elif chance.random() < 0.5:  # who can spoof, but does not see the token
            kind = chance.choice((CON, NON, ACK))
            forged = Message(CONTENT, FORGED, kind, seen.id, chance.randbytes(len(seen.token)))
        else:  # nor the message id
            forged = Message(0, b"", kind, seen.id ^ 1 << chance.randrange(8, 16))
        if forged.code and seen.get(OBSERVE) is not None:
            forged.add(OBSERVE, chance.randrange(1 << 24))
        datagram = bytes(forged.encode())
        self.world.name(datagram, "f")
        if peer and not to_server:  # an acknowledgement, for the server's own
            self.world.note("a stranger sends {} to the server", datagram)
            self.server.receive(datagram, peer, True)
        else:
            who = "as the server " if peer is None else ""
            self.world.note(f"a stranger sends {{}} {who}to {{}}", datagram, leg.name)
            leg.receive(datagram, True, peer)
