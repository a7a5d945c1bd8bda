#!/usr/bin/env python3
"""A Python for the project, with the packages it needs; print its path.

    tools/environment.py demo    what ./run needs (tools/requirements/demo.txt)
    tools/environment.py test    what ./run test needs (tools/requirements/test.txt)
    tools/environment.py stubs-esp8266     the type stubs of a port, for tests/test_types.py

It is a virtual environment in the project's cache, made when first asked for and whenever the
requirements or this Python have changed. pip fetches the packages, as the machine's pip configuration
(PIP_* variables, pip.conf) tells it to. A machine without pip gets one out of its Debian or Ubuntu archive.
"""

import argparse
import glob
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tools import cache, debian
from tools.cache import Missing

LISTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "requirements")

# The interpreter itself, when we run in a virtual environment of the user's: that may go away.
BASE = os.path.realpath(sys.executable)


def python(kind):
    """The path of a Python that has what tools/requirements/KIND.txt lists. Missing says what to do."""
    wanted = requirements(kind)
    if kind == "demo" and all(map(_is_here, wanted)):
        return sys.executable
    home = os.path.join(cache.folder(), "python", f"{kind}-{_key(wanted)}")
    cache.make_once(home, lambda making: _make(making, home, kind))
    return _python_of(home)


def requirements(kind):
    """The lines of a requirement list, those of the lists that it names included."""
    with open(os.path.join(LISTS, kind + ".txt")) as file:
        lines = [line.split("#")[0].strip() for line in file]
    wanted = []
    for line in filter(None, lines):
        other = re.fullmatch(r"-r (\S+)\.txt", line)
        wanted += requirements(other[1]) if other else [line]
    return wanted


def _is_here(requirement):
    """Whether the running Python has it already. Understands "name>=1.2"; says no to anything more."""
    asked = re.fullmatch(r"([\w.-]+)>=([\d.]+)", requirement)
    try:
        return bool(asked) and _numbers(importlib.metadata.version(asked[1])) >= _numbers(asked[2])
    except importlib.metadata.PackageNotFoundError:
        return False


def _numbers(version):
    leading = re.match(r"[\d.]*", version or "")[0]  # a broken installation has no version
    return [int(number) for number in leading.split(".") if number]


def _key(wanted):
    """A name for one Python with one list: when either changes, so does the folder, and a new one is made."""
    facts = "\n".join([sys.version, BASE, *wanted])
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


def _python_of(home):
    return os.path.join(home, "bin", "python")


# --- making one ---


def _make(making, home, kind):
    cache.say(f"making the {kind} environment; this takes up to a minute, once ...")
    pip = _bare_environment(making)
    _copy_pip_conf(making)
    _install(pip, os.path.join(LISTS, kind + ".txt"))
    _rename_inside(making, home)


def _bare_environment(making):
    """An environment without packages in the folder MAKING; the command that runs pip in it."""
    # Without pip: Debian cuts ensurepip out of Python, and "python -m venv" fails for want of it. A wheel
    # can be run as it is, so pip need not be installed to install; that saves seconds elsewhere, too.
    command = [BASE, "-m", "venv", "--without-pip", "--prompt", "ben", making]
    done = _run(command)
    if done.returncode:
        raise Missing(f"'{' '.join(command)}' failed: {_last_line(done.stdout + done.stderr)}")
    return [_python_of(making), _pip_wheel() + "/pip"]


def _pip_wheel():
    """The wheel that this Python would install pip from, or else the archive's."""
    ensurepip = importlib.util.find_spec("ensurepip")
    folders = [os.path.join(os.path.dirname(ensurepip.origin), "_bundled")] if ensurepip else []
    # Where Fedora and Debian keep theirs.
    folders += filter(None, [sysconfig.get_config_var("WHEEL_PKG_DIR"), "/usr/share/python-wheels"])
    wheels = [wheel for folder in folders for wheel in glob.glob(glob.escape(folder) + "/pip-*.whl")]
    return wheels[0] if wheels else _pip_wheel_of_archive()


def _pip_wheel_of_archive():
    try:
        home = debian.fetch("python3-pip-whl", nearest=True)
    except Missing as error:
        raise Missing(
            f"this Python has no pip, and none could be fetched ({error}). Install Python's ensurepip "
            "module; on Debian and Ubuntu that is 'apt-get install python3-venv'."
        ) from None
    return glob.glob(glob.escape(home) + "/files/usr/share/python-wheels/pip-*.whl")[0]


def _copy_pip_conf(making):
    """pip reads the user's and the machine's configuration by itself, but not that of the Python we came from."""
    own = os.path.join(sys.prefix, "pip.conf")
    if os.path.exists(own):
        shutil.copy(own, making)


def _install(pip, requirement_list):
    # --prefer-binary: rather a package that is a little older than one that needs a compiler here.
    arguments = ["install", "--quiet", "--no-input", "--prefer-binary", "--disable-pip-version-check"]
    command = [*pip, *arguments, "-r", requirement_list]
    done = _run(command, env=_pip_variables())
    if done.returncode:
        raise Missing(_explain(done.stdout + done.stderr))


def _pip_variables():
    """The user's variables, without those that would make pip look or install elsewhere than in the environment."""
    strange = ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")
    variables = {name: value for name, value in os.environ.items() if name not in strange}
    return dict(variables, PIP_USER="0")


def _explain(output):
    if re.search("CERTIFICATE_VERIFY_FAILED|TLS CA certificate", output):
        return (
            "pip does not trust its package index, for want of its certificate: install the package "
            "ca-certificates, or name the right certificates in PIP_CERT."
        )
    if re.search("connection broken|ConnectTimeout|ConnectionError|Max retries", output):
        return (
            "pip cannot reach its package index: connect this machine to the network, "
            "or name an index that it can reach in PIP_INDEX_URL."
        )
    return f"pip could not install the project's packages: {_last_line(output)}"


def _run(command, env=None):
    return subprocess.run(
        command, env=env, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )


def _last_line(output):
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["no reason given"])[-1]


def _rename_inside(making, home):
    """The scripts in bin/ name the folder they were made in; let them name the one they will be in."""
    for path in glob.glob(glob.escape(making) + "/bin/*"):
        if os.path.islink(path):
            continue
        with open(path, "rb+") as file:
            content = file.read()
            if making.encode() in content and b"\0" not in content:
                file.seek(0)
                file.write(content.replace(making.encode(), home.encode()))
                file.truncate()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = sorted(name[: -len(".txt")] for name in os.listdir(LISTS))
    parser.add_argument("kind", choices=kinds, help="what it is for")
    print(python(parser.parse_args().kind))


if __name__ == "__main__":
    cache.run_script(main)
