"""A process that is about to end, in real processes: what waits is written first."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.dataset.upkeep.verify import verify

_CAPTURE = """
import os, signal, sys
from pathlib import Path
import torch
from comfyui_ace.nodes.capture.recorder import Capture, Recorder
from comfyui_ace.nodes.capture.shutdown import finish_on_shutdown
from comfyui_ace.training.dataset.intake.checks import CheckSettings
from comfyui_ace.training.dataset.store import Pair

if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup a process inherits that it is ignored
recorder = Recorder()
folder = recorder.open(Path(sys.argv[1]), "ending")
finish_on_shutdown(recorder.finish, recorder.resume)

def submit():
    for _ in range(6):
        before, after = torch.rand(2, 200, 200, 3)
        pair = Pair(target=after, source=before, instruction="go")
        recorder.submit(Capture(folder, (pair,), CheckSettings(), {"1": {"class_type": "A", "inputs": {}}}))

def restart(path=sys.executable):
    os.execl(path, path, "-c", "print('restarted')")
"""


def run(tmp_path, ending: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", _CAPTURE + textwrap.dedent(ending), tmp_path],
        capture_output=True,
        text=True,
        timeout=120,
    )


def kept(tmp_path) -> int:
    result = verify(tmp_path / "ending")
    assert result.ok, [str(fault) for fault in result.faults]
    return len(Dataset(tmp_path / "ending"))


def test_a_process_that_replaces_itself(tmp_path):
    done = run(tmp_path, "submit(); restart()")
    assert (done.returncode, done.stdout) == (0, "restarted\n"), done.stderr
    assert kept(tmp_path) == 6


def test_a_process_that_could_not_replace_itself_goes_on(tmp_path):
    done = run(
        tmp_path,
        """
        submit()
        try:
            restart("/no/such/program")
        except OSError:
            submit()
        recorder.flush()
        """,
    )
    assert done.returncode == 0, done.stderr
    assert kept(tmp_path) == 12


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no such signals")
@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP"])
def test_a_signal(tmp_path, number):
    done = run(tmp_path, f"submit(); os.kill(os.getpid(), signal.{number})")
    assert done.returncode == -getattr(signal, number), done.stderr
    assert kept(tmp_path) == 6


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system does not fork")
def test_children_have_nothing_to_write(tmp_path):
    """One that inherited all this ends at once, and its parent goes on taking pairs."""
    done = run(
        tmp_path,
        """
        recorder.finish = lambda: print("finished", os.getpid() == parent, flush=True)
        parent = os.getpid()
        finish_on_shutdown(recorder.finish, recorder.resume)
        child = os.fork()
        if child == 0:
            restart()
        os.waitpid(child, 0)
        """,
    )
    assert (done.returncode, done.stdout) == (0, "restarted\n"), done.stderr
