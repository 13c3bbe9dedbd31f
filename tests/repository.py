"""The files of the repository, for tests that read them."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_MADE = ("build", "output", "models", "__pycache__")  # folders that are no part of it, where git is not there to say so


@cache
def repository_files() -> frozenset[str]:
    """What is, or will be, in the repository, by path from its root; all files in a copy without its history."""
    command = ["git", "ls-files", "-z", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        found = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
        return frozenset(path.as_posix() for path in found if not any(map(_is_made, path.parts[:-1])))
    return frozenset(name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())


@cache
def parsed(name: str) -> ast.Module:
    """A Python file of the repository, by path from its root; for all tests of a process to read and none to change."""
    return ast.parse((ROOT / name).read_text(encoding="utf-8"))


def _is_made(folder: str) -> bool:
    return folder in _MADE or folder.startswith(".")
