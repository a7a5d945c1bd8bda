"""The house rules that a machine can check."""

import ast
import re
import subprocess
import sys

import pytest

from board import ROOT

LIB = sorted((ROOT / "lib").rglob("*.py"))
CHECKS = sorted((ROOT / "tools" / "checks" / "device").glob("*.py"))


def tool(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff():
    tool("ruff", "check", ".")


def test_types_of_the_host(tmp_path):
    tool("mypy", "--cache-dir", str(tmp_path))


def public(tree):
    """The names of a module that users and other modules may use, with what defines them."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node.name, node
            for inner in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                    yield f"{node.name}.{inner.name}", inner


@pytest.mark.parametrize("path", LIB, ids=lambda path: str(path.relative_to(ROOT)))
def test_device_code_has_docstrings_of_one_line_and_no_hints(path):
    tree = ast.parse(path.read_text())
    nodes = [("module", tree), *public(tree)]
    if path.name != "benclient.py":
        assert [name for name, node in nodes if not ast.get_docstring(node)] == []
    assert [name for name, node in nodes if "\n" in (ast.get_docstring(node) or "")] == []
    for node in ast.walk(tree):
        assert not isinstance(node, (ast.AnnAssign, ast.Assert)), f"line {node.lineno}"
        if isinstance(node, ast.FunctionDef):
            arguments = [*node.args.args, *node.args.kwonlyargs]
            assert not node.returns and not any(argument.annotation for argument in arguments), node.name


# What an ESP8266's MicroPython has not, of what CPython or the unix port has.
ABSENT = r"\.(partition|rpartition|splitlines|center|removeprefix|hexdigest|sort|indices)\(|binascii\.crc32|os\.getenv|__file__"
ABSENT += (
    r"|random\.(randint|randrange|choice|random|uniform)|NotImplemented\b|\bcompile\(|\bprint\(|\bassert\b"
)


@pytest.mark.parametrize(
    "path",
    [path for path in LIB + CHECKS if path.name != "cpython.py"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_device_code_keeps_to_what_an_esp8266_has(path):
    found = re.findall(ABSENT, re.sub(r"#.*", "", path.read_text()))
    assert found == []


def test_nothing_names_this_machine_or_a_registry():
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    hosts = re.compile(
        r"[a-z]\.d[e]bian\.[a-z]|[a-z]\.?p[y]pi\.[a-z]{3}/|python[h]osted|n[p]mjs|/home/[a-z]|/(r[o]ot|w[o]rk|f[a]rm)/"
    )
    for name in files.stdout.split():
        path = ROOT / name
        if path.is_file():
            assert not hosts.search(path.read_text(errors="replace")), name
