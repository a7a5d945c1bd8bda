"""The way between the ends, and the stranger beside it who records and replays."""

# What may happen to a datagram on its way
ON_THE_WAY = ("loss", "duplication", "reordering", "holding", "corruption", "replay", "flood", "rebinding")
FLOOD = 20  # recorded datagrams at each step
DEVIATION = 0.3  # s by which a datagram may be late without being held
LATEST = 100.0  # s for which a datagram is held, if not until the end


class Network:
    """Carries datagrams between boards and the server; `faults` says how likely each fault is."""

    def __init__(self, world, faults):
        self.world = world
        self.faults = faults
        self.delay = world.chance.uniform(0.001, 0.04)
        self.server = None
        self.flooding = False
        self._boards = {}  # by address
        self._addresses = 0
        self._recorded = []  # (datagram, the board it came from or went to, whether to the server)
        self._known = set()
        self.held = []

    def attach(self, board):
        """A new address for a board."""
        for old in [old for old, each in self._boards.items() if each is board]:
            del self._boards[old]
        self._addresses += 1
        self._boards[self._addresses] = board
        return self._addresses

    def to_server(self, datagram, board):
        """A board sends."""
        if self._happens("rebinding"):
            self.world.note("{} has another address now", board.name)
            board.new_address()
        self._record(datagram, board, True)
        self._carry(datagram, self._reach_server, board.address)

    def to_address(self, datagram, address):
        """The server answers."""
        board = self._boards.get(address)
        if board:
            self._record(datagram, board, False)
            self._carry(datagram, self._reach_board, address)
        else:
            self.world.note("{} goes to nobody", datagram)
            self.world.count("reply to an old address" if address > 0 else "reply to a stranger")

    def _happens(self, fault):
        probability = self.faults.get(fault)
        if not probability or self.world.chance.random() >= probability:
            return False
        self.world.count(fault)
        return True

    def _carry(self, datagram, reach, address):
        chance = self.world.chance
        if self._happens("corruption"):
            bent = self._bend(datagram)
            self.world.note("{} also arrives bent: {}", datagram, bent)
            self.world.at(self.delay, reach, bent, address, True)
        if self._happens("loss"):
            self.world.note("{} is lost", datagram)
            return
        if self._happens("holding"):
            self.world.note("{} is held", datagram)
            if chance.random() < 0.3:
                self.held.append((reach, datagram, address))
            else:
                self.world.at(LATEST ** chance.random(), reach, datagram, address)
            return
        if self._happens("duplication"):
            self.world.at(self.delay + chance.uniform(0, 3), reach, datagram, address)
        late = chance.uniform(0, DEVIATION) if self._happens("reordering") else 0
        self.world.at(self.delay + late, reach, datagram, address)

    def _reach_server(self, datagram, address, forged=False):
        self._stranger()
        self.server.receive(datagram, address, forged)

    def _reach_board(self, datagram, address, forged=False):
        self._stranger()
        board = self._boards.get(address)
        if board:
            board.receive(datagram, forged)
        else:
            self.world.note("{} reaches an old address", datagram)
            self.world.count("reply to an old address")

    def _bend(self, datagram):
        chance = self.world.chance
        way = chance.randrange(4)
        if way == 0:
            at = chance.randrange(len(datagram))
            return datagram[:at] + bytes((datagram[at] ^ 1 << chance.randrange(8),)) + datagram[at + 1 :]
        if way == 1:
            return datagram[: chance.randrange(len(datagram))]
        if way == 2:
            return datagram + chance.choice(self._recorded)[0]
        return datagram[:32] + chance.randbytes(max(0, len(datagram) - 32))

    # The stranger

    def _record(self, datagram, board, to_server):
        if datagram not in self._known:
            self._known.add(datagram)
            self._recorded.append((datagram, board, to_server))

    def _stranger(self):
        if self.flooding or self._happens("flood"):
            for _ in range(FLOOD):
                self._replay(*self.world.chance.choice(self._recorded))
        if self._happens("replay"):
            self._replay(*self.world.chance.choice(self._recorded[-20:]))

    def _replay(self, datagram, board, to_server):
        chance = self.world.chance
        self.world.count("replayed")
        way = chance.random()
        if way < 0.1:
            if to_server:
                self.world.count("reflection")
            self.world.note("a stranger sends {} to {}", datagram, board.name)
            board.receive(datagram)
        elif to_server or way < 0.2:
            # from an address of the stranger's, or from the board's
            spoofed = way < 0.4
            self.world.note("a stranger replays {}{}", datagram, f" as {board.name}" if spoofed else "")
            self.server.receive(datagram, board.address if spoofed else -chance.randrange(1 << 16))

    def sweep(self):
        """The stranger replays everything, once."""
        for datagram, _, to_server in list(self._recorded):
            if to_server:
                self.server.receive(datagram, -1)

    def release(self):
        """What was held for ever arrives after all."""
        held, self.held = self.held, []
        for reach, datagram, address in held:
            self.world.count("held to the end")
            reach(datagram, address)
