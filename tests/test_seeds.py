"""The usage examples of BenCommunication's two texts, as its users have them.

Mended are only the import lines that never worked: two of the client's, one of the server's.
"""

import queue
import socket
import subprocess
import sys
import time
from pathlib import Path

from peers import free_port

SEEDS = Path(__file__).parent / "seeds"
PATIENCE = 30  # s

FAKE_DHT = """
class DHT11:
    def __init__(self, pin):
        self.pin = pin
    def measure(self):
        self.measured = 21, 40
    def temperature(self):
        return self.measured[0]
    def humidity(self):
        return self.measured[1]
"""
FAKE_MACHINE = """
class Pin:
    def __init__(self, number):
        self.number = number
"""


def example(name, host, port):
    text = (SEEDS / name).read_text()
    return text.replace('"192.168.1.2",8585', f'"{host}",{port}').replace(
        '"0.0.0.0",8585', f'"{host}",{port}'
    )


def test_the_clients_example(micropython_board, host):
    board = micropython_board
    (board.folder / "dht.py").write_text(FAKE_DHT)
    (board.folder / "machine.py").write_text(FAKE_MACHINE)
    readings = queue.Queue()
    host.server.add_action_handler("dhtsensor", readings.put)
    # The port has a machine module of its own, and looks there first unless the file is loaded before.
    script = "import sys\nsys.path.insert(0, '.')\n" + example(
        "bencommunication_client.py", "127.0.0.1", host.port
    )
    process = board.start(script)
    try:
        assert readings.get(timeout=PATIENCE) == {"temperature": 21, "humidity": 40}
        assert process.poll() is None, "it sleeps for a minute"
    finally:
        process.kill()
        process.communicate()


def test_the_servers_example(board, in_folder):
    port = free_port()
    subprocess.run([sys.executable, str(SEEDS / "bencommunication_setup.py")], check=True, timeout=PATIENCE)
    server = subprocess.Popen(
        [sys.executable, "-c", example("bencommunication_server.py", "127.0.0.1", port)]
    )
    try:
        wait_for(port)
        script = (
            "from benclient import client\n"
            f"obj = client('127.0.0.1', {port}, 20, 'key.sec', 4096)\n"
            "print(obj.send({'action': 'echo', 'data': 'hello'}), obj.send({'action': 'echo', 'data': 'x'}, True))"
        )
        assert board.run(script).split() == ["hello", "{}"]
    finally:
        server.terminate()
        assert server.wait(PATIENCE) == 0


def wait_for(port):
    """Until somebody listens there: until then what is sent there is refused."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("127.0.0.1", port))
        probe.settimeout(0.2)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                probe.send(b"")
                probe.recv(1)
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, "nobody listens"
                time.sleep(0.02)
            except socket.timeout:  # nobody answers, and nobody refuses
                return
