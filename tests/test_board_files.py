"""boot.py and main.py, which a user copies: on a board whose network and sensor are made here."""

import queue
import shutil
from pathlib import Path

import pytest

from board import ROOT

PATIENCE = 30  # s

FAKE_NETWORK = """
STA_IF = 0
STAT_IDLE, STAT_WRONG_PASSWORD, STAT_GOT_IP = 0, 2, 5
calls = []

class WLAN:
    joined_after = None
    def __init__(self, interface):
        self.asked = 0
    def active(self, on):
        calls.append("active")
    def connect(self, ssid, password):
        calls.append(("connect", ssid, password))
        if ssid == "internal error":
            raise OSError("Wifi Internal Error")
    def isconnected(self):
        self.asked += 1
        return self.joined_after is not None and self.asked > self.joined_after
    def status(self):
        return STAT_WRONG_PASSWORD
"""
CONFIG = 'WIFI_SSID = "home"\nWIFI_PASSWORD = "secret"\nSERVER = "127.0.0.1"\nPORT = %d\nINTERVAL = 0.05\n'


@pytest.fixture
def equipped(micropython_board):
    for name in ("boot.py", "main.py"):
        shutil.copy(ROOT / name, micropython_board.folder)
    (micropython_board.folder / "config.py").write_text(CONFIG % 9)
    return micropython_board


def test_boot_does_nothing_without_a_network_module(equipped):
    (equipped.folder / "config.py").unlink()
    assert equipped.run(Path("boot.py")) == ""


@pytest.mark.parametrize("after", [0, 2])
def test_boot_joins(equipped, after):
    (equipped.folder / "network.py").write_text(FAKE_NETWORK)
    with open(equipped.folder / "boot.py", "a") as boot:  # run as a board runs it
        boot.write("import network\nprint(network.calls)\n")
    with open(equipped.folder / "network.py", "a") as network:
        network.write(f"WLAN.joined_after = {after}\n")
    out = equipped.run(Path("boot.py"))
    joined = ["active"] + [("connect", "home", "secret")] * bool(after)
    assert eval(out) == joined
    assert equipped.run("import boot") == "[]\n", "not again when main.py imports it"


def test_boot_leaves_a_board_without_wifi_alone(equipped):
    (equipped.folder / "network.py").write_text("")
    assert equipped.run("import boot\nboot.join()") == ""


def test_boot_goes_on_with_a_reason(equipped):
    (equipped.folder / "network.py").write_text(FAKE_NETWORK)
    # a clock on which every look takes a second
    clock = "import sys\nclass time:\n    now = 0\n    ticks_diff = staticmethod(lambda a, b: a - b)\n" + (
        "    sleep_ms = staticmethod(lambda ms: None)\n    def ticks_ms():\n        time.now += 1000\n        return time.now\n"
    )
    script = clock + "sys.modules['time'] = time\nimport boot\nboot.join()\nprint(time.now)"
    assert equipped.run(script).splitlines() == ["no Wi-Fi: STAT_WRONG_PASSWORD", "21000"]


def test_boot_survives_a_radio_that_refuses(equipped):
    (equipped.folder / "network.py").write_text(FAKE_NETWORK)
    (equipped.folder / "config.py").write_text('WIFI_SSID = "internal error"\nWIFI_PASSWORD = ""\n')
    assert equipped.run("import boot\nboot.join()") == "no Wi-Fi: Wifi Internal Error\n"


FAKE_DHT = """
class DHT11:
    measured = 0
    def __init__(self, pin):
        self.pin = pin
    def measure(self):
        DHT11.measured += 1
        if DHT11.measured % 3 == 1:
            raise OSError("no answer from the sensor")
        if DHT11.measured % 3 == 2:
            raise Exception("checksum error")
    def temperature(self):
        return self.pin.number
    def humidity(self):
        return 40
"""
FAKE_MACHINE = """
class Pin:
    def __init__(self, number):
        self.number = number
"""
# sys.path, for the unix port has a machine module of its own, and stops: main.py never does
MAIN = "import sys\nsys.path.insert(0, '.')\nimport machine\nimport main\n"


def readings_of(equipped, host, script, count):
    """What a server gets from main.py, and what main.py prints."""
    (equipped.folder / "config.py").write_text(CONFIG % host.port)
    readings = queue.Queue()
    host.server.add_action_handler("dht", readings.put)
    process = equipped.start(script)
    try:
        return [readings.get(timeout=PATIENCE) for _ in range(count)], process.stdout.readline()
    finally:
        process.kill()
        process.communicate()


def test_main_sends_what_the_sensor_says_and_skips_its_faults(equipped, host):
    (equipped.folder / "dht.py").write_text(FAKE_DHT)
    (equipped.folder / "machine.py").write_text(FAKE_MACHINE)
    readings, line = readings_of(equipped, host, MAIN, 3)
    assert readings == [{"temperature": 14, "humidity": 40}] * 3
    assert line == "the sensor fails: no answer from the sensor\n"


def test_main_simulates_a_sensor_where_there_is_none_and_says_so(equipped, host):
    readings, line = readings_of(equipped, host, "import main", 2)
    assert all(20 <= reading["temperature"] < 23 for reading in readings)
    assert line == "no DHT sensor here: these readings are simulated\n"


def test_main_joins_wifi_again_when_no_answer_comes(equipped):
    (equipped.folder / "network.py").write_text(FAKE_NETWORK)
    script = (
        "import network\nnetwork.WLAN.joined_after = 1\nimport ben\nclient = ben.client\n"
        "ben.client = lambda host, port: client(host, port, timeout=0.1)\nimport main"
    )
    (equipped.folder / "key.sec").write_bytes(bytes(32))
    (equipped.folder / "boot.py").write_text((ROOT / "boot.py").read_text() + "_join = join\n"
                                             "def join():\n    print('joining')\n    _join()\n")  # fmt: skip
    process = equipped.start(script)
    try:
        lines = [process.stdout.readline() for _ in range(5)]
    finally:
        process.kill()
        process.communicate()
    assert "joining\n" in lines and any(line.endswith("not run\n") for line in lines), lines


def test_the_example_configuration_is_whole(equipped):
    shutil.copy(ROOT / "config.example.py", equipped.folder / "config.py")
    out = equipped.run(
        "from config import WIFI_SSID, WIFI_PASSWORD, SERVER, PORT, INTERVAL\nprint(PORT, INTERVAL)"
    )
    assert out == "8585 60\n"
