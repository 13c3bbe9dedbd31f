"""Which ComfyUI the host tests run in, and that each one is told from the others."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from host.harness import hosts
from host.harness.hosts import HostNotFoundError, find_host, find_hosts
from repository import ROOT


def _checkout(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "main.py").touch()
    (folder / "comfyui_version.py").write_text(f'__version__ = "{version}"\n')
    return folder


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """A home without a ComfyUI."""
    monkeypatch.delenv("COMFYUI_DIR", raising=False)
    monkeypatch.delenv("COMFYUI_PYTHON", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(hosts, "_ROOT", tmp_path / "project")
    return tmp_path


def test_the_newest_is_first_and_what_is_too_old_is_passed_over(home):
    for name, version in (("a", "0.8.0"), ("b", "0.33.0"), ("c", "0.9.1"), ("old", "0.3.64")):
        _checkout(home / "comfy" / name, version)
    (home / "comfy" / "models").mkdir()
    assert [host.version for host in find_hosts()] == [(0, 33, 0), (0, 9, 1), (0, 8, 0)]
    assert str(find_host()) == f"0.33.0 in {home / 'comfy' / 'b'}"


def test_several_can_be_named(home, monkeypatch):
    named = [_checkout(home / "one", "0.8.0"), _checkout(home / "two", "0.33.0")]
    _checkout(home / "comfy" / "ComfyUI", "0.40.0")
    monkeypatch.setenv("COMFYUI_DIR", os.pathsep.join(map(str, named)))
    assert [host.directory for host in find_hosts()] == named[::-1]


def test_the_python_is_the_checkouts_own(home, monkeypatch):
    folder = _checkout(home / "ComfyUI", "0.33.0")
    assert find_host().python == Path(sys.executable)
    own = folder / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    own.parent.mkdir(parents=True)
    own.touch()
    assert find_host().python == own
    monkeypatch.setenv("COMFYUI_PYTHON", str(home / "other"))
    assert find_host().python == home / "other"


def test_a_pack_finds_the_comfyui_that_it_is_installed_in(home, monkeypatch):
    folder = _checkout(home / "elsewhere", "0.33.0")
    monkeypatch.setattr(hosts, "_ROOT", folder / "custom_nodes" / "ace-edit")
    assert find_host().directory == folder


def test_how_to_get_one_is_said(home, monkeypatch):
    with pytest.raises(HostNotFoundError, match=r"clone ComfyUI \(0\.8\.0 or newer\)"):
        find_hosts()
    monkeypatch.setenv("COMFYUI_DIR", str(home / "nowhere"))
    with pytest.raises(HostNotFoundError, match="nowhere"):
        find_hosts()
    monkeypatch.setenv("COMFYUI_DIR", str(_checkout(home / "older", "0.3.64")))
    with pytest.raises(HostNotFoundError, match=r"is 0\.3\.64; 0\.8\.0 or newer"):
        find_hosts()


@pytest.fixture
def runs(home, monkeypatch) -> list[tuple[str, list[str], bool]]:
    """Two hosts, and what is run in them: folder, arguments, whether with everything. The older one fails."""
    for name, version in (("a", "0.8.0"), ("b", "0.33.0")):
        _checkout(home / "comfy" / name, version)
    made = []

    def run(command, cwd, env):
        made.append((Path(env["COMFYUI_DIR"]).name, command[3:], hosts.EVERYTHING in env))
        return type("Done", (), {"returncode": 0 if env["COMFYUI_DIR"].endswith("b") else 3})

    monkeypatch.delenv(hosts.EVERYTHING, raising=False)
    monkeypatch.setattr(hosts.subprocess, "run", run)
    return made


def test_each_host_gets_a_run_of_its_own(home, runs, monkeypatch, capsys):
    assert hosts._main("-q") == 3
    assert runs == [("b", ["tests/host", "-q"], True), ("a", ["tests/host", "-q"], True)]
    assert "0.33.0" in capsys.readouterr().out
    monkeypatch.setenv("COMFYUI_DIR", str(home / "comfy" / "b"))
    assert hosts._main() == 0 and runs[2:] == [("b", ["tests/host"], True)]


def test_the_oldest_gets_a_short_run_if_there_is_a_newer_one(home, runs, monkeypatch, capsys):
    assert hosts._main(hosts.OLDEST, "-q") == 3
    ((host, (*tests, option), everything),) = runs
    assert (host, option, everything) == ("a", "-q", False)
    known = {path for path in tests if (ROOT / path.partition("::")[0]).is_file()}
    assert known == set(tests) and len(tests) > 3
    monkeypatch.setenv("COMFYUI_DIR", str(home / "comfy" / "b"))
    assert hosts._main(hosts.OLDEST) == 0 and len(runs) == 1 and "skipped" in capsys.readouterr().out
