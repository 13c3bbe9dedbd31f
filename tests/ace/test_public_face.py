"""What ``comfyui_ace.ace`` hands to programs: by name, and not before it is asked for."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import comfyui_ace.ace as face
import pytest

NAMES = {
    "ACEPipeline": "pipeline",
    "ConditionImage": "lcu.units",
    "ConditionUnit": "lcu.units",
    "Conditioning": "model.conditioning",
    "LongContext": "lcu.units",
    "find_bundle": "bundles.bundle",
    "load_model": "weights.checkpoint",
    "load_picture": "pictures.image_files",
    "sample": "model.sampler",
    "save_picture": "pictures.image_files",
}


@pytest.mark.parametrize("name", NAMES)
def test_the_name_is_the_thing_itself(name):
    home = import_module(f"comfyui_ace.ace.{NAMES[name]}")
    assert getattr(face, name) is getattr(home, name)
    assert name in dir(face) and name in face.__all__


def test_importing_the_face_loads_no_torch():
    code = (
        "import sys, comfyui_ace.ace as face; dir(face); print('torch' in sys.modules);"
        "from comfyui_ace.ace import ConditionUnit, sample; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'ACEPipelines'"):
        _ = face.ACEPipelines
    with pytest.raises(ImportError):
        from comfyui_ace.ace import samples  # noqa: F401


def test_editors_and_type_checkers_are_told_of_the_same_names():
    hints = next(node for node in ast.parse(Path(face.__file__).read_text()).body if isinstance(node, ast.If))
    told = {alias.name: node.module for node in hints.body for alias in node.names}
    assert told == NAMES
