"""Rules of both ends, each broken on purpose by the change of a line."""

import __future__

import contextlib
import inspect
import sys
import textwrap
from unittest import mock

from ben import message, parts
from ben.exchange import Exchange
from benserver import sessions
from benserver.sessions import Sessions

# name: changes, each of (where, function, what stands there, what shall stand there)
RULES = {
    # the client's
    "age ignored": [(message, "_message", "if can_run and age <=", "if False and age <=")],
    "clocks taken for equal": [(message, "_message", "* 9 // 8", "")],
    "maybe when cold": [(message, "_message", "last and exchange.token[1:] != bytes(7)", "last")],
    "never maybe": [(message, "_message", "last and exchange.token[1:] != bytes(7)", "False")],
    "status 6 taken for an answer": [(message, "_message", "== wire.OUT_OF_ORDER", "== 99")],
    "seq not kept from wrapping": [(message, "_message", "> _SEQ_MAX", "> 1 << 20")],
    "session told during a send": [(Exchange, "session", "if self.busy:", "if False:")],
    "not cold after a timeout": [(message, "send", "exchange.forget()", "pass")],
    "copies sealed anew": [
        (
            Exchange,
            "ask",
            "out = request\n            ",
            "out = request = self._c2s.seal(wire.request_head(self.device, self.token, self.seq), b'', start, data)\n"
            "            ",
        )
    ],
    "token of a CHAL not taken": [
        (Exchange, "ask", "self.token = self.token[:1] + bytes(reply[1][1:8])", "pass")
    ],
    "any answer to NEXT taken": [
        (parts, "collect", "kind != wire.REPLY or plain[0] & 0x1F", "plain is None")
    ],
    # the server's: sessions and tokens
    "tokens not forgotten at commit": [(sessions, "_commit", "channel.tokens.clear()", "pass")],
    "reply stored without its tag": [(Sessions, "answer", " and ask.tag == session.tag", "")],
    "no CHAL for seq < last": [
        (
            Sessions,
            "answer",
            "if ask.seq <= session.seq:",
            "if ask.seq < session.seq:\n            return None, None\n        if ask.seq <= session.seq:",
        ),
    ],
    "an age in the CHAL for seq < last": [
        (
            Sessions,
            "answer",
            "if ask.seq <= session.seq:",
            "if ask.seq <= session.seq:\n            return self._challenge(ask, 0), None",
        )
    ],
    "seq ignored": [(Sessions, "answer", "if ask.seq <= session.seq:", "if False:")],
    "silence for an unknown token": [
        (Sessions, "answer", "self._challenge(ask, ask.now - ask.channel.forgot)", "None")
    ],
    "silence for the cold": [
        (
            Sessions,
            "answer",
            "if value == COLD:",
            "if value == COLD:\n            return None, None\n        if False:",
        )
    ],
    "unknown token taken": [
        (Sessions, "answer", "if token is None:", "if False:"),
        (Sessions, "answer", "Session(token)", "Session(token or Token(value, ask.now))"),
    ],
    "forgot not set at commit": [(sessions, "_commit", "channel.forgot = ask.now", "pass")],
    "forgot not set at a drop": [(Sessions, "_heard", "self._forgot = now", "pass")],
    "forgot set by a device's own return": [(Sessions, "open", "Channel(device.forgot)", "Channel(now)")],
    "tokens live for ever": [(sessions, "_find", " and now - t.born < TOKEN_LIFE", "")],
    "tokens live too short": [(sessions, "_find", "TOKEN_LIFE", "0.01")],
    "a new token with each CHAL": [(Sessions, "_challenge", "if not tokens or", "if True or")],
    "no new token when it is old": [(Sessions, "_challenge", " or ask.now - tokens[-1].born > renewed", "")],
    "one token only": [(Sessions, "_challenge", "-TOKENS_MAX", "-1")],
    "reply not bound to its request": [
        (sessions, "_seal", "ask.tag", "b''"),
        (Sessions, "_challenge", "ask.tag", "b''"),
        (Exchange, "_open", "len(head), tag", "len(head)"),
    ],
    "kept before the tag is checked": [
        (Sessions, "open", "plain = device", "self._heard(number, device, now)\n    plain = device")
    ],
    # the server's: fresh=
    "fresh= checked on the first part only": [
        (sessions, "_action_of", "part.action if part else None", "None")
    ],
    "fresh= not checked": [(Sessions, "answer", "if fresh and", "if False and")],
    "no newer token for fresh=": [(Sessions, "answer", "None, fresh / 2", "None")],
    # the server's: parts and pieces
    "reply kept at commit": [
        (
            sessions,
            "_commit",
            "session.tag, session.reply, session.call = ask.seq, ask.tag, None, None",
            "session.tag, session.call = ask.seq, ask.tag, None",
        )
    ],
    "no limit for copies": [(Sessions, "_again", "or stream or", "or True or")],
    "no rest after a cut": [(Sessions, "_again", "if not reply.more:", "if False:")],
    "rest of a cut in the wrong place": [(Sessions, "_again", "reply.offset, ask.now", "0, ask.now")],
}
# Not here, for what honest clients send never meets them: the part's seq, the part and the rest that a commit drops
# (a client goes on from one part or piece only to its next, and none but it goes on in that session); and what only
# keeps memory small: when parts and rests run out, and a late reply to a session that is gone.


@contextlib.contextmanager
def broken(rule):
    """Breaks one for a while."""
    changes = {}
    for place, name, old, new in RULES[rule]:
        changes.setdefault((place, name), []).append((old, new))
    with contextlib.ExitStack() as stack:
        for (place, name), lines in changes.items():
            changed = _changed(rule, vars(place)[name], lines)
            stack.enter_context(mock.patch.object(place, name, changed))
        yield


def _changed(rule, before, lines):
    function = before.fget if isinstance(before, property) else before
    source = textwrap.dedent(inspect.getsource(function))
    for old, new in lines:
        if source.count(old) != 1:
            raise LookupError(
                f"{rule}: {function.__name__} has no single {old!r}: say here where the rule stands now"
            )
        source = source.replace(old, new)
    made = {}
    flags = __future__.annotations.compiler_flag
    exec(compile(source, f"<{rule}>", "exec", flags), vars(sys.modules[function.__module__]), made)
    return made[function.__name__]
