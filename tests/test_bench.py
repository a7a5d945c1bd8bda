"""The benches run and print what they promise; their figures are for people, and no test's."""

import re
import subprocess

import pytest

from board import ROOT

PATIENCE = 300  # s


def rows_of(name, tables, *chosen):
    """{first cell: second} of everything that a bench prints, which has so many tables, or of those chosen."""
    done = subprocess.run(
        [ROOT / "run", "bench", name, "--quick", *chosen],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    headings = re.findall(r"^\| (.*?) +\|.*\n\| ---", done.stdout, re.MULTILINE)
    assert len(headings) == tables
    assert len(re.findall(rf"^ben: \d of {tables}: ", done.stderr, re.MULTILINE)) == tables
    return dict(re.findall(r"^\| (.*?) +\| (.*?) +\|", done.stdout, re.MULTILINE))


def test_the_tables_of_the_link():
    rows = rows_of("link", 7)
    assert (rows["the first of a board"], rows["every other"]) == ("4", "2"), "datagrams"
    assert all(float(rows[name]) > 0 for name in ("8", "200", "all of ben-udp.json")), rows


def test_one_table_alone():
    rows = rows_of("link", 1, "flash")
    assert 0 < int(rows["all of ben-udp.json"]) < int(rows["all of package.json"])


def test_the_tables_of_the_hub():
    rows = rows_of("hub", 4)
    assert all(float(rows[name]) > 0 for name in ("directly", "8", "blocking, .py")), rows
    assert float(rows["both 25 ms from the server"]) > 45000, "half of one way there, and half of another"


def test_the_small_tables_of_coap():
    rows = rows_of("coap", 4, "codec", "wire", "heap", "flash")
    assert rows["32 bits; aiocoap"] == "20", "head 4, token 4, path 12"
    assert all(float(rows[name]) > 0 for name in ("67, 32 bits", "client, blocking, .mpy", "all of it")), rows


@pytest.mark.soak
def test_the_tables_of_coap():
    rows = rows_of("coap", 9)
    of_each = "67, 64 bits", "32 bits, asyncio; libcoap", "libcoap", "a client, one GET", "all of it"
    assert all(float(rows[name]) > 0 for name in of_each), rows
    assert sum(name.startswith("a server, 32 bits") for name in rows) == 2


def test_a_table_that_is_none_is_refused():
    command = [ROOT / "run", "bench", "coap", "nosuch"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2 and "only codec, client, server" in done.stderr


def test_a_bench_that_is_none_is_refused():
    done = subprocess.run([ROOT / "run", "bench", "nosuch"], check=False, capture_output=True, text=True)
    assert done.returncode == 2 and "./run bench coap | hub | link" in done.stderr
