"""What a reply's status says; ben.wire has those that a client tells apart."""

from ben import wire

OK = 0
FAILED = 1  # the handler raised
UNKNOWN = 2  # no such action
TOO_BIG: int = wire.TOO_BIG  # not run
MALFORMED = 4  # not run
GONE: int = wire.GONE  # it ran, but there is no reply to be had
OUT_OF_ORDER: int = wire.OUT_OF_ORDER  # a part without the part before it: not run
REFUSED = 8  # not run
