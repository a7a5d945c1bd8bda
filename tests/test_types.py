"""The stubs in typings/ben are what the code is, and the code keeps to what each port of MicroPython has."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from inspect import signature
from pathlib import Path

import pytest

from ben import coap
from ben.coap.exchange import Exchange
from ben.coap.options import put_options
from ben.coap.request import request
from board import ROOT
from coap_board import METHODS
from tools import environment

LIB = ROOT / "lib"
STUBS = ROOT / "typings"
PORTS = ("esp8266", "esp32", "rp2", "unix")
PATIENCE = 300  # s for one tool: far more than any takes
MODULES = sorted((LIB / "ben").rglob("*.py"))


def dotted(path, folder):
    """ "coap.aio" of .../ben/coap/aio.py, and "coap.__init__" of the package itself."""
    return ".".join(path.relative_to(folder / "ben").with_suffix("").parts)


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
    modules = sorted(dotted(path, LIB) for path in MODULES)
    assert "coap.aio" in modules  # or the packages inside are overlooked
    assert modules == sorted(dotted(path, STUBS) for path in STUBS.rglob("*.pyi"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: dotted(path, LIB))
def test_every_public_name_has_a_docstring_in_its_stub(path):
    texts = docstrings(STUBS / path.relative_to(LIB).with_suffix(".pyi"))
    names = ["", *public(ast.parse(path.read_text()))]
    assert len(names) > 1 or path.name in ("__init__.py", "aio.py")  # or the next line has nothing to say
    assert [name for name in names if not texts.get(name)] == []


def public(tree, within=""):
    """The names that a module defines for others: functions, classes, constants, and what these have."""
    for node in outside_of_functions(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            if node.name.startswith("_") and node.name != "__init__":
                continue
            yield within + node.name
            if isinstance(node, ast.ClassDef):
                yield from public(node, node.name + ".")
        for target in node.targets if isinstance(node, ast.Assign) else ():
            yield from assigned(target, within)
    for node in ast.walk(tree) if within else ():
        for target in node.targets if isinstance(node, ast.Assign) else ():
            yield from assigned_to_self(target, within)


def outside_of_functions(tree):
    """The statements of a module, also those in a try or an if."""
    for node in tree.body:
        yield node
        if isinstance(node, (ast.Try, ast.If)):
            yield from outside_of_functions(node)


def assigned(target, within):
    for each in target.elts if isinstance(target, ast.Tuple) else [target]:
        if isinstance(each, ast.Name) and re.match(r"[^_]|__version__", each.id):
            yield within + each.id


def assigned_to_self(target, within):
    for each in target.elts if isinstance(target, ast.Tuple) else [target]:
        if isinstance(each, ast.Attribute) and getattr(each.value, "id", "") == "self":
            if not each.attr.startswith("_"):
                yield within + each.attr


def docstrings(path):
    """{name: docstring} of a stub; "" is the module itself. What it takes from another stub has the text there."""
    tree = ast.parse(path.read_text())
    texts = {"": ast.get_docstring(tree), **dict(documented(tree, ""))}
    imported = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level:
            for alias in node.names:
                stub = path.parents[node.level - 1] / f"{node.module or alias.name}.pyi"
                imported[alias.asname or alias.name] = stub, alias.name if node.module else ""
                if alias.asname == alias.name:
                    texts[alias.name] = docstrings(stub).get(alias.name if node.module else "")
        for base in (
            node.bases if isinstance(node, ast.ClassDef) else ()
        ):  # so does what a class has of another
            stub, name = imported.get(name_of(base), (None, name_of(base)))
            for key, text in list((docstrings(stub) if stub else texts).items()):
                if name and key.startswith(name + "."):
                    texts.setdefault(node.name + key[len(name) :], text)
    return texts


def name_of(base):
    """The name of a base class, also of one with [types] behind it."""
    return getattr(getattr(base, "value", base), "id", "")


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


@pytest.mark.parametrize("package", ["ben", "ben/coap"])
def test_names_that_the_package_loads_late_are_in_its_stub(package):
    text = (LIB / package / "__init__.py").read_text()
    [home] = re.findall(r"^ *(?:_HOME|home) = (\{.*?\})$", text, re.M | re.DOTALL)
    texts = docstrings(STUBS / package / "__init__.pyi")
    names = re.findall(r'"(\w+)":', home)
    assert names
    for name in names:
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


def init(path, name="__init__"):
    """The last function of a stub with that name."""
    return [node for node in ast.walk(ast.parse(path.read_text())) if getattr(node, "name", "") == name][-1]


COAP = STUBS / "ben" / "coap"


def test_options_of_a_coap_request_are_those_that_its_parts_take():
    """The code hands on **options, of which stubtest knows nothing."""
    stub = ast.parse((COAP / "request.pyi").read_text())
    told = {
        name.split(".")[1]: text
        for name, text in documented(stub, "")
        if re.match("_(Gathered|Timing|Sent|Asked)\\.", name)
    }
    taken = set()
    for function in (request, put_options, Exchange.__init__, coap.Client.request):
        taken |= {
            each.name for each in signature(function).parameters.values() if each.default is not each.empty
        }
    assert set(told) == taken - {"payload"}
    assert [name for name, text in told.items() if not text] == []


def test_methods_of_a_coap_client_are_in_their_stub():
    """The code makes them when they are asked for, of which stubtest knows nothing."""
    texts = docstrings(COAP / "request.pyi")
    for name in METHODS:
        assert callable(getattr(coap.Client(), name))
        assert texts.get(f"Requests.{name}"), name


@pytest.mark.parametrize("module", ["server", "aioserver"])
def test_coap_server_spells_out_what_it_hands_on(module):
    server, resources = (init(COAP / f"{name}.pyi").args for name in (module, "resources"))
    assert [each.arg for each in server.args] == ["self", "port", "host", "socket"]
    handed_on, defaults = resources.args[2:], resources.defaults
    assert [*map(ast.dump, server.kwonlyargs)] == [*map(ast.dump, handed_on)]
    assert [*map(ast.dump, server.kw_defaults)] == [*map(ast.dump, defaults)]


def test_coap_resources_are_added_alike_everywhere():
    own, of_servers = (init(COAP / "resources.pyi", name).args for name in ("add", "__call__"))
    for args in (own, of_servers):
        assert [each.arg for each in args.kwonlyargs] == [*METHODS, "etag", "stream"]
    assert [each.arg for each in own.args] == [each.arg for each in of_servers.args]
    assert own.kwarg.arg == of_servers.kwarg.arg


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


COAP_USE = """
from asyncio import sleep
from io import BytesIO
from ben.coap import LATER, Client, Custom, Error, Response, Server, aio, discovery, formats, micro
from ben.coap.address import readable
from ben.coap.handling import Request
from ben.coap.message import Message

