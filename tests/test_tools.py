"""The tool chain: what finds, fetches and starts everything else."""

import hashlib
import json
import os
import pathlib
import runpy
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from tools import cache, debian, environment, micropython
from tools.cache import Missing

ROOT = pathlib.Path(__file__).resolve().parent.parent
VARIABLE = "MICROPYTHON" if micropython.NATIVE == 64 else "MICROPYTHON32"


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """An empty cache, except for the wheel that a Python without a pip of its own has been made with."""
    fetched = pathlib.Path(cache.folder(), "debian").glob("python3-pip-whl*")
    (tmp_path / "cache" / "debian").mkdir(parents=True)
    for path in fetched:
        (tmp_path / "cache" / "debian" / path.name).symlink_to(path)
    monkeypatch.setenv("BEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def lists(tmp_path, monkeypatch):
    """A folder for requirement lists of our own, and a pip that this machine's configuration says nothing to."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    folder = tmp_path / "requirements"
    folder.mkdir()
    monkeypatch.setattr(environment, "LISTS", str(folder))
    return folder


def interpreter(bits):
    try:
        return micropython.find(bits)
    except Missing as error:
        if bits == micropython.NATIVE:
            raise
        pytest.skip(str(error))


def start(command, **more):
    return subprocess.run(
        [str(word) for word in command], check=False, capture_output=True, text=True, timeout=120, **more
    )


# --- interpreters ---


@pytest.mark.parametrize("bits", [64, 32])
def test_interpreter_runs_at_the_width_asked_for(bits):
    done = start([interpreter(bits), "-c", "import sys; print(sys.implementation.name, sys.maxsize)"])
    assert done.stdout.split() == ["micropython", str(2 ** (bits - 1) - 1)]


def test_interpreter_can_start_itself():
    # The launcher of a fetched interpreter hides a loader: sys.executable must not be that loader.
    script = "import os, sys; sys.exit(os.system(sys.executable + ' -c \"print(6 * 7)\"'))"
    done = start([interpreter(micropython.NATIVE), "-c", script])
    assert (done.stdout, done.returncode) == ("42\n", 0)


@pytest.mark.parametrize("bits", [64, 32])
def test_interpreter_named_in_the_environment_comes_first(bits, tmp_path, monkeypatch):
    mine = tmp_path / "my micropython"
    mine.symlink_to(interpreter(bits))
    monkeypatch.setenv("MICROPYTHON32" if bits == 32 else "MICROPYTHON", str(mine))
    assert micropython.find(bits) == str(mine)


@pytest.mark.parametrize("wrong", ["/nowhere/micropython", sys.executable, "/bin/cat", str(ROOT)])
def test_wrong_interpreter_in_the_environment_is_passed_over(wrong, monkeypatch, capfd):
    right = interpreter(micropython.NATIVE)
    monkeypatch.setenv(VARIABLE, wrong)
    assert micropython.find(micropython.NATIVE) == right
    assert f"passed over: {wrong} " in capfd.readouterr().err


def test_interpreter_of_the_other_width_is_passed_over(monkeypatch):
    small, large = interpreter(32), interpreter(64)
    monkeypatch.setenv("MICROPYTHON32", large)
    assert micropython.find(32) == small


def test_old_interpreter_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, interpreter(micropython.NATIVE))
    monkeypatch.setenv("BEN_CACHE", str(tmp_path))
    monkeypatch.setattr(debian, "available", lambda: False)
    assert micropython.find(micropython.NATIVE) == os.environ[VARIABLE]
    monkeypatch.setattr(micropython, "MINIMUM", (99, 0))
    with pytest.raises(Missing, match="99.0 or newer"):
        micropython.find(micropython.NATIVE)


@pytest.mark.parametrize("bits", [64, 32])
def test_nothing_to_be_had_is_told_in_one_sentence_with_a_remedy(bits, fresh, tmp_path):
    bare = {"PATH": str(tmp_path), "BEN_CACHE": str(fresh), "HOME": str(tmp_path)}
    done = start([sys.executable, ROOT / "tools/micropython.py", "--bits", bits], env=bare)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert f"no {bits}-bit MicroPython 1.25 or newer" in done.stderr
    remedies = ("install micropython", "pacman -S micropython", "make MICROPY_FORCE_32BIT=1")
    assert any(remedy in done.stderr for remedy in remedies)
    assert f"set {'MICROPYTHON32' if bits == 32 else 'MICROPYTHON'} to" in done.stderr


def test_all_prints_a_line_for_each_interpreter():
    both = {bits: interpreter(bits) for bits in (64, 32)}
    done = start([sys.executable, ROOT / "tools/micropython.py", "--all"])
    rows = [line.split(" ", 2) for line in done.stdout.splitlines()]
    assert {int(bits): path for bits, _, path in rows} == both
    assert all(tuple(map(int, version.split("."))) >= (1, 25) for _, version, _ in rows)


# --- the archive ---


def indextargets(*rows):
    return "".join("|".join(row) + "\n" for row in rows)


def test_archive_is_the_distributions_own(monkeypatch):
    listed = indextargets(
        ("Packages", "Somebody Else", "bookworm", "http://stranger/debian/"),
        ("Packages", "Debian", "bookworm-security", "http://mirror/debian-security/"),
        ("Translations", "Debian", "bookworm", "http://mirror/translated/"),
        ("Packages", "Debian", "bookworm", "http://mirror/debian/"),
        ("Packages", "Debian", "bookworm-updates", "http://mirror/debian/"),
    )
    monkeypatch.setattr(debian, "_output", lambda *command: listed)
    assert debian.archives() == ["http://mirror/debian/"]


def test_archive_of_a_machine_without_lists(monkeypatch):
    would_fetch = (
        "'http://mirror/ubuntu/dists/noble/InRelease' mirror_ubuntu_dists_noble_InRelease 0 \n"
        "'http://mirror/ubuntu/dists/noble/main/binary-amd64/Packages.xz' packages 0 \n"
        "'http://security/ubuntu/dists/noble-security/InRelease' security_InRelease 0 \n"
    )
    monkeypatch.setattr(debian, "_output", lambda *command: would_fetch if "--print-uris" in command else "")
    assert debian.archives() == ["http://mirror/ubuntu/"]


@pytest.mark.parametrize(
    ("release", "nearest", "expected"),
    [
        ({"ID": "debian", "VERSION_CODENAME": "bookworm"}, False, ["stable", "testing", "unstable"]),
        (
            {"ID": "debian", "VERSION_CODENAME": "bookworm"},
            True,
            ["bookworm", "stable", "testing", "unstable"],
        ),
        ({"ID": "debian"}, True, ["stable", "testing", "unstable"]),
        ({"ID": "ubuntu", "VERSION_CODENAME": "noble"}, False, ["noble", "devel"]),
        (
            {
                "ID": "linuxmint",
                "ID_LIKE": "ubuntu debian",
                "VERSION_CODENAME": "wilma",
                "UBUNTU_CODENAME": "noble",
            },
            False,
            ["noble", "devel"],
        ),
    ],
)
def test_suites(release, nearest, expected):
    assert debian.suites(release, nearest) == expected


def test_suites_are_tried_until_one_has_the_package(fresh, monkeypatch):
    tried = []

    def take(package, arch, at_least, archive, suite, root):
        tried.append(suite)
        if suite != "testing":
            raise Missing(f"{suite} has none")
        os.makedirs(root)

    monkeypatch.setattr(debian, "_take", take)
    monkeypatch.setattr(debian, "available", lambda: True)
    monkeypatch.setattr(debian, "archives", lambda: ["http://mirror/debian/"])
    monkeypatch.setattr(debian, "distribution", lambda: {"ID": "debian"})
    assert os.path.isdir(debian.fetch("hello", "amd64") + "/files")
    debian.fetch("hello", "amd64")  # from the cache now
    assert tried == ["stable", "testing"]


def test_unreachable_archive_is_asked_once(fresh, monkeypatch):
    tried = []

    def take(*arguments):
        tried.append(arguments)
        raise debian.Unreachable("no route")

    monkeypatch.setattr(debian, "_take", take)
    monkeypatch.setattr(debian, "available", lambda: True)
    monkeypatch.setattr(debian, "archives", lambda: ["http://mirror/debian/"])
    monkeypatch.setattr(debian, "distribution", lambda: {"ID": "debian"})
    with pytest.raises(Missing, match="no route"):
        debian.fetch("hello", "amd64")
    assert len(tried) == 1
    assert not os.path.exists(fresh / "debian" / "hello_amd64")


needs_apt = pytest.mark.skipif(not debian.available(), reason="no apt here")


@needs_apt
def test_unsigned_archive_is_refused(fresh, tmp_path, monkeypatch):
    packages = tmp_path / "archive/dists/stable/main/binary-amd64/Packages"
    packages.parent.mkdir(parents=True)
    packages.write_bytes(b"")
    digest = hashlib.sha256(b"").hexdigest()
    (tmp_path / "archive/dists/stable/Release").write_text(
        "Suite: stable\nCodename: stable\nComponents: main\nArchitectures: amd64\n"
        f"Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n {digest} 0 main/binary-amd64/Packages\n"
    )
    # Not even where the machine's own configuration would take it.
    (tmp_path / "lax.conf").write_text('Acquire::AllowInsecureRepositories "true";\n')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "lax.conf"))
    with pytest.raises(Missing, match="is not signed"):
        debian._take("hello", "amd64", None, f"file:{tmp_path}/archive/", "stable", str(fresh / "root"))


@needs_apt
def test_the_machines_own_apt_is_left_alone(tmp_path):
    own = debian._own_apt(str(tmp_path), "http://mirror/debian/", "stable", "amd64")
    dump = start(["apt-config", "dump"], env=own).stdout
    folders = dict(line.rstrip(";").split(" ", 1) for line in dump.splitlines() if line.startswith("Dir::"))
    for name in (
        "Dir::State",
        "Dir::State::lists",
        "Dir::State::status",
        "Dir::Cache",
        "Dir::Etc::sourcelist",
    ):
        assert folders[name].strip('"').startswith(str(tmp_path)), name
    assert "Post-Invoke" not in dump


# --- the cache ---


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"BEN_CACHE": "{0}/a", "XDG_CACHE_HOME": "{0}/b", "HOME": "{0}/c"}, "{0}/a"),
        ({"XDG_CACHE_HOME": "{0}/b", "HOME": "{0}/c"}, "{0}/b/ben"),
        ({"HOME": "{0}/c"}, "{0}/c/.cache/ben"),
    ],
)
def test_cache_folder(variables, expected, tmp_path, monkeypatch):
    for name in ("BEN_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(tmp_path))
    assert cache.folder() == expected.format(tmp_path)
    assert os.path.isdir(cache.folder())


def test_cache_that_cannot_be_made_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BEN_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(Missing, match="set BEN_CACHE"):
        cache.folder()


MAKE_SLOWLY = """
import sys, time
sys.path.insert(0, sys.argv[1])
from tools import cache
def make(folder):
    print("made", flush=True)
    time.sleep(0.5)
print(cache.make_once(sys.argv[2], make))
"""


def test_many_processes_make_a_thing_once(tmp_path):
    command = [sys.executable, "-c", MAKE_SLOWLY, ROOT, tmp_path / "thing"]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    words = [child.communicate(timeout=60)[0].split() for child in children]
    assert sorted(words, key=len) == [[str(tmp_path / "thing")]] * 3 + [["made", str(tmp_path / "thing")]]


def test_what_fails_halfway_leaves_nothing(tmp_path):
    def make(folder):
        pathlib.Path(folder, "half").write_text("")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.make_once(str(tmp_path / "thing"), make)
    assert [path.name for path in tmp_path.iterdir()] == ["thing.lock"]


# --- environments ---


def test_environment_is_another_one_when_its_requirements_change(lists):
    (lists / "base.txt").write_text("one>=1.0\n")
    (lists / "more.txt").write_text("# a remark\n-r base.txt\n\ntwo>=2.0  # why\n")
    assert environment.requirements("more") == ["one>=1.0", "two>=2.0"]
    before = environment._key(environment.requirements("more"))
    (lists / "base.txt").write_text("# only a remark is new\none>=1.0\n")
    assert environment._key(environment.requirements("more")) == before
    (lists / "base.txt").write_text("one>=1.1\n")
    assert environment._key(environment.requirements("more")) != before


def test_environment_is_another_one_for_another_python(monkeypatch):
    before = environment._key([])
    monkeypatch.setattr(environment, "BASE", "/another/python")
    assert environment._key([]) != before
    monkeypatch.undo()
    monkeypatch.setattr(sys, "version", "9.9.9")
    assert environment._key([]) != before


def test_environment_killed_in_the_making_is_made_anew(lists, fresh):
    (lists / "none.txt").write_text("# nothing, which is installed without a network\n")
    killed = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from tools import environment
environment.LISTS = {str(lists)!r}
environment._install = lambda *_: os.kill(os.getpid(), 9)
environment.python("none")
"""
    assert start([environment.BASE, "-c", killed]).returncode == -signal.SIGKILL
    left = [path.name for path in (fresh / "python").iterdir() if path.is_dir()]
    assert len(left) == 1 and left[0].endswith(".making")  # or this test tests nothing

    python = environment.python("none")
    assert (
        start([python, "-c", "import sys; print(sys.prefix)"]).stdout.strip()
        == str(python)[: -len("/bin/python")]
    )
    assert ".making" not in pathlib.Path(python).parent.joinpath("activate").read_text()
    assert not list((fresh / "python").glob("*.making"))


def test_environment_without_its_packages_is_not_kept(lists, fresh, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (lists / "some.txt").write_text("ben-has-no-such-package\n")
    for _ in range(2):
        with pytest.raises(Missing, match="ben-has-no-such-package"):
            environment.python("some")
    assert not [path for path in (fresh / "python").iterdir() if path.is_dir()]


def test_environment_has_what_pip_is_configured_to_find(lists, fresh, tmp_path, monkeypatch):
    wheel = tmp_path / "shelf" / "benprobe-1.0-py3-none-any.whl"
    make_wheel(wheel, "benprobe", "1.0")
    configuration = tmp_path / "pip.conf"
    configuration.write_text(f"[global]\nno-index = true\nfind-links = {wheel.parent}\nuser = true\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    (lists / "probe.txt").write_text("benprobe>=1.0\n")
    done = start([environment.python("probe"), "-c", "import benprobe; print(benprobe.__file__)"])
    assert done.stdout.startswith(str(fresh)), done.stderr


def make_wheel(path, name, version):
    path.parent.mkdir()
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")


def test_index_out_of_reach_is_told_in_one_sentence(lists, fresh, monkeypatch):
    # A port where nobody listens, as good as no network.
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    (lists / "some.txt").write_text("ben-has-no-such-package\n")
    with pytest.raises(Missing, match="^pip cannot reach its package index: [^\n]*$"):
        environment.python("some")


def test_demo_takes_the_running_python_if_that_has_all(lists, fresh, monkeypatch):
    (lists / "demo.txt").write_text(f"pytest>={pytest.__version__}\n")
    assert environment.python("demo") == sys.executable
    made = []
    monkeypatch.setattr(cache, "make_once", lambda path, make: made.append(path))
    for lacking in ("pytest>=9999", "ben-has-no-such-package>=1"):
        (lists / "demo.txt").write_text(lacking + "\n")
        assert environment.python("demo").startswith(str(fresh))
    assert len(made) == 2


def test_pyproject_and_the_demo_ask_for_the_same():
    [line] = environment.requirements("demo")
    assert f'dependencies = ["{line}"]' in (ROOT / "pyproject.toml").read_text()


# --- run ---


@pytest.fixture
def checkout(tmp_path):
    """A copy of ./run and its tools with a demo and tests of our own."""
    tree = tmp_path / "a checkout"
    tree.mkdir()
    shutil.copy(ROOT / "run", tree)
    shutil.copytree(ROOT / "tools", tree / "tools", ignore=shutil.ignore_patterns("__pycache__", "demo.py"))
    (tree / "tools" / "demo.py").write_text(DEMO)
    (tree / "tests").mkdir()
    return tree


DEMO = """
import json, os, sys
print(json.dumps([os.getpid(), sys.argv[1:], os.environ["PYTHONPATH"].split(os.pathsep)]))
"""


def test_run_help():
    done = start([sys.executable, ROOT / "run", "--help"])
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("./run ", "--count N", "./run test", "BEN_CACHE", "MICROPYTHON32"):
        assert word in done.stdout
    assert start([sys.executable, ROOT / "run", "-h"]).stdout == done.stdout


def test_run_does_not_know_the_word():
    done = start([sys.executable, ROOT / "run", "tset"])
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "'./run tset'" in done.stderr and "./run test" in done.stderr


def test_run_becomes_the_demo(checkout, tmp_path):
    command = [sys.executable, str(checkout / "run"), "--count", "3"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as process:
        pid, arguments, path = json.load(process.stdout)
    assert process.returncode == 0
    assert pid == process.pid
    assert arguments == ["--count", "3"]
    assert path == [str(checkout / "lib"), str(checkout / "host")]


def test_run_test_starts_pytest_in_the_repository(checkout, tmp_path):
    (checkout / "tests" / "test_it.py").write_text(
        "import os\n"
        "def test_place():\n"
        f"    assert os.getcwd() == {str(checkout)!r}\n"
        f"    assert os.environ['PYTHONPATH'] == {str(checkout / 'lib') + os.pathsep + str(checkout / 'host')!r}\n"
        "    from tools import micropython\n"
        "def test_bad():\n"
        "    assert not 'a failure'\n"
    )
    done = start([sys.executable, checkout / "run", "test", "-n0", "-k", "place"], cwd=tmp_path)
    assert "1 passed, 1 deselected" in done.stdout
    assert done.returncode == 0
    assert start([sys.executable, checkout / "run", "test", "-n0"]).returncode == 1


def test_run_test_uses_several_workers_unless_told_otherwise(checkout, monkeypatch):
    run = load(checkout / "run")
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert run["workers"](["-k", "word"]) == ["-n", "2"]
    for decided in (["-n", "7"], ["-n7"], ["--numprocesses=7"], ["--pdb"]):
        assert run["workers"](decided) == []
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert run["workers"]([]) == ["-n", "4"]


def test_run_test_goes_on_with_one_interpreter_but_not_with_none(checkout, monkeypatch, capfd):
    run = load(checkout / "run")
    found = {64: "/some/micropython", 32: Missing("no 32-bit one")}
    monkeypatch.setattr(run["micropython"], "find_all", lambda: found)
    run["fetch_interpreters"]()
    assert "going on without" in capfd.readouterr().err
    found[64] = Missing("no 64-bit one")
    with pytest.raises(Missing, match="no 64-bit one"):
        run["fetch_interpreters"]()


def load(path):
    """The names in a script, which is not started."""
    return runpy.run_path(str(path))


@pytest.mark.parametrize("to_group", [True, False])
def test_run_test_is_stopped(checkout, to_group):
    """Ctrl-C, which reaches every process of the terminal, or SIGTERM, which reaches only run: pytest ends too."""
    (checkout / "tests" / "test_long.py").write_text(
        "import os, pathlib, time\n"
        "def test_long():\n"
        "    pathlib.Path('started').write_text(str(os.getpid()))\n"
        "    time.sleep(60)\n"
    )
    # Where tests run in the background, SIGINT is ignored, and by every child; not so in a terminal.
    in_terminal = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", in_terminal, sys.executable, checkout / "run", "test", "-n0"],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    pid = int(wait_for_text(checkout / "started"))
    if to_group:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.terminate()
    _, errors = process.communicate(timeout=30)
    assert process.returncode == (130 if to_group else 128 + signal.SIGTERM)
    assert "Traceback" not in errors
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def wait_for_text(path):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if path.exists() and (text := path.read_text()):
            return text
        time.sleep(0.02)
    raise AssertionError(f"{path} did not come")
