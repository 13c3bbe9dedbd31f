"""Small models shared by the tests of this folder."""

from __future__ import annotations

import pytest
from comfyui_ace.ace.bundles.random_bundle import make_random_bundle
from comfyui_ace.ace.pipeline import ACEPipeline


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """A bundle with random weights in the published layout."""
    return make_random_bundle(tmp_path_factory.mktemp("bundle") / "ace-random")


@pytest.fixture(scope="session")
def pipeline(bundle):
    return ACEPipeline.load(bundle)
