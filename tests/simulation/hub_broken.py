"""Rules of the hub, each broken on purpose by the change of a line: the simulator has to find every one."""

import contextlib
from unittest import mock

from ben import hub as listening
from ben import outbox
from benserver import hub_actions
from benserver.hub import Hub

from . import broken as links

# name: changes, as broken.RULES has them
RULES = {
    # who receives
    "confirmed before it is had": [
        (
            listening,
            "receive",
            "                continue",
            "                hub.seq = (int.from_bytes(hub.seq, 'big') + 1).to_bytes(4, 'big')\n                continue",
        )
    ],
    "a lost piece ends it": [(listening, "receive", "if error.status != wire.GONE:", "if True:")],
    "another channel after a restart": [
        (listening.Hub, "__init__", "self._link(True)", "self._link(bool(urandom(1)[0] & 1))")
    ],
    "does not join again": [
        (listening, "receive", "if got is False:", "if got is False and hub.seq is None:")
    ],
    # who sends
    "maybe told as not delivered": [(outbox, "send", "_TOLD.get(error.args[-1])", "'not delivered'")],
    "a failure told as not delivered": [(outbox, "send", 'told = "unknown"', 'told = "not delivered"')],
    "a failure told as a refusal": [(outbox, "send", "error.status != _FAILED", "True")],
    "whatever comes is delivered": [(outbox, "send", 'if told != "delivered":', 'if told == "unknown":')],
    "unknown told as not delivered": [(outbox, "send", "ETIMEDOUT, told", "ETIMEDOUT, 'not delivered'")],
    # the server: what becomes of a message
    "confirmed whatever came after": [(Hub, "receive", " and target.handed.number == after", "")],
    "never confirmed": [(Hub, "receive", "target.handed.number == after", "False")],
    "told at hand-over": [
        (
            Hub,
            "_hand",
            "target.handed = message",
            "target.handed = message\n    message.tell(DELIVERED)\n    message.tell = lambda told: None",
        )
    ],
    "handed again to a new life": [(Hub, "join", "self._settle(target, UNKNOWN)", "pass")],
    "unknown told as not delivered by a new life": [
        (Hub, "join", "self._settle(target, UNKNOWN)", "self._settle(target, NOT_DELIVERED)")
    ],
    "delivered to a life that is gone": [
        (Hub, "join", "self._settle(target, UNKNOWN)", "self._settle(target, DELIVERED)")
    ],
    "a new life drops what waits": [
        (
            Hub,
            "join",
            "self._settle(target, UNKNOWN)",
            "self._settle(target, UNKNOWN)\n        target.queue.clear()",
        )
    ],
    "withdrawn and still handed": [(Hub, "withdraw", "target.queue.remove(message)", "pass")],
    "withdrawn from its life and still handed": [
        (Hub, "withdraw", "self._settle(target, UNKNOWN)", "message.tell(UNKNOWN)")
    ],
    "not delivered though it was handed": [
        (Hub, "withdraw", "self._settle(target, UNKNOWN)", "self._settle(target, NOT_DELIVERED)")
    ],
    "room not given back": [(Hub, "withdraw", "self._leaves_queue(message)", "pass")],
    "who waits is not answered": [(Hub, "send", "self._answer(target)", "pass")],
    "a number for all": [(Hub, "_hand", "self._number % NUMBER_MAX + 1", "7")],
    "numbers from 1": [(Hub, "__init__", 'int.from_bytes(os.urandom(4), "big")', "0")],
    # the server: names
    "a name is whose asks last": [
        (Hub, "_check_owner", "target and target.owner != owner and not kept", "False")
    ],
    "kept names are anybody's": [(Hub, "_check_owner", "kept and owner not in kept or", "")],
    "who receives is not looked at": [(Hub, "receive", "target and target.owner != owner", "False")],
    "who sends is not looked at": [
        (Hub, "_check_sender", "self._check_owner(owner, name)", "pass"),
        (Hub, "send", "self._claim(owner, source, now)", "pass"),
    ],
    "anybody may send": [(Hub, "_check_sender", "name not in self._senders", "False")],
    "the life is not looked at": [(Hub, "receive", "target.life != life", "False")],
    "waits for ever": [(hub_actions, "_until", "(seconds, give_up)", "(1e6, give_up)")],
    "no life after a drop": [(Hub, "_forget", "del self._targets[target.name]", "target.life = bytes(4)")],
    "lost with its place": [(Hub, "_forget", "self.withdraw(target.queue[0])", "target.queue.popleft()")],
}


@contextlib.contextmanager
def broken(rule):
    """Breaks one for a while."""
    with mock.patch.dict(links.RULES, RULES), links.broken(rule):
        yield


# Not here: that a receiver drops what it has had already, for this server never hands that again; that what was handed
# leaves its queue's count, for who listens is reached in spite of that; and what only saves time, such as that a message
# has to fit its target. tests/test_hub.py and test_hub_rules.py have those.
