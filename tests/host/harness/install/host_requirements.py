"""What the pack's requirements.txt and these tests ask of the host's Python, without touching its environment."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

PACK_ROOT = Path(__file__).resolve().parents[4]
_TESTS_NEED = ("pytest",)  # for the tests that run inside the host's Python
_CHECK = """
import importlib.metadata, json, sys
def lacks(name):
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return True
print(json.dumps([name for name in sys.argv[1:] if lacks(name)]))
"""


@cache
def host_requirements(python: Path) -> Path | None:
    """A folder for PYTHONPATH with whatever this Python lacks, or None when it has everything.

    ComfyUI's manager installs requirements.txt into the host's environment; a fresh host on a test machine has nobody
    who did. The folder lies in the environment that runs the tests and is kept there.

    Raises:
        RuntimeError: pip could not install them.
    """
    lines = (PACK_ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line for line in map(str.strip, lines) if line and not line.startswith("#")] + list(_TESTS_NEED)
    by_name = {re.match(r"[\w.-]+", line)[0]: line for line in wanted}
    found = subprocess.run([python, "-c", _CHECK, *by_name], capture_output=True, text=True, check=True)
    missing = [by_name[name] for name in json.loads(found.stdout)]
    if not missing:
        return None
    key = hashlib.sha256(json.dumps([str(python), missing]).encode()).hexdigest()[:12]
    folder = Path(sys.prefix) / "host-requirements" / key
    if not folder.is_dir():
        _install(python, missing, folder)
    return folder


def _install(python: Path, requirements: list[str], folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    half_done = Path(tempfile.mkdtemp(dir=folder.parent))
    # The tests' own pip, because a host's environment need not have one; it takes wheels for the host's Python.
    command = [sys.executable, "-m", "pip", f"--python={python}", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*command, f"--target={half_done}", *requirements], capture_output=True, text=True)
    if done.returncode != 0:
        shutil.rmtree(half_done)
        raise RuntimeError(
            f"{python} lacks {', '.join(requirements)}, and pip could not fetch them: {done.stderr[-2000:]}\n"
            f"Install them: {python} -m pip install {' '.join(requirements)}"
        )
    try:
        half_done.rename(folder)
    except OSError:  # another test run was faster
        shutil.rmtree(half_done)
