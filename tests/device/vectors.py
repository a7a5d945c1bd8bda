# Prints "ok NAME" for each vector that holds; both runtimes run it. Argument: the folder of the vectors.
import json
import sys
from binascii import hexlify, unhexlify

from ben import crypto, keys, wire


def load(name):
    with open(sys.argv[1] + "/" + name) as f:
        return json.load(f)


def check(name, got, wanted):
    got = hexlify(got).decode()
    print("ok" if got == wanted else "wrong: %s, not %s for" % (got, wanted), name)


def with_iv(iv):
    crypto.urandom = lambda n: unhexlify(iv)


def hkdf(case, number):
    prk = crypto.hmac(unhexlify(case["salt"]), unhexlify(case["ikm"]))
    check("RFC 5869 prk %d" % number, prk, case["prk"])
    check("RFC 5869 okm %d" % number, crypto.hmac(prk, unhexlify(case["info"]), b"\x01"), case["okm"][:64])


def aead(vector):
    with_iv(vector["iv"])
    key = crypto.Key(unhexlify(vector["key"]))
    head, plain = unhexlify(vector["additional"]), unhexlify(vector["plaintext"])
    sealed = vector["additional"] + vector["iv"] + vector["ciphertext"] + vector["tag"]
    check("RFC 7518 sealed", key.seal(head, b"", plain), sealed)
    check("RFC 7518 sealed in two", key.seal(head, b"", plain[:9], plain[9:]), sealed)
    check("RFC 7518 opened", bytes(key.open(unhexlify(sealed), len(head))), vector["plaintext"])


def datagram(vector, to_server, from_server):
    wanted = unhexlify(vector["datagram"])
    plain = unhexlify(vector["plain"])
    if vector["kind"] == "request":
        key, extra = to_server, b""
        head = wire.request_head(b"\0\0\0\1", unhexlify(vector["token"]), vector["seq"])
    else:
        key, extra = from_server, unhexlify(vector["to"])[-16:]
        head = wire.reply_head(wire.REPLY if vector["kind"] == "reply" else wire.CHALLENGE, vector["seq"])
    check("ben/2 sealed " + vector["name"], key.seal(head, extra, plain), vector["datagram"])
    check("ben/2 opened " + vector["name"], bytes(key.open(wanted, len(head), extra)), vector["plain"])


def ben2(vectors):
    with_iv(vectors["iv"])
    prk = crypto.hmac(b"ben/2", unhexlify(vectors["master"]))
    device = keys.derive(prk, b"\0\0\0\1")
    check("ben/2 device file", b"ben2\0\0\0\1" + device, vectors["device_file"])
    to_server, from_server = keys.directions(device)
    for vector in vectors["datagrams"]:
        datagram(vector, to_server, from_server)


for number, case in enumerate(load("rfc5869.json")["cases"]):
    hkdf(case, number + 1)
aead(load("rfc7518-b1.json"))
ben2(load("ben2.json"))
