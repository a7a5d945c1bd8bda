"""Servers for the tests: in a thread of this process, or a process of their own."""

import re
import signal
import subprocess
import sys
import threading
import time

from benserver import Server, generate_new_secret

PATIENCE = 30  # s


class Host:
    """A running Server, on UDP and TCP; what comes is counted, and what handlers were given is kept."""

    def __init__(self, key, port=0, localip="127.0.0.1", tcp=0, **options):
        if not key.exists():
            generate_new_secret(key)
        self.server = Server(localip, port, key, tcp=tcp, **options)
        self.datagrams = 0  # and messages over TCP
        self.calls = []
        self._count_datagrams()

    def _count_datagrams(self):
        opened = self.server._sessions.open  # which every one comes to, over UDP from receive()

        def counted(*arguments):
            self.datagrams += 1
            return opened(*arguments)

        self.server._sessions.open = counted

    def handle(self, name, fn, **options):
        """Adds a handler, of which every call is kept as (name, arguments)."""

        def kept(*data):
            self.calls.append((name, data))
            return fn(*data)

        self.server.add_action_handler(name, kept, **options)

    def wait_for_calls(self, count):
        """Until handlers were called so often."""
        deadline = time.monotonic() + PATIENCE
        while len(self.calls) < count:
            assert time.monotonic() < deadline, self.calls
            time.sleep(0.01)

    @property
    def port(self):
        return self.server.port

    @property
    def tcp(self):
        return self.server.tcp

    @property
    def coap(self):
        return self.server.coap

    def __enter__(self):
        self._thread = threading.Thread(target=self.server.start, daemon=True)
        self._thread.start()
        assert self.server.listening.wait(PATIENCE)
        return self

    def __exit__(self, *_):
        self.server.stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


class ServeProcess:
    """`python -m benserver serve` as a process."""

    def __init__(self, folder, *arguments, port=0):
        command = [
            sys.executable,
            "-m",
            "benserver",
            "serve",
            "--udp",
            f"127.0.0.1:{port}",
            *map(str, arguments),
        ]
        self.process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.greeting = self.process.stdout.readline()

    @property
    def port(self):
        return int(self.greeting.split()[4])

    @property
    def tcp(self):
        """Its TCP port, where it was told --tcp."""
        return self._port_for("TCP")

    @property
    def coap(self):
        """Its CoAP port, where it was told --coap."""
        return self._port_for("CoAP")

    def _port_for(self, kind):
        return int(re.search(rf"(\d+) \({kind}\)", self.greeting)[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def end(self, signal_number=signal.SIGTERM):
        """Sends a signal; returns the exit status and the rest of what it printed."""
        self.process.send_signal(signal_number)
        rest = self.process.communicate(timeout=PATIENCE)[0]
        return self.process.returncode, rest
