"""Plays the link's two ends in simulated time until a promise of the link breaks, or so many sends are over."""

import argparse
import sys
import time

from . import coap, hub, play, search
from .world import Broken


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("--hub", action="store_true", help="instead of the link alone, the hub on top of it")
    parser.add_argument("--coap", action="store_true", help="instead of the link, CoAP")
    parser.add_argument("--seed", type=int, default=0, help="the first schedule's (0); the next has the next")
    parser.add_argument(
        "--sends", type=int, default=10000, help="ends with the schedule that reaches them (10000)"
    )
    parser.add_argument("--length", type=int, help="sends of each schedule, before the last ones")
    parser.add_argument(
        "--only",
        metavar="LIST",
        help=f"of faults, with commas: {', '.join(play.FAULTS)}, or {play.NONE}; with --hub: {', '.join(hub.FAULTS)};"
        f" with --coap: {', '.join(coap.FAULTS)}",
    )
    parser.add_argument(
        "--real", action="store_true", help="with AES and HMAC instead of their quick stand-ins"
    )
    parser.add_argument(
        "--search", type=int, metavar="FAULTS", help="instead, small cases with all of up to so many"
    )
    parser.add_argument(
        "--every", type=int, default=1, help="of the search's longest schedules only each so-manieth"
    )
    parser.add_argument("--case", choices=search.CASES, help="instead, one small case")
    parser.add_argument("--faults", default="", help='in it: "crash at step 3, pass at step 5"')
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    try:
        counts = _play(options)
    except Broken as broken:
        sys.exit(str(broken))
    for kind, count in sorted(counts.items()):
        print(f"{count:9}  {kind}")
    print(f"{time.perf_counter() - began:9.1f}  seconds")


def _play(options):
    if options.case:
        search.again(options.case, options.faults)
        return {}
    if options.search is not None:
        return search.search(options.search, options.every)
    plays = hub if options.hub else coap if options.coap else play
    only = plays.FAULTS
    if options.only:
        only = tuple(fault for fault in options.only.split(",") if fault != play.NONE)
    length = plays.LENGTH if options.length is None else options.length
    return plays.run(options.seed, options.sends, only, options.real, length)


if __name__ == "__main__":
    main()