client = Client()
reply: Message = client.get("coap://192.168.1.2/t", query={"n": 1, "all": None}, accept="text/plain", timeout=5)
print(reply.status, reply.payload.decode(), reply.uint(12), formats.name(50))
client.put("coap://192.168.1.2/t", "21.5", format=0, if_match=[b"1", b"2"], non=True, token=b"", ack_timeout=0.5)
client.post("coap://192.168.1.2/t", BytesIO(b"21.5"), size=64, options=[(2048, b""), (2049, 1)])
client.fetch("coap://192.168.1.2/t", lambda at, size: bytes(size), into=bytearray().extend, limit=10)
client.ipatch("coap://192.168.1.2/t", memoryview(b""), into=open("body", "wb"), no_response=26)
for reply in client.observe("coap://192.168.1.2/t", limit=100, max_retransmit=2):
    print(reply.type, reply.get(6))
for reply, address in client.gather("coap://224.0.1.187/.well-known/core", 2, accept=40):
    print(readable(address)[0], discovery.parse(reply.payload)[0][1].get("rt"))

def body(at: int, size: int) -> bytes:
    if at > 1000:
        raise Error("4.00", "too far")
    return bytes(size)

def switch(request: Request) -> Response | Error:
    server.notify(request.path)
    return Response(body, "2.01", format="text/plain", location="/a") if request.query else Error("4.04")

server = Server(5683, size=64, limit=100)
server.add("a", get=lambda request: "21.5", put=switch, post=lambda request: LATER, obs=True, ct=0, rt="t")
server.add("b", get=lambda request: body, delete=lambda request: None, etag=lambda request: b"1", stream=True)
Client(server).close()
assert client.ping("coap://192.168.1.2", timeout=5)
micro.Coap().get("192.168.1.2", 5683, "t")

