"""What a client's sends come to."""

from binascii import hexlify
from errno import ETIMEDOUT

from ben import BenError


def send(link, number):
    """What became of a reading: its number, or "not run", "maybe", or the server's words."""
    try:
        return link.send({"action": "reading", "data": {"number": number}})
    except BenError as error:
        return error.text
    except OSError as error:
        return error.args[1] if error.args[0] == ETIMEDOUT else str(error)


def send_and_session(link, number):
    """What became of a reading, and the session after it."""
    return send(link, number), hexlify(link.session).decode()


def echo(link, size):
    """Whether so many bytes come back as they were sent."""
    data = bytes(i & 255 for i in range(size))
    return link.send({"action": "echo", "data": data}) == data
