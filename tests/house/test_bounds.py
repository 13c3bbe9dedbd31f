"""Rooms, files and functions that one can survey: in the package, its tests, its tools and its pages alike."""

from __future__ import annotations

import ast
import os
import re
from collections import Counter

import pytest
from repository import ROOT, parsed, repository_files

MOST_FILES, MOST_LINES, MOST_IN_A_FUNCTION = 16, 400, 60
_WRITTEN = (".py", ".js", ".css", ".html")
_IMPORT = re.compile(r"""^(?:import|export)\b(?:[^'"();]*?\bfrom)?\s*["'](\.[^"']+)["']""", re.MULTILINE)


def written() -> list[str]:
    """Code, by path from the root."""
    return sorted(name for name in repository_files() if name.endswith(_WRITTEN))


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_everything_is_looked_at():
    rooms = {name.split("/")[0] for name in written()}
    assert rooms >= {"ace", "training", "nodes", "commands", "benchmarks", "tests", "tools", "web"}


def test_no_room_is_crowded():
    crowded = {room: n for room, n in Counter(map(os.path.dirname, written())).items() if n > MOST_FILES}
    assert not crowded


def test_no_file_is_long():
    long_files = {name: n for name in written() if (n := len(text(name).splitlines())) > MOST_LINES}
    assert not long_files


def test_no_function_is_long():
    long_functions = [
        f"{name}:{node.lineno} {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for name in written()
        if name.endswith(".py")
        for node in ast.walk(parsed(name))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name != "define_schema"  # a list of widgets
        and node.end_lineno - node.lineno + 1 > MOST_IN_A_FUNCTION
    ]
    assert not long_functions, "\n".join(long_functions)


def imports_of_pages() -> dict[str, set[str]]:
    """What each script of the front end takes from others of the pack, by path from the root."""
    found = {}
    for name in written():
        if name.startswith("web/") and name.endswith(".js"):
            targets = (os.path.normpath(f"{os.path.dirname(name)}/{target}") for target in _IMPORT.findall(text(name)))
            found[name] = set(targets)
    return found


def test_pages_import_what_is_there():
    """ComfyUI serves the pack at /extensions/NAME/, so what leaves web/ by two steps is the host's own."""
    wanted = imports_of_pages()
    assert sum(map(len, wanted.values())) > 60
    host = {"scripts/api.js", "scripts/app.js"}
    for name, targets in wanted.items():
        for target in targets:
            outside = os.path.relpath(target, "web").replace(os.sep, "/")
            hosts = outside.startswith("../../") and outside.removeprefix("../../") in host
            assert hosts or (ROOT / target).is_file(), f"{name} imports {target}"


def test_no_two_scripts_of_the_pages_import_each_other():
    wanted, done = imports_of_pages(), set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        if name in trail:
            pytest.fail("scripts import each other: " + " -> ".join((*trail[trail.index(name) :], name)))
        if name not in done:
            for target in sorted(wanted.get(name, ())):
                visit(target, (*trail, name))
            done.add(name)

    for name in wanted:
        visit(name, ())
