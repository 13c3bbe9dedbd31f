"""The package does the same on Linux, macOS and Windows, as far as its source files can show it."""

from __future__ import annotations

import ast

import pytest
from house.portability import findings, unnamed_encodings
from house.test_walls import ROOT, sources

# Files that compute in torch's float64, which Apple's MPS lacks, and why their tensors are on the CPU whatever the device.
FLOAT64 = {
    "ace/model/layers.py": "tables of positions, made on the CPU",
    "ace/model/schedule.py": "the schedule, made on the CPU and moved in the sample's type",
    "ace/pictures/masks.py": "shares of marked pixels, divided on the CPU",
    "training/evaluate/metrics/perceptual.py": "pictures that are compared, on the CPU since they were decoded",
    "training/evaluate/metrics/similarity.py": "vectors that encoders give on the CPU",
    "training/evaluate/profiles/icebench.py": "pictures as they were read",
    "training/trainer/data/equivariance.py": "pictures as they were read",
    "training/trainer/learning/objective.py": "timesteps, drawn on the CPU",
}


def test_text_has_an_encoding_everywhere():
    """Also in tools: what they write, the package reads."""
    files = (ROOT / "tools").rglob("*.py")
    trees = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in files}
    found = [line for path, tree in {**trees, **sources()}.items() for line in unnamed_encodings(path, tree)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "line", ["path.read_text()", 'path.write_text("x")', "open(path)", 'open(path, "a")', "path.open()"]
)
def test_text_without_an_encoding_is_found(line):
    assert list(unnamed_encodings("a.py", ast.parse(line)))


@pytest.mark.parametrize(
    "line",
    [
        'path.read_text("utf-8")',
        'open(path, "rb")',
        "Image.open(path)",
        "read_text(path)",
        'path.open("r", encoding="utf-8")',
    ],
)
def test_text_with_an_encoding_passes(line):
    assert not list(unnamed_encodings("a.py", ast.parse(line)))


def test_nothing_depends_on_the_system():
    found = [line for path, tree in sources().items() for line in findings(path, tree)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "line, complaint",
    [
        ("import fcntl", "imports fcntl"),
        ("from resource import getrusage", "imports resource"),
        ("os.setsid()", "uses os.setsid"),
        ("signal.signal(signal.SIGHUP, end)", "uses signal.SIGHUP"),
        ('path.write_text("x", encoding="utf-8")', "without newline"),
        ('open(path, "w", encoding="utf-8")', "without newline"),
        ('path.open("a", encoding="utf-8")', "without newline"),
        ('open(path, mode="x")', "without newline"),
        ('subprocess.run(["git"], text=True)', "without encoding"),
        ('subprocess.Popen(["git"], start_new_session=True)', "start_new_session"),
        ('subprocess.run("git", shell=True)', "shell"),
        ("tempfile.NamedTemporaryFile()", "NamedTemporaryFile"),
        ("os.replace(a, b)", "renames by itself"),
        ("shutil.move(a, b)", "renames by itself"),
        ("part.rename(local)", "renames by itself"),
        ("part.replace(local)", "renames by itself"),
    ],
)
def test_what_depends_on_the_system_is_found(line, complaint):
    (found,) = findings("a.py", ast.parse(line))
    assert complaint in found


@pytest.mark.parametrize(
    "line",
    [
        'hasattr(signal, "SIGHUP") and signal.SIGHUP',
        "def peak():\n    import resource",
        'open(path, "wb")',
        'tarfile.open(path, "r:")',
        'open(path, encoding="utf-8")',
        'path.write_text("x", encoding="utf-8", newline="\\n")',
        'subprocess.run(["git"], encoding="utf-8")',
        'name.replace("/", "-")',
        "dataclasses.replace(value, a=1)",
        "replace_file(a, b)",
    ],
)
def test_what_is_the_same_everywhere_passes(line):
    assert not list(findings("a.py", ast.parse(line)))


def test_files_that_compute_in_float64_are_known():
    """A new one belongs into the list, with the reason why no device without float64 meets it."""
    found = {
        path
        for path, tree in sources().items()
        if path.split("/")[0] in ("ace", "training", "nodes")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and (
            (node.attr in ("float64", "complex128") and getattr(node.value, "id", "") == "torch")
            or (node.attr == "double" and getattr(node.value, "id", "") != "np")
        )
    }
    assert found == set(FLOAT64)
