"""What runs the manual runs in a folder of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def made_workspace(tmp_path_factory) -> Path:
    """Everything that the manual speaks of, made once."""
    from docs.workspace import make_workspace

    folder = tmp_path_factory.mktemp("workspace")
    make_workspace(folder)
    return folder


@pytest.fixture
def workspace(made_workspace, tmp_path, monkeypatch) -> Path:
    """The working folder, where everything is that the manual speaks of, and nothing of this machine's own."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the models are so small that threads would only wait for each other
    shutil.copytree(made_workspace, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))  # models in ~/ComfyUI would be found, too
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for name in ("ACE_MODELS", "ACE_DATASETS"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path
    torch.set_num_threads(threads)
