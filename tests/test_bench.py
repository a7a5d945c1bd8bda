"""The benches run and print what they promise; their figures are for people, and no test's."""

import re
import subprocess

from board import ROOT

PATIENCE = 300  # s


def test_the_tables_of_the_link():
    done = subprocess.run(
        [ROOT / "run", "bench", "link", "--quick"],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    headings = re.findall(r"^\| (.*?) +\|.*\n\| ---", done.stdout, re.MULTILINE)
    assert len(headings) == 7 and len(re.findall("^ben: [1-7] of 7: ", done.stderr, re.MULTILINE)) == 7
    rows = dict(re.findall(r"^\| (.*?) +\| (.*?) +\|", done.stdout, re.MULTILINE))
    assert (rows["the first of a board"], rows["every other"]) == ("4", "2"), "datagrams"
    assert all(float(rows[name]) > 0 for name in ("8", "200", "all of ben-udp.json")), rows


def test_a_bench_that_is_none_is_refused():
    done = subprocess.run([ROOT / "run", "bench", "nosuch"], check=False, capture_output=True, text=True)
    assert done.returncode == 2 and "./run bench link" in done.stderr
