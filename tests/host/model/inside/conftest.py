"""For tests that run in the host's own Python (started by ../test_inside.py): objects of ComfyUI and of the pack.

The host is started as main.py does, up to where it would open its port, and the pack is loaded by the host's own loader.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
from pathlib import Path

import pytest
import torch


def pytest_addoption(parser):
    parser.addoption("--host", required=True, help="ComfyUI's folder")
    parser.addoption("--base", required=True, help="folder with custom_nodes/ace-edit and models/ace/random")


def pytest_configure(config):
    host, base = config.getoption("--host"), config.getoption("--base")
    sys.path.insert(0, host)
    os.chdir(host)
    # By itself the host keeps text encoders in fp16; in float32 they can be compared to the last digits. PyTorch's
    # attention is what it takes on a GPU; on the CPU, as in the tests over HTTP, it takes another one.
    options = ["--cpu", "--fp32-text-enc", "--use-pytorch-cross-attention", "--disable-api-nodes"]
    options += ["--base-directory", base]
    arguments, sys.argv = sys.argv, ["main.py", *options]
    try:
        importlib.import_module("comfy.options").enable_args_parsing()
        # In the order of main.py: nodes.py puts comfy/ on the path, whose utils.py would then win over utils/.
        for name in ("utils.extra_config", "nodes", "server"):
            importlib.import_module(name)
    finally:
        sys.argv = arguments
    sys.modules["server"].PromptServer(asyncio.new_event_loop())
    torch.set_num_threads(1)  # the models are tiny


@pytest.fixture(autouse=True)
def as_in_a_prompt():
    """The host runs prompts so."""
    with torch.inference_mode():
        yield


@pytest.fixture(scope="session")
def pack(pytestconfig):
    """Import a module of the pack by its name inside it: ``pack("nodes.host.model")``."""
    folder = str(Path(pytestconfig.getoption("--base")) / "custom_nodes" / "ace-edit")
    assert asyncio.run(sys.modules["nodes"].load_custom_node(folder)), "the host could not load the pack"
    name = folder.replace(".", "_x_")  # what the host calls it
    return lambda module: importlib.import_module(f"{name}.{module}")


@pytest.fixture(scope="session")
def bundle(pack, pytestconfig):
    return pack("ace.bundles.bundle").find_bundle(Path(pytestconfig.getoption("--base")) / "models" / "ace" / "random")


@pytest.fixture
def load_model(pack, bundle):
    """The bundle's transformer as the host's MODEL, as often as one likes."""

    def load(weight_dtype=None):
        checkpoint = pack("ace.weights.checkpoint").read_checkpoint(bundle.dit)
        return pack("nodes.host.model").load_patcher(checkpoint, bundle.defaults, weight_dtype)

    return load


@pytest.fixture(scope="session")
def clip(pack, bundle):
    return pack("nodes.host.text_encoder").load_clip_folder(bundle.text_encoder, bundle.tokenizer)


@pytest.fixture(scope="session")
def vae(pack, bundle):
    return pack("nodes.host.vae").load_vae(bundle.vae)


@pytest.fixture(scope="session")
def t5_shape(bundle) -> dict[str, int]:
    """What makes the host build a T5 of the bundle's size where it would build an XXL."""
    config = json.loads((bundle.text_encoder / "config.json").read_text(encoding="utf-8"))
    keys = ("d_ff", "d_kv", "d_model", "num_heads", "num_layers", "vocab_size")
    return {key: config[key] for key in keys}
