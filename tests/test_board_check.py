"""tools/board_check.py against a simulated board, through the real mpremote."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from board import ROOT
from test_package import serial_board

PATIENCE = 300  # s: each is a quarter of a minute, most of it waiting
CHECKS = [
    "Wi-Fi",
    "copied to the board",
    "ten readings",
    "a long message both ways",
    "two of five datagrams lost",
    "the server restarts, stops and comes back",
    "a wrong key",
    "a session handed over, as before and after deep sleep",
    "a hundred sends",
    "a hundred sends",
    "the asyncio client",
    "os.urandom, also after a reset",
    "the board's files",
]

# What a board's boot.py may find: each stands in for a module, which the simulated board lacks or has in order.
WIFI = """
import sys
class WLAN:
    joined = False
    def __init__(self, which):
        pass
    def active(self, on):
        pass
    def connect(self, ssid, password):
        if (ssid, password) != ("my 'network'", "its password"):
            raise OSError("Wifi Internal Error")
        WLAN.joined = True
    def isconnected(self):
        return WLAN.joined
    def ifconfig(self):
        return ("127.0.0.1", "255.0.0.0", "", "")
class Network:
    STA_IF = 0
    WLAN = WLAN
sys.modules["network"] = Network
"""
SAME_NUMBERS = """
import os as real, sys, time
class Os:
    count = 0
    def urandom(n):
        Os.count += 1
        return (b"%08d" % Os.count * n)[:n]
for name in dir(real):
    if name != "urandom":
        setattr(Os, name, getattr(real, name))
sys.modules["os"] = Os
open("/boot%d" % time.ticks_us(), "w").close()
"""
NO_WAY = """
import sys, socket
class Socket:
    AF_INET, SOCK_DGRAM = socket.AF_INET, socket.SOCK_DGRAM
    socket = socket.socket
    def getaddrinfo(host, port):
        return socket.getaddrinfo("127.0.0.1", 9)
sys.modules["socket"] = Socket
"""


def start(*arguments):
    command = [sys.executable, ROOT / "tools" / "board_check.py", *arguments]
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def check(folder, boot, *arguments):
    """(exit status, the report's lines, errors, the files on the board then) of a board with this boot.py."""
    with serial_board(folder) as port:
        (folder / "boot.py").write_text(boot)
        (folder / "ben-check" / "ben").mkdir(parents=True)  # as one left that was broken off
        (folder / "ben-check" / "ben" / "old.py").write_text("")
        process = start("--port", port, *arguments)
        output, errors = process.communicate(timeout=PATIENCE)
    files = sorted(path.name for path in folder.rglob("*"))
    return process.returncode, output.splitlines(), errors, files


def verdicts(lines):
    return [(line[:8].strip(), line[8:].split(":")[0]) for line in lines if line[:2] in ("ok", "fa", "sk")]


@pytest.mark.parametrize("kind", ["source", "compiled"])
def test_all_is_well(kind, tmp_path):
    config = tmp_path / "config.py"
    config.write_text('WIFI_SSID = "my \'network\'"\nWIFI_PASSWORD = "its password"\nPORT = 1 + 1\n')
    wifi = kind == "source"
    options = ["--wifi-from", config] if wifi else ["--compiled"]
    status, lines, errors, files = check(tmp_path / "board", WIFI if wifi else "", *options)
    assert (status, errors) == (0, ""), lines
    assert verdicts(lines) == [
        ("skipped" if name == "Wi-Fi" and not wifi else "ok", name) for name in CHECKS
    ], lines
    assert files == ["boot.py", "lib"]
    assert re.search("12 of 12, each once, ([6-9]|[1-9][0-9]+) datagrams lost", "".join(lines))
    assert "its password" not in "".join(lines), "the report is for everybody"


def test_what_is_wrong_is_told(tmp_path):
    status, lines, errors, files = check(tmp_path, SAME_NUMBERS, "--only", "urandom")
    assert status == 1, errors
    assert verdicts(lines)[2:] == [("failed", CHECKS[-2]), ("failed", CHECKS[-1])], lines
    assert "numbers come again" in "".join(lines)
    assert "ben-check" not in files


def test_what_is_in_the_way_is_told_in_a_line(tmp_path):
    (tmp_path / "config.py").write_text('WIFI_SSID = "other"\nWIFI_PASSWORD = "secret"\n')
    (tmp_path / "empty.py").write_text("")
    config = ["--wifi-from", tmp_path / "config.py"]
    cases = {
        "no names": (WIFI, [], "name a file with its name and password in --wifi-from"),
        "wrong names": (WIFI, config, "cannot join Wi-Fi: Wifi Internal Error"),
        "no such address": ("", ["--address", "192.0.2.1"], "no server can listen on 192.0.2.1 port 0"),
        "firewall": (NO_WAY, [], "did not arrive (not run). Is UDP port"),
        "no config": ("", ["--wifi-from", tmp_path / "empty.py"], "does not tell WIFI_SSID"),
        "no such check": ("", ["--only", "nosuch"], "no check has 'nosuch' in its name: ten readings; "),
        "no board": (
            "",
            ["--port", tmp_path / "no port"],
            "there is no MicroPython board to talk to: mpremote",
        ),
    }
    with ThreadPoolExecutor(len(cases)) as pool:
        results = pool.map(lambda name: check(tmp_path / name, cases[name][0], *cases[name][1]), cases)
    for (name, (_, _, told)), (status, _, errors, files) in zip(cases.items(), results):
        assert status == 2 and told in errors and len(errors.splitlines()) == 1, (name, errors)
        if name not in ("no board", "no config", "no such check"):  # these were not looked at
            assert "ben-check" not in files, name


def test_a_check_that_is_stopped_tidies_up(tmp_path):
    with serial_board(tmp_path) as port:
        process = start("--port", port)
        for line in process.stdout:
            if "two of five" in line:  # next it waits for a while
                assert (tmp_path / "ben-check" / "key.sec").exists()
                process.terminate()
                break
        output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + 15, output + errors
    assert not (tmp_path / "ben-check").exists()
    assert "Traceback" not in errors


def test_a_port_that_is_none_is_refused():
    process = start("--udp-port", "65536")
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2 and "--udp-port" in errors and "Traceback" not in errors


def test_help_is_there_without_anything_else():
    process = start("--help")
    output, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (0, "")
    for word in ("--port", "--wifi-from", "--compiled", "Exit status", "ESP8266"):
        assert word in output
