#!/usr/bin/env python3
"""Measure what the tests reach of lib/ben on MicroPython: every statement, and both ways of every if, while and for.

    ./run coverage [pytest arguments]

The tests run on a copy of lib/ in which each statement first notes that it was reached. So it needs no interpreter
of its own, and what a killed board had reached counts, too. (Not by sys.settrace: MicroPython gives the code that
leaves a loop, an `if` or a function the number of the last line inside, and so names lines that never ran.)
What is inside of one statement, such as an `and`, is not told apart. Heap figures mean nothing in the copy, so
tests/test_memory.py is left out.
"""

import argparse
import ast
import glob
import itertools
import os
import signal
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[0] = ROOT  # not this folder: see tools/demo.py

from tools.cache import run_script, say  # noqa: E402

RUNTIME = "micropython-64"
NOT_FOR_BOARDS = "cpython.py"
MARK = "_reached"

# Written as it comes, for a board may be killed. Unbuffered; MicroPython's files are so by themselves.
NOTES = """
from binascii import hexlify
from os import urandom

_file = open("%s/" + hexlify(urandom(8)).decode() + ".reached", "wb", 0)
_seen = bytearray(%d)


def _reached(number):
    if not _seen[number]:
        _seen[number] = 1
        _file.write(b"%%d\\n" %% number)
"""


class Place:
    """Something that can be reached: a statement, or one way of the condition in a line.

    told: a way whose first statement is a place, too, and speaks for it.
    """

    def __init__(self, path, line, way="", told=False):
        self.path = path
        self.line = line
        self.way = way
        self.told = told


class Marked:
    """A copy of lib/ in FOLDER/lib whose statements note in FOLDER that they were reached."""

    def __init__(self, lib, folder):
        self.lib = lib
        self.folder = folder
        self.copy = os.path.join(folder, "lib")
        self.places = []
        for path in sorted(glob.glob(glob.escape(lib) + "/**/*.py", recursive=True)):
            self._mark_file(os.path.relpath(path, lib))
        with open(os.path.join(self.copy, "ben_notes.py"), "w") as file:
            file.write(NOTES % (folder, len(self.places)))

    def _mark_file(self, path):
        with open(os.path.join(self.lib, path)) as file:
            tree = ast.parse(file.read())
        if os.path.basename(path) != NOT_FOR_BOARDS:
            self._mark_bodies(tree, path)
            start = 1 if ast.get_docstring(tree, clean=False) is not None else 0
            tree.body[start:start] = ast.parse(f"from ben_notes import {MARK}").body
        copy = os.path.join(self.copy, path)
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        with open(copy, "w") as file:
            file.write(ast.unparse(tree) + "\n")

    def _mark_bodies(self, node, path):
        for child in ast.iter_child_nodes(node):
            self._mark_bodies(child, path)
        for name in ("body", "orelse", "finalbody"):
            body = getattr(node, name, None)
            if isinstance(body, list):  # that of a lambda or a condition inside a line is none
                setattr(node, name, [each for one in body for each in self._marked(one, path)])
        if isinstance(node, (ast.If, ast.While, ast.For, ast.AsyncFor)) and not endless(node):
            node.body.insert(0, self._note(Place(path, node.lineno, "true", told=True)))
            node.orelse.insert(0, self._note(Place(path, node.lineno, "false", told=bool(node.orelse))))

    def _marked(self, statement, path):
        if declares(statement):
            return [statement]
        return [self._note(Place(path, statement.lineno)), statement]

    def _note(self, place):
        self.places.append(place)
        return ast.parse(f"{MARK}({len(self.places) - 1})").body[0]

    def reached(self):
        """The places that any process reached."""
        numbers = set()
        for path in glob.glob(glob.escape(self.folder) + "/*.reached"):
            with open(path) as file:
                # A process that was killed within a line left the last one without its end.
                numbers.update(int(line) for line in file if line.endswith("\n"))
        return {self.places[number] for number in numbers}


def endless(node):
    """True for `while True`, which has one way only."""
    return isinstance(node, ast.While) and isinstance(node.test, ast.Constant)


def declares(statement):
    """True for what is no code: a docstring, `global`."""
    text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return text or isinstance(statement, (ast.Global, ast.Nonlocal))


# --- the report ---


def table(marked):
    """Lines of text: for each module how much was reached."""
    reached = marked.reached()
    rows = [("", "statements", "ways of conditions")]
    for path in dict.fromkeys(place.path for place in marked.places):
        rows.append((path, *counts([place for place in marked.places if place.path == path], reached)))
    rows.append(("all", *counts(marked.places, reached)))
    return ["{:<20} {:>14} {:>20}".format(*row) for row in rows]


def counts(places, reached):
    for conditions in (False, True):
        some = [place for place in places if bool(place.way) == conditions]
        yield f"{len(reached.intersection(some))} of {len(some)}"


def missing(marked):
    """A line of text for each run of statements, and each way of a condition, that nothing reached."""
    reached = marked.reached()
    places = sorted(marked.places, key=lambda place: (place.path, place.line))
    statements = [place for place in places if not place.way]
    left = []
    for path_and_reached, run in itertools.groupby(statements, lambda each: (each.path, each in reached)):
        if not path_and_reached[1]:
            first, *rest = run
            left.append((first, rest[-1].line if rest else first.line))
    known = {(place.path, place.line) for place in statements if place in reached}
    for place in places:
        if place.way and not place.told and place not in reached and (place.path, place.line) in known:
            left.append((place, place.line))
    return [
        describe(marked.lib, *each) for each in sorted(left, key=lambda each: (each[0].path, each[0].line))
    ]


def describe(lib, place, last):
    """path:line, or path:first-last, and the first line's source."""
    with open(os.path.join(lib, place.path)) as file:
        source = file.read().splitlines()[place.line - 1].strip()
    lines = f"{place.line}-{last}" if last > place.line else f"{place.line}"
    more = f"  (never {place.way})" if place.way else " ..." if last > place.line else ""
    return f"{place.path}:{lines}  {source}{more}"


def main(arguments):
    options, rest = parser().parse_known_args(arguments)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that pytest is stopped, too
    with tempfile.TemporaryDirectory(prefix="ben-coverage-") as folder:
        marked = Marked(os.path.join(ROOT, "lib"), folder)
        say(f"running the tests of {RUNTIME} on a copy of lib/ with {len(marked.places)} marks ...")
        status = run_tests(marked.copy, options.k, rest)
        print("\n".join(table(marked)))
        print("\n  ".join(["\nnot reached:", *missing(marked)]))
    return status


def parser():
    parser = argparse.ArgumentParser(
        prog="./run coverage", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-k", metavar="EXPRESSION", help="pytest's: of the tests, only those that match")
    return parser


def run_tests(lib, expression, arguments):
    """pytest's status."""
    chosen = f"{RUNTIME} and ({expression})" if expression else RUNTIME
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", chosen, "--ignore", "tests/test_memory.py", *arguments],
        check=False,
        cwd=ROOT,
        env=dict(os.environ, BEN_LIB=lib),
        stdout=sys.stderr,
    ).returncode


if __name__ == "__main__":
    run_script(main, sys.argv[1:])
