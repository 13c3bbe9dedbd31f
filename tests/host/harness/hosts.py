"""The ComfyUIs on this machine, and running the tests in each of them.

Tests run in one ComfyUI; to run them in all, one run after the other, with nothing left to a sample::

    cd tests && python -m host.harness.hosts [pytest's arguments]

With ``--oldest`` before them, in the oldest alone, and only what a change is likely to break there.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MINIMUM_VERSION = (0, 8, 0)
EVERYTHING = "ACE_TEST_EVERYTHING"  # a variable: tests that else take a sample of what a host has take all of it
OLDEST = "--oldest"
_WORKFLOWS = "tests/host/pack/test_workflows.py::test_workflow_runs_and_survives_saving"
_IN_THE_OLDEST = (  # loading, sampling, capture and two workflows
    "tests/host/pack/test_loading.py",
    "tests/host/bench/test_edit.py",
    "tests/host/capture/test_nodes.py",
    f"{_WORKFLOWS}[01 Edit by instruction]",
    f"{_WORKFLOWS}[05 Inpaint]",
)
_ROOT = Path(__file__).resolve().parents[3]
_HOW_TO = (
    "To run these tests, clone ComfyUI (0.8.0 or newer) to ~/comfy/ComfyUI with its requirements in "
    "~/comfy/ComfyUI/.venv, or set COMFYUI_DIR to a checkout, or to several with "
    f"{os.pathsep!r} between them (and COMFYUI_PYTHON to its Python)."
)


class HostNotFoundError(Exception):
    """There is no usable ComfyUI on this machine; the message says how to get one."""


@dataclass(frozen=True)
class Host:
    """A ComfyUI checkout and the Python that runs it."""

    directory: Path
    python: Path
    version: tuple[int, ...]

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.version))} in {self.directory}"


def find_hosts() -> list[Host]:
    """The ComfyUIs to test in, newest first: those that COMFYUI_DIR names, or else all that are found.

    Looked for in ~/comfy/*, ~/ComfyUI and the ComfyUI in whose custom_nodes this pack lies. The Python of each is
    COMFYUI_PYTHON, or its own .venv, or the one that runs the tests.

    Raises:
        HostNotFoundError: there is none, or one that COMFYUI_DIR names is none or too old.
    """
    if named := os.environ.get("COMFYUI_DIR"):
        hosts = [_open(Path(part).expanduser().resolve()) for part in named.split(os.pathsep) if part]
    else:
        hosts = list(_usable())
        if not hosts:
            raise HostNotFoundError(f"no ComfyUI in ~/comfy or ~/ComfyUI. {_HOW_TO}")
    return sorted(dict.fromkeys(hosts), key=lambda host: host.version, reverse=True)


def find_host() -> Host:
    """The ComfyUI to test in: the newest of ``find_hosts``.

    Raises:
        HostNotFoundError: as there.
    """
    return find_hosts()[0]


def _usable() -> Iterator[Host]:
    places = [*sorted((Path.home() / "comfy").glob("*")), Path.home() / "ComfyUI"]
    if _ROOT.parent.name == "custom_nodes":
        places.append(_ROOT.parents[1])
    for place in places:
        try:
            yield _open(place.resolve())
        except HostNotFoundError:
            continue


def _open(directory: Path) -> Host:
    if not (directory / "main.py").is_file():
        raise HostNotFoundError(f"no ComfyUI in {directory}. {_HOW_TO}")
    version_file = directory / "comfyui_version.py"
    text = version_file.read_text() if version_file.is_file() else ""
    found = re.search(r"__version__ = \"(\d+(?:\.\d+)*)", text)
    version = tuple(int(part) for part in found.group(1).split(".")) if found else ()
    if version < MINIMUM_VERSION:
        shown = ".".join(map(str, version)) or "of unknown version"
        raise HostNotFoundError(f"ComfyUI in {directory} is {shown}; 0.8.0 or newer is needed.")
    return Host(directory, _host_python(directory), version)


def _host_python(directory: Path) -> Path:
    if configured := os.environ.get("COMFYUI_PYTHON"):
        return Path(configured).expanduser()
    own = directory / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    return own if own.exists() else Path(sys.executable)


def _run_in(hosts: list[Host], tests: tuple[str, ...], arguments: list[str], **environment: str) -> int:
    """Runs tests in each ComfyUI; returns pytest's code of the first run that did not pass, or 0."""
    codes = []
    for host in hosts:
        print(f"\n== ComfyUI {host}", flush=True)
        command = [sys.executable, "-m", "pytest", *tests, *arguments]
        named = {"COMFYUI_DIR": str(host.directory), "COMFYUI_PYTHON": str(host.python)}
        codes.append(subprocess.run(command, cwd=_ROOT, env={**os.environ, **environment, **named}).returncode)
    for host, code in zip(hosts, codes, strict=True):
        print(f"ComfyUI {host}: {'passed' if code == 0 else f'pytest ended with {code}'}")
    return next((code for code in codes if code), 0)


def _main(*arguments: str) -> int:
    try:
        hosts = find_hosts()
    except HostNotFoundError as error:
        if os.environ.get("COMFYUI_DIR"):
            raise SystemExit(str(error)) from error
        print(f"skipped: {error}")
        return 0
    if OLDEST not in arguments:
        return _run_in(hosts, ("tests/host",), list(arguments), **{EVERYTHING: "1"})
    if len(hosts) == 1:
        print(f"skipped: the only ComfyUI here is {hosts[0]}, where all tests run anyway")
        return 0
    return _run_in(hosts[-1:], _IN_THE_OLDEST, [one for one in arguments if one != OLDEST])


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
