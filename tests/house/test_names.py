"""Every name that one file takes from another is there: in the package, and in tests and scripts that nothing else runs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import PurePosixPath

from repository import parsed, repository_files

PACKAGE = "comfyui_ace"
_SCRIPTS = ("tests/", "tools/", "benchmarks/")
_BESIDE = ("tests/", "tests/made/", "tools/")  # folders that those put on Python's path


@cache
def files() -> frozenset[str]:
    return frozenset(name for name in repository_files() if name.endswith(".py"))


@cache
def folders() -> frozenset[str]:
    return frozenset(str(parent) for name in files() for parent in PurePosixPath(name).parents)


def _file(module: tuple[str, ...], roots: tuple[str, ...] = ("",)) -> str | None:
    """The file of a module, or "" for a folder without one; None: it is none of ours."""
    for root in roots:
        path = root + "/".join(module)
        for name in (f"{path}.py", f"{path}/__init__.py" if module else "__init__.py"):
            if name in files():
                return name
        if path in folders():
            return ""
    return None


def _target(path: str, node: ast.ImportFrom) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The module that names are taken from, and the folders where it may be."""
    module = tuple((node.module or "").split(".")) if node.module else ()
    if node.level:
        package = tuple(path.split("/")[:-1])
        return package[: len(package) - node.level + 1] + module, ("",)
    if module[0] == PACKAGE:
        return module[1:], ("",)
    return module, (*_BESIDE, path.rpartition("/")[0] + "/") if path.startswith(_SCRIPTS) else ()


@cache
def _names(path: str) -> set[str]:
    """What a file binds at its top, also in branches; all names where it makes them by __getattr__."""
    bound = set()
    for node in _top(parsed(path).body):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            bound |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif not isinstance(node, ast.Expr):
            bound |= {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
    return bound


def _top(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        inner = [getattr(node, part, []) for part in ("body", "orelse", "finalbody")]
        if isinstance(node, (ast.If, ast.Try, ast.With, ast.For)):
            for part in [*inner, *(handler.body for handler in getattr(node, "handlers", ()))]:
                yield from _top(part)
        yield node


def _missing(path: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom):
            continue
        module, roots = _target(path, node)
        home = _file(module, roots)
        if home is None:
            if node.level or (node.module or "").split(".")[0] == PACKAGE:
                yield f"{path}:{node.lineno} imports {node.module}, which is not there"
            continue
        names = _names(home) if home else set()
        for alias in node.names:
            if "__getattr__" in names or alias.name in names or alias.name == "*":
                continue
            if _file((*module, alias.name), roots) is None:
                yield f"{path}:{node.lineno} takes {alias.name} from {'.'.join(module)}, where it is not"


def test_every_name_is_where_it_is_taken_from():
    assert len(files()) > 500
    assert [fault for path in sorted(files()) for fault in _missing(path, parsed(path))] == []


def test_a_name_that_moved_is_found():
    lines = {
        ("training/x.py", "from ..ace.files import atomic_wright"): "takes atomic_wright from",
        ("tools/x.py", "from comfyui_ace.ace.fyles import atomic_write"): "imports comfyui_ace.ace.fyles",
        ("tools/x.py", "from repository import rot"): "takes rot from repository",
        ("training/x.py", "from .nowhere import one"): "imports nowhere",
    }
    for (path, line), fault in lines.items():
        (found,) = _missing(path, ast.parse(line))
        assert fault in found
