"""The parts of tools/board_check.py, in the order in which they meet a board.

visit.py      what happens, from the first question to the restart at the end
board.py      a board as mpremote reaches it: it runs source and tells what came of it
wifi.py       the network, so that the board finds this machine
install.py    ben and its keys, copied to the board
station.py    the server here, which can stop, come back and lose datagrams
checks.py     the checks
verdicts.py   what may come of each, and the report's lines
device/       what the board runs, a file for each step
"""
