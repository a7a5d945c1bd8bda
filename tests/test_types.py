"""The stubs in typings/ben are what the code is, and the code keeps to what each port of MicroPython has."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from board import ROOT
from tools import environment

LIB = ROOT / "lib"
STUBS = ROOT / "typings"
PORTS = ("esp8266", "esp32", "rp2", "unix")
PATIENCE = 300  # s for one tool: far more than any takes
MODULES = sorted((LIB / "ben").glob("*.py"))


def run(*arguments, **variables):
    return subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        check=False,
        cwd=ROOT,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


# --- the stubs and the code ---


def test_stubs_agree_with_the_code():
    done = run("mypy.stubtest", "ben", MYPYPATH=str(STUBS), PYTHONPATH=str(LIB))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_has_a_stub_and_every_stub_a_module():
    assert [path.stem for path in MODULES] == sorted(path.stem for path in STUBS.rglob("*.pyi"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_public_name_has_a_docstring_in_its_stub(path):
    texts = docstrings(path.stem)
    names = ["", *public(ast.parse(path.read_text()))]
    assert len(names) > 1  # or the next line has nothing to say
    assert [name for name in names if not texts.get(name)] == []


def public(tree, within=""):
    """The names that a module defines for others: functions, classes, constants, and what these have."""
    for node in ast.walk(tree) if within else outside_of_functions(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            if node is tree or node.name.startswith("_") and node.name != "__init__":
                continue
            yield within + node.name
            if isinstance(node, ast.ClassDef):
                yield from public(node, node.name + ".")
        for target in node.targets if isinstance(node, ast.Assign) else ():
            yield from assigned(target, within)


def outside_of_functions(tree):
    """The statements of a module, also those in a try or an if."""
    for node in tree.body:
        yield node
        if isinstance(node, (ast.Try, ast.If)):
            yield from outside_of_functions(node)


def assigned(target, within):
    if isinstance(target, ast.Tuple):
        for each in target.elts:
            yield from assigned(each, within)
    elif within and isinstance(target, ast.Attribute) and getattr(target.value, "id", "") == "self":
        if not target.attr.startswith("_"):
            yield within + target.attr
    elif not within and isinstance(target, ast.Name) and re.match(r"[^_]|__version__", target.id):
        yield target.id


def docstrings(module):
    """{name: docstring} of a stub; "" is the module itself. What it takes from another stub has the text there."""
    tree = ast.parse((STUBS / "ben" / f"{module}.pyi").read_text())
    texts = {"": ast.get_docstring(tree), **dict(documented(tree, ""))}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level:
            for alias in node.names:
                if alias.asname == alias.name:
                    there = docstrings(node.module or alias.name)
                    texts[alias.name] = there.get(alias.name if node.module else "")
    return texts


def documented(tree, within):
    for node, after in zip(tree.body, [*tree.body[1:], None]):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield within + node.name, ast.get_docstring(node)
            if isinstance(node, ast.ClassDef):
                yield from documented(node, node.name + ".")
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            [target] = node.targets if isinstance(node, ast.Assign) else [node.target]
            is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            yield within + target.id, after.value.value if is_text else None


def test_names_that_the_package_loads_late_are_in_its_stub():
    [home] = re.findall(r"^_HOME = (\{.*?\})$", (LIB / "ben" / "__init__.py").read_text(), re.M | re.DOTALL)
    texts = docstrings("__init__")
    for name in re.findall(r'"(\w+)":', home):
        assert texts.get(name), name


@pytest.mark.parametrize("module", ["udp", "aio"])
def test_client_spells_out_what_it_hands_on(module):
    """Its code says *args and **kwargs, of which stubtest knows nothing; all its arguments have a text."""
    client, exchange = (init(STUBS / "ben" / f"{name}.pyi") for name in (module, "exchange"))
    own, handed_on = client.args.args[:3], client.args.args[3:]
    assert [argument.arg for argument in own] == ["self", "host", "port"]
    told = re.findall(r"^(\w+): ", ast.get_docstring(client), re.MULTILINE)
    assert told == [argument.arg for argument in [*own[1:], *handed_on, *client.args.kwonlyargs]]
    client.args.args = [own[0], *handed_on]
    tcp, default = client.args.kwonlyargs.pop(), client.args.kw_defaults.pop()  # the one that it takes out
    assert (tcp.arg, tcp.annotation.id, default.value) == ("tcp", "bool", False)
    assert ast.dump(client.args) == ast.dump(exchange.args)


def test_both_clients_have_one_text_for_one_argument():
    texts = [ast.get_docstring(init(STUBS / "ben" / f"{name}.pyi")) for name in ("udp", "aio")]
    assert texts[0] == texts[1]


def init(path):
    [function] = [
        node for node in ast.walk(ast.parse(path.read_text())) if getattr(node, "name", "") == "__init__"
    ]
    return function


# What a maker writes. mypy is to object to the lines marked "wrong", and to no others.
USE = """
from pathlib import Path
from ben import BenError, Client, aio, client
from ben.udp import Client as Same

