"""Every node derives from the class that raises built-in exceptions; what it does is seen in a host."""

from __future__ import annotations

import ast
from pathlib import Path

NODES = Path(__file__).resolve().parents[2] / "nodes"


def test_every_node_says_errors_in_plain_words():
    bases = {
        (path.relative_to(NODES).as_posix(), found.name): [ast.unparse(base) for base in found.bases]
        for path in NODES.rglob("*.py")
        for found in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(found, ast.ClassDef)
        and any(ast.unparse(base) in ("Node", "io.ComfyNode") for base in found.bases)
    }
    assert bases.pop(("host/node.py", "Node")) == ["io.ComfyNode"]
    assert len(bases) >= 26 and {tuple(each) for each in bases.values()} == {("Node",)}
