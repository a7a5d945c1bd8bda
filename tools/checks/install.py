"""ben and its keys, copied to the board."""

import json
import os
import subprocess
import sys

from .board import FOLDER, PATIENCE, last_line
from .verdicts import Stop

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def install(board, key, compiled, folder):
    """Puts what package.json lists into a folder of its own on the board, a key and a wrong one."""
    tree = compile_package(folder) if compiled else ROOT
    with open(os.path.join(tree, "package.json")) as file:
        files = [(os.path.join(tree, source), target) for target, source in json.load(file)["urls"]]
    files += [(key, "key.sec"), (make_wrong_key(folder), "wrong.sec")]
    words = ["resume", "fs", "mkdir", ":" + FOLDER]
    for inner in sorted({os.path.dirname(target) for _, target in files} - {""}):  # an outer one first
        words += ["+", "fs", "mkdir", f":{FOLDER}/{inner}"]
    for path, target in files:
        words += ["+", "fs", "cp", path, f":{FOLDER}/{target}"]
    status, output = board.mpremote(*words, timeout=3 * PATIENCE)
    if status:
        raise Stop(f"ben cannot be copied to the board: {last_line(output)}")


def compile_package(folder):
    """The compiled package, in a folder of its own."""
    tree = os.path.join(folder, "compiled")
    command = [sys.executable, os.path.join(ROOT, "tools", "release.py"), tree]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise Stop(f"it cannot be compiled: {last_line(done.stderr)}")
    return tree


def make_wrong_key(folder):
    path = os.path.join(folder, "wrong.sec")
    with open(path, "wb") as file:
        file.write(os.urandom(32))
    return path
