"""What a board is and has."""

import gc
import os
import sys

MODULES = ("cryptolib", "socket", "network", "asyncio", "_thread", "machine")


def facts():
    """Rows of a name and a value; "free" is the memory before anything was loaded."""
    gc.collect()
    free = gc.mem_free()
    rows = [["implementation", str(sys.implementation)], ["platform", sys.platform], ["version", sys.version]]
    if hasattr(os, "uname"):
        rows.append(["uname", str(os.uname())])
    for name in MODULES:
        rows.append([name, has(name)])
    if has("machine"):
        rows.extend(of_machine())
    rows.append(["free", free])
    return rows


def has(name):
    try:
        __import__(name)
        return True
    except ImportError:
        return False


def of_machine():
    import machine

    rows = []
    if hasattr(machine, "freq"):
        rows.append(["freq", str(machine.freq())])
    # Its length only: the number itself is nobody's business.
    rows.append(["unique_id", hasattr(machine, "unique_id") and len(machine.unique_id())])
    return rows
