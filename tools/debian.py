#!/usr/bin/env python3
"""Take a program out of this machine's own Debian or Ubuntu archive, without root.

    tools/debian.py libcoap3-bin /usr/bin/coap-server-notls

The program goes into the project's cache with all its libraries; the path of a launcher is printed.
Nothing is installed on the machine, and apt's own lists are neither read nor written: apt-get runs with
a state of its own, on the archive address it finds in the machine's apt configuration, and checks
the archive's signatures as always.
"""

import argparse
import functools
import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tools import cache
from tools.cache import Missing


class Unreachable(Missing):
    """The archive does not answer, so its other suites are not tried."""


def program(package, path, arch=None, at_least=None):
    """A launcher for the program that PACKAGE keeps at PATH ("/usr/bin/..."); fetched if need be."""
    home = fetch(package, arch, at_least)
    return _launcher(home, path)


def fetch(package, arch=None, at_least=None, nearest=False):
    """The folder HOME of a package in the cache: HOME/files is the package unpacked, with all that it depends on.

    arch: Debian's name of another architecture. at_least: the lowest version that will do.
    nearest: look in the machine's own release first, for what must fit the machine's other software.
    """
    if not available():
        raise Missing("there is no apt here to fetch it with")
    arch = arch or native()
    name = "_".join(filter(None, (package, at_least, arch)))

    def make(folder):
        cache.say(f"fetching {package} ({arch}) from this machine's Debian or Ubuntu archive ...")
        _first_that_has(package, arch, at_least, nearest, os.path.join(folder, "files"))

    return cache.make_once(os.path.join(cache.folder(), "debian", name), make)


def available():
    return all(shutil.which(name) for name in ("apt-get", "apt-config", "dpkg", "dpkg-deb"))


def native():
    """Debian's name of this machine's architecture: amd64, arm64, ..."""
    return _output("dpkg", "--print-architecture").strip()


# --- where to look ---


def _first_that_has(package, arch, at_least, nearest, root):
    """Unpack PACKAGE at ROOT out of the first suite that has it."""
    reasons = []
    for archive in archives():
        for suite in suites(distribution(), nearest):
            try:
                return _take(package, arch, at_least, archive, suite, root)
            except Unreachable as error:
                reasons.append(str(error))
                break
            except Missing as error:
                reasons.append(str(error))
    raise Missing("; ".join(reasons) or "apt knows no archive here")


def archives():
    """Base addresses of the archives that this machine's apt uses, the likely ones only."""
    rows = _output("apt-get", "indextargets", "--format", "$(CREATED_BY)|$(ORIGIN)|$(RELEASE)|$(REPO_URI)")
    fields = [row.split("|", 3) for row in rows.splitlines()]
    found = [
        (address, suite)
        for created_by, origin, suite, address in fields
        if created_by == "Packages" and origin in ("Debian", "Ubuntu", "Raspbian")
    ]
    # A fresh container has no lists, hence no index targets: then ask apt what it would fetch. Who stands
    # behind an address is not known then, so a stranger's may come along; its signature will not fit.
    found = found or re.findall(r"^'(\S+?/)dists/(\S+?)/InRelease'", _what_update_would_fetch(), re.MULTILINE)
    # "bookworm-updates", "noble-security": these pockets may lie on an archive that has nothing else.
    whole = [address for address, suite in found if not re.search("[-/]", suite)]
    return list(dict.fromkeys(whole))


def _what_update_would_fetch():
    # apt names only what its lists lack, so show it empty ones.
    with tempfile.TemporaryDirectory() as empty:
        return _output("apt-get", "-o", "Dir::State::lists=" + empty, "--print-uris", "update")


def suites(release, nearest=False):
    """The suites worth trying, by their aliases: these names stay while releases come and go."""
    own = release.get("UBUNTU_CODENAME") or release.get("VERSION_CODENAME")
    if "ubuntu" in kin(release):
        return [own, "devel"] if own else ["devel"]
    return ([own] if own and nearest else []) + ["stable", "testing", "unstable"]


