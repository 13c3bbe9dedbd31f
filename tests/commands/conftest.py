"""A model to be found by the command line."""

from __future__ import annotations

import pytest
from comfyui_ace.ace.bundles.random_bundle import make_random_bundle


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    make_random_bundle(root / "ace-random")
    return root