async def slow(request: Request) -> str:
    request.acknowledge()
    await sleep(1)
    return "slow"

async def ask(client: aio.Client) -> bytes:
    both = aio.Server(socket=Custom(__import__("modem")))
    both.add("slow", get=slow, put=switch)
    async for reply in client.observe("coap://192.168.1.2/t"):
        print(reply.status)
    await client.get("coap://192.168.1.2/t").payload  # wrong
    server.add("slow", get=slow)  # wrong
    await aio.Client(server).get("coap://192.168.1.2/t")  # wrong
    return (await client.get("coap://192.168.1.2/t")).payload
client.get("coap://192.168.1.2/t", timeouts=5)  # wrong
client.get("coap://192.168.1.2/t", query="n=1")  # wrong
client.get("coap://192.168.1.2/t", etag="1")  # wrong
client.put("coap://192.168.1.2/t", 21.5)  # wrong
client.put(b"coap://192.168.1.2/t")  # wrong
client.observe("coap://192.168.1.2/t", into=print)  # wrong
client.gather("coap://224.0.1.187/t", non=False)  # wrong
client.ping("coap://192.168.1.2", accept=0)  # wrong
client.request("GET", "coap://192.168.1.2/t")  # wrong
server.add("a", get=lambda request: 21.5)  # wrong
server.add("a", get=lambda: "21.5")  # wrong
server.add("a", get=lambda request: request.body)  # wrong
server.add("a", get=lambda request: "21.5", etag=b"1")  # wrong
Server("5683")  # wrong
Server(5683, sizes=64)  # wrong
Response("21.5", formats=0)  # wrong
reply.payload.status  # wrong
reply.get("etag")  # wrong
"""


def test_makers_programs_are_checked(tmp_path):
    programs = {"use.py": USE, "coap_use.py": COAP_USE}
    for name, text in programs.items():
        (tmp_path / name).write_text(text)
    done = run(
        "mypy", "--strict", "--cache-dir", tmp_path / "cache", "--config-file", os.devnull,
        *(tmp_path / name for name in programs), MYPYPATH=str(STUBS),
    )  # fmt: skip
    for name, text in programs.items():
        found = {int(line) for line in re.findall(rf"/{re.escape(name)}:(\d+): error", done.stdout)}
        assert found == marked(text, "wrong"), done.stdout + done.stderr


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
    "reportOptionalCall": False,
    "reportOptionalMemberAccess": False,
    "reportOptionalSubscript": False,
    "reportPossiblyUnboundVariable": False,
}

# What every port has, although the stubs do not tell; what is there, although its class does not tell.
KNOWN = {
    "lib/ben/aio.py": ['"core" is unknown import symbol'],  # asyncio is a package, and core its heart
    "lib/ben/coap/aioendpoint.py": ['"core" is unknown import symbol'],
    # For the unix port, which has it; no other has addresses of bytes.
    "lib/ben/coap/address.py": ['"inet_ntop" is not a known attribute of module "socket"'],
    "lib/ben/coap/aioserver.py": [  # whose Endpoint is that of aioendpoint
        f'Cannot {verb} attribute "{name}" for class "Endpoint"'
        for verb, name in (
            *(("access", name) for name in ("enter", "move", "wait", "wake", "short", "tasks")),
            ("assign to", "short"),
        )
    ],
    "lib/ben/coap/request.py": [
        "Expected 2 positional arguments",  # of tuple.index(), where one will do
    ],
    "lib/ben/coap/micro.py": ['Cannot access attribute "datagram" for class "_Request"'],
}

# Types that it made up: a default is not all that there may be.
MADE_UP = r'to parameter "\w+" of type "bytes"|is not assignable to "None"$|type "object["\s]'

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
from .coap.message import Message
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
Message(1).sent(b"")  # every
Message(1).add()  # every
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
    assert {line for name, line, _ in found if name == "lib/ben/wrong.py"} == wrong, found
    assert [fault for fault in found if fault[0] != "lib/ben/wrong.py"] == []


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
        name, message = path.relative_to(folder).as_posix(), fault["message"]
        known = message.split("\n")[0] in KNOWN.get(name, ()) or re.search(MADE_UP, message)
        if fault["severity"] == "error" and not known and not is_wanted(path, line, message):
            found.append((name, line, message))
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
