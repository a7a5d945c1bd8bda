"""Every parser, fed with anything: under a right tag too, for a peer may have faults."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ben import wire
from ben.message import BenError
from benserver.actions import Action, Actions
from benserver.sessions import Sessions, parse
from test_exchange import Server
from test_sessions import PRK, Peer

settings.register_profile("stable", derandomize=True, deadline=None, max_examples=300)
settings.load_profile("stable")

TEXT = st.text(st.characters(exclude_categories=["Cs"]))  # no lone surrogates
FINITE = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=20,
)
# heads that are nearly right, and bodies that are nearly JSON
PLAINTEXTS = st.binary(max_size=200) | st.builds(
    lambda form, action, body: bytes((form, len(action))) + action + body,
    st.integers(0, 255),
    st.binary(max_size=5) | st.just(b"x"),
    st.binary(max_size=50) | VALUES.map(lambda value: json.dumps(value).encode()[:200]),
)


@given(VALUES)
def test_what_can_be_encoded_comes_back(value):
    if isinstance(value, str):
        assert wire.decode(*wire.encode(value)) == value
    else:
        form, body = wire.encode(value)
        assert wire.decode(form, body) == value == json.loads(body)


ODD_JSON = st.sampled_from((b"NaN", b"[1e999]", b'{"a":-Infinity}', b"[" * 30 + b"]" * 30, b'"\\ud800"'))


@given(st.integers(0, 4), st.binary(max_size=200) | ODD_JSON)
def test_a_body_decodes_or_is_refused(form, body):
    try:
        value = wire.decode(form, body)
    except ValueError:
        return
    assert form != 1 or json.dumps(value, allow_nan=False)


@given(PLAINTEXTS)
def test_a_plaintext_parses_or_is_malformed(plain):
    head = parse(plain)
    if head:
        assert (
            plain
            == bytes((head.form | head.flags, len(head.action.encode()))) + head.action.encode() + head.body
        )


@given(st.lists(PLAINTEXTS, max_size=8))
def test_the_server_answers_whatever_is_under_a_right_tag(plains):
    actions = Actions()
    actions.add(Action("x", print))
    peer = Peer(Sessions(PRK, actions, now=0.0)).warm()
    for seq, plain in enumerate(plains, 2):
        assert peer.give(peer.seal(seq, plain), value=plain)[0] == wire.REPLY


@given(st.lists(st.binary(max_size=1300), max_size=20))
def test_the_server_is_silent_to_whatever_is_not(datagrams):
    sessions = Sessions(PRK, Actions(), now=0.0)
    for datagram in datagrams:
        assert sessions.receive(b"\xb2\x01" + datagram, 0.0) == (None, None)
    assert sessions._devices == {}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@given(
    st.lists(st.tuples(st.sampled_from((wire.REPLY, wire.CHALLENGE)), PLAINTEXTS), max_size=8), st.booleans()
)
def test_the_client_ends_or_goes_on_whatever_is_under_a_right_tag(folder, answers, in_parts):
    server = Server(folder).begin({"action": "x", "data": bytes(1500 if in_parts else 5)})
    try:
        for kind, plain in answers:
            if server.out:
                server.give(server.answer(kind, plain))
            else:
                server.give(None, server.wait)
        server.give(None, 10000)
    except (StopIteration, BenError, OSError):
        return
    raise AssertionError("it goes on after its deadline")
