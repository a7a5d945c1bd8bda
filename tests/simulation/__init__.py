"""The link's two ends in one process and in simulated time, under every fault that its design names.

world.py      simulated time, and the record of what happened
network.py    the way between the ends: what it loses, repeats, delays, bends; the stranger who records and replays
ends.py       a board and a server that drive the real code
requests.py   what boards ask for, and what they may be told
promises.py   what has to hold, judged from outside
play.py       schedules drawn from a seed
search.py     small cases, every schedule of them
broken.py     rules broken on purpose, which both have to find
hub.py        the hub on top of the link: its schedules are in hub_schedule.py, its ends in hub_ends.py, and so on
coap.py       CoAP's two ends in the same way: coap_schedule.py, coap_ends.py, coap_path.py, and so on
stand_in.py   randomness from the seed, quick cryptography

    PYTHONPATH=lib:host:tests python -m simulation --help
"""
