"""The walls of the house: floors, front doors, no cycles, a package that is installed whole."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import pytest
from repository import ROOT, parsed, repository_files

HOST = {
    "comfy",
    "comfy_api",
    "comfy_execution",
    "comfy_extras",
    "execution",
    "folder_paths",
    "node_helpers",
    "nodes",
    "server",
}
# What each floor may know of the others; what is not listed knows no other.
FLOORS = {
    "ace": {"ace"},
    "training": {"ace", "training"},
    "nodes": {"ace", "training", "nodes"},
    "commands": {"ace", "training", "commands", "benchmarks", "cli"},
    "benchmarks": {"ace", "training", "benchmarks"},
    "cli": {"commands"},
    "": {"nodes"},  # __init__.py, which hands ComfyUI the nodes
}
PACKAGE = "comfyui_ace"
_WITH_HOST = "benchmarks/host/"  # programs that are started by themselves and open a host, then the package


class Import(NamedTuple):
    """One name that a file takes from another file of the package."""

    importer: str  # "ace/encode.py"
    line: int
    home: str  # the file it comes from
    name: str | None  # None: the module itself

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} takes {self.name or 'the module'} from {self.home}"


@cache
def sources() -> dict[str, ast.Module]:
    """The package's files by path from the root, parsed."""
    paths = (path for path in repository_files() if path.endswith(".py"))
    ours = sorted(path for path in paths if path.split("/")[0] not in ("tests", "tools"))
    return {path: parsed(path) for path in ours}


def _module(path: str) -> tuple[str, ...]:
    parts = path.removesuffix(".py").split("/")
    return tuple(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports() -> list[Import]:
    """Every import inside the package, at the top of files or in functions; hints for type checkers are left out."""
    homes = {_module(path): path for path in sources()}
    found = []
    for path, tree in sources().items():
        hints = {inner for node in ast.walk(tree) if _is_type_checking(node) for inner in ast.walk(node)}
        package = tuple(path.split("/")[:-1])
        for node in ast.walk(tree):
            if node in hints or not isinstance(node, ast.ImportFrom) or not node.level:
                continue
            base = package[: len(package) - node.level + 1] + tuple(node.module.split(".") if node.module else ())
            for alias in node.names:
                if (*base, alias.name) in homes:
                    found.append(Import(path, node.lineno, homes[(*base, alias.name)], None))
                else:
                    found.append(Import(path, node.lineno, homes[base], alias.name))
    return found


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _floor(path: str) -> str:
    first = path.split("/")[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


def _room(path: str) -> str:
    return path.rpartition("/")[0]


def _public(room: str) -> set[str]:
    """What a room's front door names."""
    for node in sources()[f"{room}/__init__.py"].body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return set(ast.literal_eval(node.value))
    return set()


def test_the_package_is_read():
    assert len(sources()) > 150 and len(imports()) > 800


def test_no_import_against_the_floors():
    wrong = [str(i) for i in imports() if _floor(i.home) not in FLOORS.get(_floor(i.importer), {_floor(i.importer)})]
    assert not wrong, "\n".join(wrong)


def test_only_the_nodes_know_the_host():
    wrong = []
    for path, tree in sources().items():
        if _floor(path) == "nodes" or path.startswith(_WITH_HOST):
            continue
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            wrong += [f"{path}:{node.lineno} imports {name}" for name in names if name.split(".")[0] in HOST]
    assert not wrong, "\n".join(wrong)


def test_imports_inside_the_package_are_relative():
    wrong = [
        f"{path}:{node.lineno}"
        for path, tree in sources().items()
        if not path.startswith(_WITH_HOST)
        for node in ast.walk(tree)
        if (isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == PACKAGE)
        or (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == PACKAGE for alias in node.names))
    ]
    assert not wrong, f"ComfyUI loads the folder under any name: {wrong}"


def test_no_two_files_import_each_other():
    """No cycle of any length, lazy imports in functions included."""
    wanted: dict[str, set[str]] = {}
    for one in imports():
        if one.home != one.importer:
            wanted.setdefault(one.importer, set()).add(one.home)
    done: set[str] = set()

    def visit(path: str, trail: list[str]) -> None:
        if path in trail:
            pytest.fail("files import each other: " + " -> ".join([*trail[trail.index(path) :], path]))
        if path not in done:
            for home in sorted(wanted.get(path, ())):
                visit(home, [*trail, path])
            done.add(path)

    for path in sources():
        visit(path, [])


def test_rooms_do_not_need_each_other():
    """Among the rooms that lie beside each other on one floor, none needs another that needs it."""
    needs: dict[str, set[str]] = {}
    for one in imports():
        mine, theirs = _room(one.importer).split("/"), _room(one.home).split("/")
        shared = 0
        while shared < min(len(mine), len(theirs)) and mine[shared] == theirs[shared]:
            shared += 1
        if shared and len(mine) > shared and len(theirs) > shared:
            needs.setdefault("/".join(mine[: shared + 1]), set()).add("/".join(theirs[: shared + 1]))
    mutual = [(room, other) for room, others in needs.items() for other in others if room in needs.get(other, ())]
    assert not mutual


def test_neighbours_come_in_by_the_front_door():
    wrong = []
    for one in imports():
        rooms = _room(one.home).split("/") if "/" in one.home else []
        for depth in range(1, len(rooms) + 1):
            room = "/".join(rooms[:depth])
            inner = one.home.removeprefix(f"{room}/").split("/")[0].removesuffix(".py")
            entry = one.name if inner == "__init__" else inner
            outside = not one.importer.startswith(f"{room}/")
            if outside and entry is not None and entry not in _public(room):
                wrong.append(f"{one}, which {room}/__init__.py does not name")
    assert not wrong, "\n".join(wrong)


def test_nobody_takes_what_is_private_to_a_file():
    wrong = [str(one) for one in imports() if one.name and one.name.startswith("_") and one.name != "__version__"]
    assert not wrong, "\n".join(wrong)


def test_front_doors_name_what_is_there_and_say_what_it_is():
    for path, tree in sources().items():
        if not path.endswith("/__init__.py"):
            continue
        room = _room(path)
        assert ast.get_docstring(tree), f"{path} does not say what the room is for"
        here = [other.removeprefix(f"{room}/") for other in sources() if other.startswith(f"{room}/")]
        there = {name.split("/")[0].removesuffix(".py") for name in here}
        there |= {name for node in ast.walk(tree) for name in _bound(node)}
        assert _public(room) <= there, f"{path} names what is not there: {_public(room) - there}"


def _bound(node: ast.AST) -> Iterator[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, ast.ImportFrom):
        yield from (alias.asname or alias.name for alias in node.names)


def test_every_room_is_installed():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = set(re.findall(rf'^    "({PACKAGE}[\w.]*)",$', text, re.MULTILINE))
    rooms = {".".join((PACKAGE, *_module(path))) for path in sources() if path.endswith("__init__.py")}
    assert listed == rooms
