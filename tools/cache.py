"""The project's cache folder: what is fetched or built once, for every run and every checkout."""

import contextlib
import os
import shutil
import sys


class Missing(Exception):
    """Something the project needs cannot be had here. The message says what to do, in one sentence or two."""


def say(*words):
    """A line of progress. It goes to stderr, because stdout carries the path that was asked for."""
    print("ben:", *words, file=sys.stderr, flush=True)


def run_script(main, *arguments):
    """End this process as main() ends: a Missing with its message, Ctrl-C with status 130 and no traceback."""
    try:
        sys.exit(main(*arguments))
    except Missing as error:
        sys.exit(f"ben: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def folder():
    """$BEN_CACHE, else $XDG_CACHE_HOME/ben, else ~/.cache/ben; made if need be."""
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    path = os.path.abspath(os.environ.get("BEN_CACHE") or os.path.join(caches, "ben"))
    with contextlib.suppress(OSError):
        os.makedirs(path, exist_ok=True)
    if not os.access(path, os.W_OK | os.X_OK):
        raise Missing(
            f"cannot write to the cache folder {path}; set BEN_CACHE to a folder that can be written"
        )
    return path


def make_once(path, make):
    """The folder PATH; if it is not there yet, make(folder) fills it.

    It is filled under another name and renamed when it is whole, so a folder called PATH is
    never a half-made one, whatever stopped the process that made it.
    """
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with lock(path + ".lock"):
            if not os.path.exists(path):  # unless the process we waited for has made it
                _fill(path, make)
    return path


def _fill(path, make):
    making = path + ".making"
    # What a killed process left: under the lock, nobody else is using it.
    shutil.rmtree(making, ignore_errors=True)
    try:
        os.makedirs(making)
        make(making)
        os.rename(making, path)
    finally:
        shutil.rmtree(making, ignore_errors=True)


@contextlib.contextmanager
def lock(path):
    """One process (or thread) at a time: many test workers, one download. The system lets go of it if we die."""
    try:
        import fcntl
    except ImportError:
        raise Missing("these tools run on Linux and macOS; on Windows, use them inside WSL") from None
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another process that makes", os.path.basename(path)[: -len(".lock")], "...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
