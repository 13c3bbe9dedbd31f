"""A small copy of a benchmark as released, and small encoders."""

from __future__ import annotations

import json

import pytest
from benchmark_sets import noise
from comfyui_ace.training.evaluate.metrics.encoders import load_clip, load_dino
from comfyui_ace.training.evaluate.profiles.profile import Tools
from tiny_encoders import save_clip, save_dino


@pytest.fixture(scope="session")
def tools(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoders")
    save_clip(folder / "clip")
    save_dino(folder / "dino", folder / "dino.pth")
    return Tools(clip=load_clip(folder / "clip"), dino=load_dino(folder / "dino.pth"))


@pytest.fixture
def magicbrush(tmp_path):
    """Two sessions, of two turns and of one, as released."""
    folder = tmp_path / "mb"
    sessions = {
        "100": [
            {
                "input": "100-input.png",
                "mask": "100-mask1.png",
                "output": "100-output1.png",
                "instruction": "add a hat",
            },
            {
                "input": "100-output1.png",
                "mask": "100-mask2.png",
                "output": "100-output2.png",
                "instruction": "make it red",
            },
        ],
        "200": [{"input": "200-input.png", "mask": "m.png", "output": "200-output1.png", "instruction": "remove it"}],
    }
    names = sorted({turn[key] for turns in sessions.values() for turn in turns for key in ("input", "output")})
    for number, name in enumerate(names):
        path = folder / "images" / name[:3] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise(number, (48, 32)).save(path)
    captions = {name: {} for name in sessions}
    for name in names:
        captions[name[:3]][name] = f"caption of {name[4:-4]}"
    (folder / "edit_sessions.json").write_text(json.dumps(sessions))
    (folder / "local_descriptions.json").write_text(json.dumps(captions))
    return folder
