"""The socket of a CoAP endpoint where memory is short, with a system's socket that does what one does then."""

from ben.coap.net import Socket


class Full:
    """A socket, and what polls it, that holds datagrams and has no memory for the first of them."""

    def __init__(self, takes, *datagrams):
        self.takes = takes  # the first, although it fails
        self.datagrams = list(datagrams)
        self.failed = False

    def poll(self, ms):
        assert self.datagrams or ms >= 0, "it would wait for ever"
        return self.datagrams

    def recvfrom(self, size):
        assert self.datagrams, "it would wait for ever"
        if not self.failed:
            self.failed = True
            del self.datagrams[: self.takes]
            raise MemoryError
        return self.datagrams.pop(0)[:size], "peer"


def received(full):
    sock = Socket()
    sock.socket = sock.poll = full
    return sock.recv(-1)


def test_a_datagram_lost_for_want_of_memory_is_not_waited_for():
    """Where the buffer fits and its copy does not, the system has given the datagram away."""
    assert received(Full(True, b"first")) is None


def test_a_datagram_that_is_still_there_is_read_into_less():
    assert received(Full(False, b"short")) == (b"short", "peer")
    assert received(Full(False, bytes(1000))) == (None, "peer")
    assert received(Full(True, b"first", b"second")) == (b"second", "peer")
