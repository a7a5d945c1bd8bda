"""What the benches share: servers and boards in processes of their own, and tables.

Where there are two processors, servers have the first for themselves, as a board's server has a machine of its own.
"""

import argparse
import functools
import os
import subprocess
import sys
import tempfile

from benserver import generate_new_secret
from tools import micropython
from tools.cache import say

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BENCH = os.path.join(ROOT, "bench")
LIB = os.path.join(ROOT, "lib")
HEAP = "38K"  # an ESP8266's, when its program starts


def main(arguments, name, about, make):
    """Prints the tables of the Bench that make(folder, share of the work) gives."""
    parser = argparse.ArgumentParser(prog=f"./run bench {name}", description=about.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests: to see that it works")
    parser.add_argument("table", nargs="*", help="only these, by their names")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="ben-bench-") as folder:
        bench = make(folder, 0.1 if options.quick else 1)
        try:
            tables = {table.__name__: table for table in bench.tables()}
            for each in options.table:
                if each not in tables:
                    parser.error(f"there is no table {each}, only {', '.join(tables)}")
            tables = [tables[each] for each in options.table or tables]
            for number, table in enumerate(tables, 1):
                say(f"{number} of {len(tables)}: {table.__doc__}")
                print("\n".join(as_table(table())), "\n", sep="", flush=True)
        finally:
            bench.close()
    return 0


def as_table(rows):
    """Lines of Markdown; the first row is the heading."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    rows.insert(1, ["-" * width for width in widths])
    for row in rows:
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"


def place(process, first):
    """Gives a process the first processor or the others, where there are any and the system lets us."""
    processors = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(processors) > 1:
        os.sched_setaffinity(process.pid, processors[:1] if first else processors[1:])


class Bench:
    """The servers that are measured and the boards that ask them; each table is rows of cells."""

    def __init__(self, folder, share):
        self.folder = folder
        self.share = share
        self.key = os.path.join(folder, "key.sec")
        generate_new_secret(self.key)
        self.processes = []

    def tables(self):
        """The methods that give the tables, their docstrings what these show."""
        raise NotImplementedError

    def release(self):
        """The folder of the compiled package."""
        return self._released[0]

    def sizes(self):
        """What tools/release.py says of it: a line with a number of bytes for each file, and for all."""
        return self._released[1]

    @functools.cached_property
    def _released(self):
        folder = os.path.join(self.folder, "release")
        command = [sys.executable, os.path.join(ROOT, "tools", "release.py"), folder]
        return folder, subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def serve(self, script, *arguments):
        """The port of a server in a process of its own."""
        command = [sys.executable, os.path.join(BENCH, "servers", script), *map(str, arguments)]
        process = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, text=True)
        place(process, first=True)
        self.processes.append(process)
        return int(process.stdout.readline())

    def run(self, script, *arguments, **options):
        """What a board prints."""
        printed, error = self.start(script, *arguments, **options).communicate("\n")
        if error:
            raise RuntimeError(error)
        return printed

    def start(self, script, *arguments, bits, heap="64K", lib=LIB):
        """A board's process that runs a script of ours."""
        device = os.path.join(BENCH, "device")
        command = [micropython.find(bits), "-X", f"heapsize={heap}", os.path.join(device, script)]
        process = subprocess.Popen(
            [*command, *map(str, arguments)],
            cwd=self.folder,
            env=dict(os.environ, MICROPYPATH=f"{device}:{lib}:.frozen"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        place(process, first=False)
        return process

    def close(self):
        """Ends the servers."""
        for process in self.processes:
            process.kill()
            process.wait()