@functools.cache
def distribution():
    """What /etc/os-release says of this machine; empty where there is none."""
    try:
        with open("/etc/os-release") as file:
            pairs = [line.strip().split("=", 1) for line in file if "=" in line]
    except OSError:
        return {}
    return {name: value.strip("\"'") for name, value in pairs}


def kin(release):
    """This distribution and those it descends from: ["linuxmint", "ubuntu", "debian"]."""
    return [release.get("ID", ""), *release.get("ID_LIKE", "").split()]


# --- an apt of our own ---


def _take(package, arch, at_least, archive, suite, root):
    with tempfile.TemporaryDirectory(prefix="apt-", dir=os.path.dirname(root)) as work:
        environment = _own_apt(work, archive, suite, arch)
        _apt_get(environment, f"{suite}/{arch}", "update")
        wanted = f"{package} (>= {at_least})" if at_least else package
        # "satisfy" is "install" with a condition on the version.
        _apt_get(environment, f"{suite}/{arch}", "--yes", "--download-only", "satisfy", wanted)
        shutil.rmtree(root, ignore_errors=True)
        os.makedirs(root)
        for deb in glob.glob(glob.escape(work) + "/cache/archives/*.deb"):
            done = _run(["dpkg-deb", "--extract", deb, root], os.environ)
            if done.returncode:
                raise Missing(f"{os.path.basename(deb)} cannot be unpacked: {done.stderr.strip()[-200:]}")