link: Client = client("192.168.1.2", 8585, timeout=2.5, keyfile=Path("key.sec"), device=7)
reading = {"temperature": 21.5}
words: list[str] = []
link.send({"action": "dht"}, noreturn=True)
link.send({"action": "dht", "data": {"temperature": 21.5, "tags": ("a", None, [True])}})["no"]["matter"]
link.send({"action": "dht", "data": reading})
link.send({"action": "dht", "data": words})
link.send({"action": "dht", "data": memoryview(b"")})
Same("192.168.1.2", 8585, 10, "key.sec", 2048, session=link.session, chunk=64, tcp=True).close()

async def send(link: aio.Client) -> int:
    try:
        await link.send({"action": "dht"})
    except BenError as error:
        return error.status
    return error.text  # wrong
client("192.168.1.2")  # wrong
client("192.168.1.2", "8585")  # wrong
client("192.168.1.2", 8585, 10, "key.sec", 4096, 7)  # wrong
client("192.168.1.2", 8585, chunks=64)  # wrong
aio.client("192.168.1.2", 8585, device="one")  # wrong
aio.client("192.168.1.2", 8585, tcp=8585)  # wrong
client("192.168.1.2", 8585, 10, "key.sec", 4096, True)  # wrong
link.send("dht")  # wrong
link.send({"action": "dht", "date": 1})  # wrong
link.send({"action": "dht", "data": {1: 2}})  # wrong
link.send({"action": "dht", "data": {"when": object()}})  # wrong
link.session = bytes(10)  # wrong
link.device  # wrong
"""


def test_makers_program_is_checked(tmp_path):
    (tmp_path / "use.py").write_text(USE)
    done = run(
        "mypy", "--strict", "--cache-dir", tmp_path / "cache", "--config-file", os.devnull, tmp_path / "use.py",
        MYPYPATH=str(STUBS),
    )  # fmt: skip
    found = {int(line) for line in re.findall(r"use\.py:(\d+): error", done.stdout)}
    assert found == marked(USE, "wrong"), done.stdout + done.stderr


def marked(text, word):
    """The numbers of the lines whose comment has the word."""
    lines = enumerate(text.split("\n"), 1)
    return {number for number, line in lines if word in line.partition("#")[2].split()}


# --- the code and the ports ---

PROGRAMS = ("boot.py", "main.py")  # what a user copies to a board

# What pyright says of code without hints, of names that are None or unset at first, is mostly not so.
SETTINGS = {
    "pythonVersion": "3.10",
    "pythonPlatform": "Linux",
    "typeCheckingMode": "standard",
    "reportIncompatibleMethodOverride": False,  # types that it made up for both; stubtest judges the stubs
    "reportMissingModuleSource": False,  # a stub is all that there is of a module in firmware
    "reportOptionalMemberAccess": False,
    "reportOptionalSubscript": False,
    "reportPossiblyUnboundVariable": False,
}

# What every port has, although the stubs do not tell.
NOT_IN_THE_STUBS = [("aio.py", '"core" is unknown import symbol')]  # asyncio is a package, and core its heart

# Pyright is to object to these lines, each on the port that its comment names: that shows that it looks.
WRONG = """
import _thread  # esp8266
import asyncio
import binascii
import gc
import hashlib
import json
import os
import random
import select
import socket
import threading  # every
import time

