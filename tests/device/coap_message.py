# The codec of CoAP against vectors, and against itself, on any runtime; prints what is wrong.
import json
import sys

from ben.coap.handling import code_of
from ben.coap.message import Message, decode


def unhex(text):
    return bytes([int(text[i : i + 2], 16) for i in range(0, len(text), 2)])


def shown(message):
    return (
        message.type,
        message.status,
        message.id,
        bytes(message.token),
        message.options,
        bytes(message.payload),
    )


def check(name, got, wanted):
    if got != wanted:
        print(name, got, wanted)


def vectors(path):
    with open(path) as file:
        found = json.load(file)["messages"]
    for each in found:
        message = Message(
            code_of(each["code"]), unhex(each["payload"]), each["type"], each["id"], unhex(each["token"])
        )
        for number, value in each["options"]:
            message.add(number, unhex(value))
        datagram = unhex(each["datagram"])
        check(each["name"], bytes(message.encode()), datagram)
        check(each["name"], shown(decode(datagram)), shown(message))
    return len(found)


def options():
    # Put in any order they leave in that of their numbers, and those of one number as they were put.
    numbers = (0, 1, 12, 13, 14, 268, 269, 270, 281, 282, 12000, 65535)
    for shift in range(len(numbers)):
        message = Message(1, b"", 0, 7, b"12345678")
        for i in range(len(numbers)):
            message.add(numbers[(5 * i + shift) % len(numbers)], b"")
        message.add(13, b"second")
        check("order", [number for number, _ in message.options], sorted(list(numbers) + [13]))
        check("same number", [value for number, value in message.options if number == 13], [b"", b"second"])
        check("numbers", shown(decode(bytes(message.encode()))), shown(message))
    for length in (0, 1, 12, 13, 14, 15, 268, 269, 270, 500, 1000):
        message = Message(2, b"x", 1, 65535, b"")
        message.add(11, bytes(length))
        message.add(12, length)
        check(length, shown(decode(bytes(message.encode()))), shown(message))
    for number, value in ((0, b""), (1, b"\x01"), (255, b"\xff"), (256, b"\1\0"), (1 << 31, b"\x80\0\0\0")):
        message = Message()
        message.add(6, number)
        check(
            number,
            (message.get(6), message.uint(6), message.get(7), message.uint(7)),
            (value, number, None, None),
        )


def refused():
    # What is no message, each one byte from one that is.
    many = "40010000" + "10" * 64
    for name, text in (
        ("three bytes", "400100"),
        ("version 0", "00010000"),
        ("version 2", "80010000"),
        ("a token of 9", "49010000" + "00" * 9),
        ("a token that is cut", "4401000000"),
        ("an empty message that is none", "4000000000"),
        ("a marker without a payload", "40010000ff"),
        ("length 15", "400100000f"),
        ("delta 15", "40010000f0"),
        ("an option that is cut", "4001000012ff"),
        ("a delta that is cut", "40010000d0"),
        ("a long delta that is cut", "40010000e000"),
        ("a length that is cut", "400100000d"),
        ("a long length that is cut", "400100000eff"),
        ("a number over 65535", "40010000e0fef310"),
        ("65 options", many + "10"),
        ("1153 bytes", "40010000ff" + "00" * 1148),
    ):
        try:
            decode(unhex(text))
            print(name, "is a message")
        except ValueError:
            pass
    check("64 options", len(decode(unhex(many)).options), 64)
    check("1152 bytes", len(decode(unhex("40010000ff" + "00" * 1147)).payload), 1147)
    check("more where asked for", len(decode(unhex("40010000ff" + "00" * 2000), 4096).payload), 2000)


count = vectors(sys.argv[1])
options()
refused()
print(count, "vectors")
