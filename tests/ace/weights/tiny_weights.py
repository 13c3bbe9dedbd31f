"""A tiny ACE model, its weights and a file of them, for the tests of files.

Import the ``…_fixture`` functions into a test module to use ``tiny_model``, ``tiny_weights`` and ``tiny_file`` there.
"""

import pytest
import torch
from comfyui_ace.ace.model.config import ACEConfig
from comfyui_ace.ace.model.transformer import ACEModel
from comfyui_ace.ace.weights.checkpoint import to_published_keys
from safetensors.torch import save_file

CONFIG = ACEConfig(hidden_size=32, depth=2, num_heads=2, text_width=16, max_seq_len=64)
HEADER = CONFIG.metadata()


@pytest.fixture(name="tiny_model")
def tiny_model_fixture():
    torch.manual_seed(0)
    return ACEModel(CONFIG).eval()


@pytest.fixture(name="tiny_weights")
def tiny_weights_fixture(tiny_model):
    """The tiny model's state dict under the published names."""
    return to_published_keys(tiny_model.state_dict())


@pytest.fixture(name="tiny_file")
def tiny_file_fixture(tmp_path, tiny_weights):
    """The tiny model as safetensors."""
    path = tmp_path / "ace.safetensors"
    save_file(tiny_weights, path, metadata=HEADER)
    return path


def assert_same(model, weights, **tolerance):
    own = to_published_keys(model.state_dict())
    assert own.keys() == weights.keys()
    for name, tensor in own.items():
        torch.testing.assert_close(
            tensor, weights[name].to(tensor.dtype), **tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )
