# Prints for each round the microseconds of a bare echo and of a send(): ports of both, rounds, count of each in one.
import sys
from time import ticks_diff, ticks_us

from bare import connect
from reading import READING

from ben import client

ben, echo, rounds, count = [int(word) for word in sys.argv[1:]]
link = client("127.0.0.1", ben, timeout=60)
echo = connect(echo)


def send(count):
    for _ in range(count):
        link.send(READING)


def timed(what):
    began = ticks_us()
    what(count)
    return ticks_diff(ticks_us(), began) / count


send(10)
echo(10)
for _ in range(rounds):
    print(timed(echo), timed(send))
