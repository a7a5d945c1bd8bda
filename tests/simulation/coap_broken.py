"""Rules of CoAP, each broken on purpose by the change of a line: the simulator has to find every one."""

import contextlib
from unittest import mock

from ben.coap import block as blocks
from ben.coap import bodies, exchange, features, later, layer, observers, resources
from ben.coap.net import Endpoint
from ben.coap.observation import Observation

from . import broken as links

Layer, Exchange, Resources = layer.Layer, exchange.Exchange, resources.Resources
Observers, Notification, Bodies = observers.Observers, observers.Notification, bodies.Bodies

# name: changes, as broken.RULES has them
RULES = {
    # messages
    "any token is the right one": [(exchange, "_answered", "request.token != message.token", "False")],
    "any peer may answer": [(Exchange, "expects", "peer == self.peer", "True")],
    "any acknowledgement answers": [(exchange, "_answered", "request.id == message.id", "True")],
    "any acknowledgement confirms": [(exchange, "empty", "exchange.message.id == message.id", "True")],
    "any peer may acknowledge": [(exchange, "empty", "exchange.peer == peer", "True")],
    "a reset is ignored": [(exchange, "empty", "message.type == _RST", "False")],
    "no copies": [(Exchange, "copy", "not self.copies", "True")],
    "copies without end": [(Exchange, "copy", "self.copies -= 1", "pass")],
    "copies at one pace": [(Exchange, "copy", "self.wait *= 2", "pass")],
    "an exchange without end": [
        (Exchange, "confirm", "self.due = self.end", "self.due = self.end = self.end + 900000")
    ],
    "the time of a request that waits for another stands still": [
        (exchange, "tick", "(exchange.peer in busy or exchange.end <= now)", "exchange.peer in busy"),
        (exchange, "tick", "due = exchange.end if held", "due = now + 60000 if held"),
    ],
    "all at once": [(exchange, "tick", "busy.append(exchange.peer)", "pass")],
    "stopped and still under way": [(Layer, "stop", "self.exchanges.remove(exchange)", "pass")],
    "separate responses not acknowledged": [
        (
            exchange,
            "response",
            "        layer.acknowledge(message.id, peer)\n    exchange.confirm()",
            "    exchange.confirm()",
        )
    ],
    "a separate response that comes again is reset": [(exchange, "response", "this in layer.taken", "False")],
    "nobody's notifications not reset": [
        (Layer, "receive", "kind == _NON and message.get(_OBSERVE) is not None", "False")
    ],
    "nobody's confirmable responses not reset": [
        (Layer, "receive", "kind == _CON or kind == _NON", "kind == _NON")
    ],
    "the clock not looked at when something comes": [(Endpoint, "receive", "self._look()", "pass")],
    "no request is known": [(resources, "find", "return seen", "return None")],
    "known whoever sends it": [(resources, "find", " and seen[_PEER] == peer", "")],
    "known whatever its id": [(resources, "find", "seen[_ID] == id and", "")],
    "copies not answered": [(Resources, "receive", "message.type == _CON and seen[_REPLY]", "False")],
    "few requests are known": [(resources, "remember", "len(all) == _SEEN", "len(all) == 2")],
    "all requests are kept": [(resources, "remember", "len(all) == _SEEN", "False")],
    "forgotten with its reply": [(features, "spare", "seen[_ID] & 31 in _SAFE", "True")],
    "an empty answer is kept": [
        (
            Resources,
            "_send",
            "datagram = request.seen[_REPLY] = self.layer.send(reply, request.peer)",
            "datagram = request.seen[_REPLY] = self.layer.send(reply, request.peer)[:4]",
        )
    ],
    "not acknowledged while it takes long": [(later, "tick", "request.acknowledge()", "pass")],
    "requests answered late are kept": [(Resources, "finish", "self.later.remove(request)", "pass")],
    # bodies
    "pieces of two bodies": [(blocks, "download", "reply.get(_ETAG) != etag", "False")],
    "no tag of a body": [(Bodies, "cut", "(at or more)", "False")],
    "a piece wherever it belongs": [(Bodies, "_come", "body.at != number * size", "False")],
    "a body goes on from another's": [(Bodies, "_come", "self.begin(request)", "pass")],
    "any body of a peer's": [(blocks, "upload", "message.add(_REQUEST_TAG, urandom(2))", "pass")],
    "all bodies are kept": [(bodies, "_keep", "len(bodies) == _MOST", "False")],
    "one token for all blocks": [(blocks, "again", "urandom(4)", "message.token")],
    "no limit to a body": [(blocks, "download", "at > limit", "False")],
    "a body beyond the server's limit": [(Bodies, "_come", "> self._server.limit", "> 1 << 20")],
    # observations
    "notifications in any order": [
        (Observation, "take", "not 0 < (number - self._number & 0xFFFFFF) < 1 << 23", "False")
    ],
    "old ones are new": [(Observation, "take", "now - self._since < _OLD", "now - self._since < 100")],
    "never asked anew": [
        (Observation, "take", "self.due = self.end = now +", "self.due = self.end = now + 900000 +")
    ],
    "asks anew in vain": [(Observation, "renew", "self.due = self.error", "self.error")],
    "all notifications are kept": [(Observation, "take", "self.news[1 - _KEPT :]", "self.news")],
    "news while one is under way is lost": [(Observers, "notify", "observer.stale = True", "pass")],
    "news while one is under way is kept back": [(Observers, "heard", "if observer.stale:", "if False:")],
    "an observer that resets stays": [(Observers, "reset", "self._all.remove(observer)", "pass")],
    "an observer that is silent stays": [
        (Notification, "fail", "self._observers.drop(self._observer)", "pass")
    ],
    "none is asked whether it is there": [(Observers, "_send", "observer.told % _CONFIRMED != 1", "True")],
    "an observer that cancels stays": [(Observers, "asked", "== 0:", "is not None:")],
    "observers without end": [(Observers, "asked", "len(self._all) == _MOST", "False")],
    "an observer twice": [(Observers, "asked", "observer.message.token == token", "False")],
    "anybody resets": [(Observers, "reset", " and observer.peer == peer", "")],
}


@contextlib.contextmanager
def broken(rule):
    """Breaks one for a while."""
    with mock.patch.dict(links.RULES, RULES), links.broken(rule):
        yield