from machine import unique_id  # unix
from micropython import const

from . import keys, wire
from .crypto import Key

try:
    from network import WLAN
    import nothing_at_all
    WLAN = no_such_name  # every
except ImportError:
    pass
try:
    import nothing_at_all  # every
except OSError:
    pass
try:
    from hashlib import no_such_hash  # every
except ImportError:
    from .cpython import no_such_hash
time.ticks_ms(1)  # every
time.sleep_ms("1")  # every
time.monotonic_ns()  # every
binascii.crc32(b"")  # esp8266
random.randint(0, 1)  # esp8266
hashlib.md5(b"")  # esp8266
os.urandom()  # every
gc.freeze()  # every
json.dumps(1, ensure_ascii=False)  # every
asyncio.get_running_loop()  # every
asyncio.timeout(1)  # every
socket.socket().sendmsg(b"")  # every
select.poll().register()  # every
keys.derive(b"")  # every
wire.no_such_name(1)  # every
Key(bytes(32)).seals(b"")  # every
Key(bytes(32)).seal(b"")  # every
[1].sort(reverse=True, wrong=1)  # every
"""


@pytest.mark.parametrize("port", PORTS)
def test_board_code_keeps_to_what_the_port_has(port, tmp_path):
    """As pyright sees it with the port's stubs. test_style.py has what these do not tell, as str.partition()."""
    shutil.copytree(LIB, tmp_path / "lib")
    (tmp_path / "lib" / "ben" / "wrong.py").write_text(WRONG)
    shutil.copy(ROOT / "config.example.py", tmp_path / "config.py")
    for name in PROGRAMS if port != "unix" else ():  # which has no pins
        shutil.copy(ROOT / name, tmp_path)
    found = pyright(port, tmp_path)
    wrong = marked(WRONG, port) | marked(WRONG, "every")
    assert {line for name, line, _ in found if name == "wrong.py"} == wrong, found
    assert [fault for fault in found if fault[0] != "wrong.py"] == []


def pyright(port, folder):
    """[(file, line, what is wrong)] of the board code in a folder."""
    stubs = str(packages(environment.python(f"stubs-{port}")))
    settings = {
        "exclude": ["lib/ben/cpython.py"],  # boards never load it
        "typeshedPath": stubs,  # what is built in
        "stubPath": stubs,  # the modules of the port
        "extraPaths": [str(STUBS)],  # programs see ben as its users do
    }
    (folder / "pyrightconfig.json").write_text(json.dumps({**SETTINGS, **settings}))
    # A Python that there is not: pyright would take threading, say, out of a real one.
    arguments = ["--outputjson", "--project", folder, "--pythonpath", folder / "no-python"]
    quiet = {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}  # or it looks on the network for a newer one
    done = run("pyright", *arguments, **quiet)
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] > len(MODULES), done.stdout
    found = []
    for fault in report["generalDiagnostics"]:
        path, line = Path(fault["file"]), fault["range"]["start"]["line"] + 1
        known = (path.name, fault["message"]) in NOT_IN_THE_STUBS
        if fault["severity"] == "error" and not known and not is_wanted(path, line, fault["message"]):
            found.append((path.name, line, fault["message"]))
    return found


def packages(python):
    [folder] = Path(python).parent.parent.glob("lib/python*/site-packages")
    return folder


def is_wanted(path, line, message):
    """Whether that is how it should be: an import which may fail, or what boards never get to."""
    if 'Unbound"' in message:  # once more about names that are unset at first
        return True
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "cpython" and node.lineno == line:
            return True
        if isinstance(node, ast.Try) and catches_import_error(node):
            if any(each.lineno <= line <= each.end_lineno for each in imports(node.body)):
                return True
    return False


def catches_import_error(node):
    """Whether a try goes on without what it imports. With cpython.py instead, a board would not go on."""
    for handler in node.handlers:
        if getattr(handler.type, "id", "") == "ImportError":
            return all(getattr(each, "module", "") != "cpython" for each in imports(handler.body))
    return False


def imports(body):
    return [node for node in body if isinstance(node, (ast.Import, ast.ImportFrom))]
