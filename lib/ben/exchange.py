"""The client's rules for one datagram and its answer, free of sockets and clocks."""

from . import keys, wire
from .crypto import const, urandom

_TIMEOUT_MAX = const(360000)  # s; a board's ticks_diff() is good for 149 hours
_BUFFERSIZE_MAX = const(1 << 20)  # in the smallest pieces, there and back, still below message's _SEQ_MAX
_RTO_FIRST = const(400)  # ms before the first copy
_RTO_MIN = const(100)
_RTO_MAX = const(2000)
_WAIT_MAX = const(3200)  # ms between copies: a path that comes back is found soon

_clients = 0  # of this program so far: each takes the next channel


def jitter(rto):
    """rto ms, or up to half as much again: clients must not keep step."""
    return rto + rto * urandom(1)[0] // 512


class Exchange:
    """One client's end of the link: its keys, token, sequence number and retransmission time."""

    def __init__(
        self,
        timeout=10,
        keyfile="key.sec",
        buffersize=4096,
        *,
        device=None,
        channel=None,
        session=None,
        chunk=1024,
    ):
        global _clients
        if not 0 < timeout <= _TIMEOUT_MAX:
            raise ValueError("timeout: 0 to 360000 s")
        if not 0 < buffersize <= _BUFFERSIZE_MAX:
            raise ValueError("buffersize: 1 to 1048576")
        self.timeout = int(timeout * 1000) or 1  # ms
        self.buffersize = buffersize
        self.device, self._c2s, self._s2c = keys.own(keyfile, device)
        if not session:
            if channel is None:
                channel = _clients % 4
                _clients += 1
            if not 0 <= channel <= 3:
                raise ValueError("channel: 0 to 3")
            session = bytes((chunk >> 3 & 0xFC | channel,)) + bytes(9)
            if wire.chunk_of(session) != chunk:
                raise ValueError("chunk: by 32")
        if len(session) != 10:
            raise ValueError("session: 10 bytes")
        self.token = bytes(session[:8])
        self.seq = session[8] << 8 | session[9]
        self.chunk = wire.chunk_of(session)
        self.now = 0  # ms since the send() began
        self.rto = _RTO_FIRST
        self.busy = False

    @property
    def session(self):
        """10 bytes for another Exchange of this device to go on from, once; cold during a send."""
        if self.busy:
            return self.token[:1] + bytes(9)
        return self.token + self.seq.to_bytes(2, "big")

    def forget(self):
        """Goes cold: the next request brings a new token first."""
        self.token = self.token[:1] + bytes(7)
        self.seq = 0

    def ask(self, start, data=b""):
        """Yields as message.send does; returns (kind, plaintext) of the answer, (None, None) without one."""
        self.seq += 1
        request = self._c2s.seal(wire.request_head(self.device, self.token, self.seq), b"", start, data)
        began = self.now
        rto = self.rto
        out = request
        while True:
            if out:
                sent = self.now
                wait = min(jitter(rto), _WAIT_MAX)
            self.now, got = yield out, max(0, min(sent + wait, self.timeout) - self.now)
            reply = got and self._open(got, request[-16:])
            if reply:
                break
            if self.now >= self.timeout:
                return None, None
            out = None
            if self.now - sent >= wait:
                out = request
                rto = min(2 * rto, _WAIT_MAX)
        if rto == self.rto:  # no copy, so the time between is this path's
            rto = (3 * rto + 3 * (self.now - began) + 60) // 4
            self.rto = min(_RTO_MAX, max(_RTO_MIN, rto))
        if reply[0] == wire.CHALLENGE:
            self.token = self.token[:1] + bytes(reply[1][1:8])
            self.seq = 0
        return reply

    def _open(self, datagram, tag):
        for kind, least in ((wire.REPLY, 2), (wire.CHALLENGE, 10)):
            head = wire.reply_head(kind, self.seq)
            if datagram[: len(head)] == head:
                plain = self._s2c.open(datagram, len(head), tag)
                if plain and len(plain) >= least:
                    return kind, plain
        return None
