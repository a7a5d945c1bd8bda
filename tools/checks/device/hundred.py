"""A hundred sends: what they cost."""

import gc
from time import ticks_diff, ticks_us


def hundred(link, send):
    """The heap (free before, lowest seen, free after) and the times (how many, median and longest in us)."""
    gc.collect()
    start = gc.mem_free()
    lowest = watch(link, start)
    times = measure(link, send)
    sent, median, worst = len(times), times[len(times) // 2] if times else 0, max(times or [0])
    del times
    gc.collect()
    return (start, lowest[0], gc.mem_free()), (sent, median, worst)


def watch(link, free):
    """A list of one number: the least memory that was free before and after a datagram was awaited."""
    lowest = [free]
    recv = link._socket.recv

    def watched(ms):
        lowest[0] = min(lowest[0], gc.mem_free())
        got = recv(ms)
        lowest[0] = min(lowest[0], gc.mem_free())
        return got

    link._socket.recv = watched
    return lowest


def measure(link, send):
    """The times, in order, of the sends up to the first that had no answer."""
    times = []
    for number in range(100):
        began = ticks_us()
        if send(link, number) != number:
            break
        times.append(ticks_diff(ticks_us(), began))
    return sorted(times)
