"""A tiny ACE model and its weights, for the tests of files."""

import torch
from comfyui_ace.ace.checkpoint import to_published_keys
from comfyui_ace.ace.config import ACEConfig

CONFIG = ACEConfig(hidden_size=32, depth=2, num_heads=2, text_width=16, max_seq_len=64)
HEADER = CONFIG.metadata()


def assert_same(model, weights, **tolerance):
    own = to_published_keys(model.state_dict())
    assert own.keys() == weights.keys()
    for name, tensor in own.items():
        torch.testing.assert_close(
            tensor, weights[name].to(tensor.dtype), **tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )
