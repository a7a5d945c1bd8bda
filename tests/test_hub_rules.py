"""The hub's rules on the server, without sockets and clocks: what bounds them, and who may what."""

import pytest

from benserver import hub as rules
from benserver import status
from benserver.actions import Refusal
from benserver.hub import Hub
from benserver.hub_actions import parse_join, parse_receive, parse_send

LIFE, OTHER = b"life", b"othr"
NONE = bytes(4)  # the number before the first message


class Relay(Hub):
    """A hub that notes what it tells and answers; `now` is its time."""

    def __init__(self, devices=None, senders=None):
        super().__init__(devices or {}, senders)
        self.told = {}
        self.answers = []
        self.now = 0.0

    def joins(self, owner, name, life=LIFE, room=1000):
        self.join(owner, name, "test", life, room, self.now)

    def sends(self, data, target="lamp", owner=1, source=""):
        return self.send(
            owner, source, target, 3, data, self.now, lambda told: self.told.setdefault(data, told)
        )

    def asks(self, name="lamp", after=NONE, owner=2, life=LIFE):
        """Receives; the number of the message that came at once."""
        waiter = self.receive(owner, name, life, after, self.now, self.answers.append)
        return None if waiter.target else self.answers[-1] and self.answers[-1][:4]


@pytest.fixture
def relay():
    relay = Relay()
    relay.joins(2, "lamp")
    return relay


def refused(call, *arguments, **options):
    with pytest.raises(Refusal) as caught:
        call(*arguments, **options)
    return caught.value.outcome


def test_a_message_is_handed_again_until_it_is_named(relay):
    relay.sends(b"one")
    relay.sends(b"two")
    first = relay.asks()
    assert relay.asks() == first and relay.told == {}
    assert relay.asks(after=OTHER) == first, "another number names nothing"
    second = relay.asks(after=first)
    assert relay.told == {b"one": "delivered"} and second != first
    assert relay.asks(after=first) == second, "to name one that was named already changes nothing"
    assert relay.asks(after=second) is None and relay.told[b"two"] == "delivered"
    assert not relay._waiting
    assert [answer[-3:] for answer in relay.answers] == [b"one"] * 3 + [b"two"] * 2


def test_a_receive_takes_the_place_of_the_one_before(relay):
    assert relay.asks() is None and relay.asks() is None
    assert relay.answers == [None]
    relay.sends(b"one")
    assert len(relay.answers) == 2 and relay.answers[1].endswith(b"one")


def test_a_new_life_is_not_handed_what_the_old_one_had(relay):
    relay.sends(b"had")
    relay.sends(b"waits")
    first = relay.asks()
    relay.joins(2, "lamp")
    assert relay.told == {} and relay.asks() == first, "the same life: it joined once more"
    relay.joins(2, "lamp", OTHER)
    assert relay.told == {b"had": "unknown"}
    assert relay.asks(life=OTHER) != first and relay.answers[-1].endswith(b"waits")
    assert refused(relay.asks).status == status.REFUSED


def test_who_waits_in_an_old_life_is_answered(relay):
    relay.asks()
    relay.joins(2, "lamp", OTHER)
    assert relay.answers == [None]
    relay.sends(b"one")
    assert relay.answers == [None], "and is handed nothing more"


def test_when_its_time_is_over_a_message_comes_no_more(relay):
    waits, had = relay.sends(b"had"), relay.sends(b"waits")
    first = relay.asks()
    relay.withdraw(waits)
    relay.withdraw(had)
    assert relay.told == {b"had": "unknown", b"waits": "not delivered"}
    assert relay.asks() is None and relay.asks(after=first) is None
    relay.withdraw(had)
    relay.withdraw(waits)
    assert len(relay.told) == 2
    assert not relay._waiting


def test_who_has_not_joined_is_told_to(relay):
    assert relay.asks("lamb") is False and refused(relay.asks, owner=3).value == "lamp is taken"
    relay.sends(b"by a name that has not joined", source="desk")
    assert relay.asks("desk", owner=1) is False
    assert refused(relay.sends, b"x", "desk").value == "no such target: desk"


def test_queues_have_an_end(relay, monkeypatch):
    for number in range(rules.QUEUE_EACH):
        relay.sends(b"%d" % number)
    full = (status.REFUSED, "too many messages wait for lamp")
    assert refused(relay.sends, b"x") == full, "there is room for another sender's"
    for number in range(rules.QUEUE_EACH, rules.QUEUE_MAX):
        relay.sends(b"%d" % number, owner=7)
    assert refused(relay.sends, b"x", owner=8) == full
    relay.asks()
    relay.sends(b"in its place")
    assert refused(relay.sends, b"x", owner=8) == full
    monkeypatch.setattr(rules, "MESSAGES_MAX", rules.QUEUE_MAX + 2)
    relay.joins(3, "bell")
    relay.sends(b"b1", "bell")
    last = relay.sends(b"b2", "bell")
    assert refused(relay.sends, b"x", "bell") == (status.REFUSED, "too many messages wait")
    relay.withdraw(last)
    relay.sends(b"b3", "bell")


def test_who_listens_is_reached_although_all_queues_are_full(relay, monkeypatch):
    monkeypatch.setattr(rules, "MESSAGES_EACH", 3)
    for number in range(5):
        relay.joins(10 + number, f"away {number}")
    for number in range(3):
        relay.sends(b"%d" % number, f"away {number}", owner=66)
    assert refused(relay.sends, b"x", "away 3", owner=66) == (status.REFUSED, "too many messages wait")
    relay.sends(b"another's", "away 3", owner=67)
    monkeypatch.setattr(rules, "MESSAGES_MAX", 4)
    assert refused(relay.sends, b"x", "away 4", owner=67).value == "too many messages wait"
    assert relay.asks() is None
    relay.sends(b"through")
    assert relay.answers[-1].endswith(b"through")


def test_what_is_longer_than_its_target_takes(relay):
    relay.joins(2, "lamp", room=6 + len("desk") + 5)
    relay.sends(b"12345", source="desk")
    assert refused(relay.sends, b"123456", source="desk") == (status.TOO_BIG, "1 bytes more than lamp takes")


def test_who_joins_anew_with_less_room(relay):
    relay.sends(b"1234")
    relay.sends(b"123")
    relay.joins(2, "lamp", OTHER, room=6 + len("00000001") + 3)
    assert relay.asks(life=OTHER) and relay.answers[-1].endswith(b"123")
    assert relay.told == {b"1234": "not delivered"} and not relay._waiting


def test_a_device_has_eight_names_and_pushes_nobody_out(relay):
    """A single stolen key is not to take all the room that there is."""
    names = [f"name {number}" for number in range(rules.NAMES_EACH)]
    for name in names:
        relay.joins(3, name)
    why = (status.REFUSED, "a device has 8 names, and is using them")
    assert refused(relay.joins, 3, "one more") == why, "it would join again, and push out another"
    relay.now = rules.HERE + 1
    for name in names[:2]:
        relay.joins(3, name)
    relay.joins(3, "one more")
    assert [each["name"] for each in relay.list(0.0)] == ["lamp", *names[:2], *names[3:], "one more"]
    for number in range(20):
        assert (
            refused(relay.sends, b"x", "nobody", owner=3, source=f"n{number}").value
            == "no such target: nobody"
        )
    assert len(relay.list(0.0)) == 1 + rules.NAMES_EACH, "what is refused takes no name"


def test_where_there_is_no_room_the_name_goes_that_was_not_heard_for_longest(monkeypatch):
    monkeypatch.setattr(rules, "NAMES_MAX", 3)
    relay = Relay()
    for owner in range(3):
        relay.joins(owner, f"board {owner}")
    waits = relay.sends(b"waits", "board 1", owner=0)
    assert refused(relay.joins, 7, "board 7") == (status.REFUSED, "no room for another name")
    relay.now = rules.HERE + 1
    relay.joins(0, "board 0")
    assert relay.asks("board 2", owner=2) is None
    relay.joins(7, "board 7")
    assert [each["name"] for each in relay.list(0.0)] == ["board 0", "board 2", "board 7"]
    assert relay.told == {b"waits": "not delivered"} and not relay._waiting
    relay.withdraw(waits)


def test_the_list_tells_who_is_here(relay):
    relay.joins(3, "bell")
    relay.now = rules.HERE - 1
    assert relay.asks() is None
    relay.now = rules.HERE + 1
    assert [(each["name"], each["here"], each["seen"]) for each in relay.list(relay.now)] == [
        ("bell", False, rules.HERE + 1),
        ("lamp", True, 2.0),
    ]
    assert [each["name"] for each in relay.list(0.0, "bell")] == ["lamp"]
    assert [each["name"] for each in relay.list(0.0, "", 1)] == ["bell"]


def test_names_are_their_devices(relay):
    for call in (lambda: relay.joins(3, "lamp"), lambda: relay.sends(b"x", owner=3, source="lamp")):
        assert refused(call) == (status.REFUSED, "lamp is taken")
    assert refused(relay.joins, 3, "0000002a") == (status.REFUSED, "0000002a is another device's name")
    relay.joins(0x2A, "0000002a")
    relay = Relay({5: "lamp", 6: "lamp", 7: "desk", 8: "no, name"})
    relay.joins(2, "bell")
    relay.sends(b"of who has no name here", "bell", owner=8)
    assert relay.asks("bell") and b"00000008" in relay.answers[-1]
    for device in (4, 7):
        assert refused(relay.joins, device, "lamp") == (status.REFUSED, "lamp is another device's name")
    relay.joins(5, "lamp")
    relay.sends(b"of the server's list", owner=7)
    assert relay.asks(owner=5) and b"desk" in relay.answers[-1]
    relay.joins(6, "lamp")
    assert relay.asks(owner=6) is None, "a board that was replaced"
    assert refused(relay.asks, owner=5).value == "lamp is taken"


def test_a_name_has_64_bytes(relay):
    relay.joins(3, "\u00fc" * 32)
    for name in ("\u00fc" * 33, "", "a,b", "|", " x", "x ", "a\nb", "\ud800"):
        assert refused(relay.joins, 3, name).status == status.MALFORMED


def test_who_may_send():
    relay = Relay({5: "desk"}, senders={"desk", "door"})
    relay.joins(2, "lamp")
    for owner, source in ((1, ""), (1, "lamp"), (2, "lamp"), (5, "any")):
        assert refused(relay.sends, b"x", owner=owner, source=source).value.endswith("may not send")
    assert refused(relay.sends, b"x", owner=1, source="desk").value == "desk is another device's name"
    relay.sends(b"1", owner=5)
    relay.sends(b"2", owner=5, source="desk")
    relay.sends(b"3", owner=9, source="door")
    assert refused(relay.sends, b"4", owner=8, source="door").value == "door is taken"
    assert len(relay._targets["lamp"].queue) == 3


def test_numbers_begin_somewhere_and_are_never_0(relay):
    assert Relay()._number != Relay()._number
    relay._number = rules.NUMBER_MAX - 1
    numbers = [NONE]
    for number in range(3):
        relay.sends(b"%d" % number)
        numbers.append(relay.asks(after=numbers[-1]))
    assert numbers[1:] == [b"\xff\xff\xff\xff", b"\0\0\0\1", b"\0\0\0\2"]


def test_when_the_server_stops_everybody_is_told(relay):
    relay.joins(3, "bell")
    relay.asks("bell", owner=3)
    relay.sends(b"had")
    relay.sends(b"waits")
    relay.asks()
    relay.close()
    assert relay.told == {b"had": "unknown", b"waits": "not delivered"} and relay.answers[-1] is None
    assert relay.list(0.0) == []


@pytest.mark.parametrize("parse", [parse_join, parse_send, parse_receive])
def test_what_is_malformed_is_refused(parse):
    good = {
        parse_join: LIFE + bytes(4) + b"\4lamp" + b"test",
        parse_send: b"\0\1\3" + b"\4desk" + b"\4lamp" + b"text",
        parse_receive: LIFE + NONE + b"\0\1lamp",
    }[parse]
    assert "lamp" in parse(good)
    for size in range(len(good)):
        try:
            parse(good[:size])
        except Refusal as refusal:
            assert refusal.outcome.status == status.MALFORMED
    if parse is parse_join:
        for kind in (b"\n", b"x" * 65, b"\xff"):
            assert refused(parse, good + kind).status == status.MALFORMED
    for data in (None, "", 7, [], {}, True, good.decode(), list(good), b"", good[:9] + b"\xff" * 20):
        assert refused(parse, data).status == status.MALFORMED