def _own_apt(work, archive, suite, arch):
    """The environment of an apt-get that knows one suite and keeps everything under the folder WORK."""
    for folder in ("state/lists/partial", "cache/archives/partial"):
        os.makedirs(os.path.join(work, folder))
    # An empty list of installed packages: every library comes along, down to libc, so that the
    # program runs on an older machine too.
    _write(work + "/state/status", "")
    _write(work + "/sources.list", _source(archive, suite, arch))
    settings = {
        # The machine's own configuration is shut out, hooks and all ...
        "Dir::Etc::main": "/dev/null",
        "Dir::Etc::parts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::sourcelist": work + "/sources.list",
        "Dir::State": work + "/state",
        "Dir::State::lists": work + "/state/lists",
        "Dir::State::status": work + "/state/status",
        "Dir::Cache": work + "/cache",
        "APT::Architecture": arch,
        "APT::Architectures::": arch,
        "APT::Install-Recommends": "false",
        # As root, apt would download as a user who may not enter root's cache folder.
        "APT::Sandbox::User": "",
        # Without this, an update that failed ends with status 0.
        "APT::Update::Error-Mode": "any",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    lines = _machine_settings() + [f'{name} "{value}";' for name, value in settings.items()]
    _write(work + "/apt.conf", "\n".join(lines) + "\n")
    return dict(os.environ, APT_CONFIG=work + "/apt.conf", LC_ALL="C", DEBIAN_FRONTEND="noninteractive")


def _machine_settings():
    """... except for how it reaches the network: proxies, certificates, limits."""
    dump = _output("apt-config", "dump").splitlines()
    # Neither other indexes than the packages', nor leave to do without signatures.
    shut_out = ("Acquire::IndexTargets", "Acquire::Languages", "Acquire::Allow")
    return [line for line in dump if line.startswith("Acquire::") and not line.startswith(shut_out)]


def _source(archive, suite, arch):
    keyrings = [
        path
        for name in kin(distribution())
        for path in (f"/usr/share/keyrings/{name}-archive-keyring.{end}" for end in ("pgp", "gpg"))
        if os.path.exists(path)
    ]
    # Without a keyring of the distribution's, apt falls back on the keys that it trusts for everything.
    signed_by = f" signed-by={keyrings[0]}" if keyrings else ""
    # From a "file:" archive apt installs in place; "copy:" puts the packages where we look for them.
    archive = re.sub("^file:", "copy:", archive)
    components = "main universe" if "ubuntu" in kin(distribution()) else "main"
    return f"deb [arch={arch}{signed_by}] {archive} {suite} {components}\n"


def _apt_get(environment, where, *arguments):
    done = _run(["apt-get", "--quiet=2", *arguments], environment)
    if done.returncode:
        kind = Unreachable if re.search("resolv|onnect|timed out", done.stderr) else Missing
        raise kind(f"{where}: {_gist(done.stderr)}")


def _gist(text):
    """One line of apt's complaints: the first error, which names the cause."""
    if "held broken packages" in text:  # its words for anything that "satisfy" cannot do
        return "no such package or version"
    errors = re.findall(r"^E: (.*)", text, re.MULTILINE) or text.strip().splitlines() or ["apt-get failed"]
    return errors[0][:200].strip()


# --- running what was fetched ---


def _launcher(home, path):
    """A script HOME/NAME that starts HOME/files/PATH with the loader and the libraries that came with it."""
    target = home + "/files" + path
    if not os.path.isfile(target):
        there = sorted(glob.glob(glob.escape(home + "/files") + "/usr/*bin/*"))
        names = ", ".join(name[len(home + "/files") :] for name in there)
        raise Missing(f"{os.path.basename(home)} has no program {path}, only {names or 'no programs at all'}")
    launcher = os.path.join(home, os.path.basename(path))
    words = " ".join(map(shlex.quote, _command(home + "/files", target, launcher)))
    text = f'#!/bin/sh\nexec {words} "$@"\n'
    if _read(launcher) != text:  # it is new, or the cache has moved
        _write(launcher + f".{os.getpid()}", text)
        os.chmod(launcher + f".{os.getpid()}", 0o755)
        os.replace(launcher + f".{os.getpid()}", launcher)
    return launcher


def _command(root, target, launcher):
    with open(target, "rb") as file:
        asked = re.search(rb"/lib[^\0]*?/(ld[^\0/]*\.so\.\d+)\0", file.read(4096))
    if not asked:  # a static program, or a script
        return [target]
    libraries = _library_folders(root)
    # Not at the path that the program asks for: there it is a symbolic link into the machine's own /lib.
    loaders = [os.path.join(folder, asked[1].decode()) for folder in libraries]
    loader = next(filter(os.path.isfile, loaders), None)
    if not loader:
        raise Missing(f"{asked[1].decode()}, which {target} needs, did not come with it")
    # argv0: the program then takes the launcher for itself, so a child that it starts as sys.executable runs.
    return [loader, "--argv0", launcher, "--library-path", ":".join(libraries), target]


def _library_folders(root):
    main = [p for top in ("/usr/lib", "/lib") for p in glob.glob(glob.escape(root) + top + "/*-linux-gnu*")]
    # Some packages keep libraries in a folder of their own there.
    inner = [os.path.dirname(p) for folder in main for p in glob.glob(glob.escape(folder) + "/*/*.so*")]
    return list(dict.fromkeys(main + sorted(inner)))


# --- small things ---


def _output(*command):
    """What a command prints; nothing if it fails."""
    return _run(command, dict(os.environ, LC_ALL="C")).stdout


def _run(command, environment):
    done = subprocess.run(
        command, env=environment, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    # Ctrl-C reaches every process of the terminal, but only the first thread of this one: let the others end, too.
    if done.returncode < 0:
        raise Unreachable(f"{command[0]} was stopped")
    return done


def _write(path, text):
    with open(path, "w") as file:
        file.write(text)


def _read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return None


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("package", help="the package's name, such as libcoap3-bin")
    parser.add_argument("program", help="where it keeps the program, such as /usr/bin/coap-server-notls")
    arguments = parser.parse_args()
    print(program(arguments.package, arguments.program))


if __name__ == "__main__":
    cache.run_script(main)
