"""Values that are no numbers: refused where files are opened, and never handed on as a black picture."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

_NAN = float("nan")


@pytest.fixture
def sampled(pack, clip, vae, load_model):
    """Runs the node Sampler as the host does, on a class of its own with the hidden inputs set."""
    unit = pack("ace.lcu.units").ConditionUnit("a cat", [])
    settings = {"negative": "", "seed": 1, "steps": 2, "cfg": 1.0, "guidance_rescale": 0.0, "batch_size": 1}
    settings["resolution"] = {"resolution": "exact size", "width": 64, "height": 64}

    class Hidden:
        unique_id = "1"

    def run(change=lambda model: None, vae=vae, **more):
        model = load_model()
        change(model)
        node = pack("nodes.sampling").SamplerNode
        inputs = {"model": model, "clip": clip, "vae": vae, "context": unit, **settings, **more}
        return type(node.__name__, (node,), {"hidden": Hidden}).execute(**inputs).args

    return run


def _gives_nan(model) -> None:
    model.model.diffusion_model.register_forward_hook(lambda _module, _given, result: result * _NAN)


def test_a_result_of_nan_is_an_error(sampled):
    image, _, _ = sampled()
    assert image.isfinite().all()
    for more in ({}, {"result_size": "as the source"}, {"keep_detail": 1.0}):
        with pytest.raises(ValueError, match=r"the result holds values that are no numbers.*LoRA"):
            sampled(_gives_nan, **more)


def test_a_picture_of_nan_out_of_the_vae_is_an_error(sampled, vae, monkeypatch):
    monkeypatch.setattr(vae, "decode", lambda samples, **_: torch.full((1, 64, 64, 3), _NAN))
    with pytest.raises(ValueError, match="the result decoded by the VAE holds"):
        sampled()


def test_a_text_encoder_of_nan_is_refused(pack, bundle, tmp_path):
    module, error = pack("nodes.host.text_encoder"), pack("ace.weights.containers").CheckpointError
    shutil.copytree(bundle.text_encoder, tmp_path / "t5")
    (file,) = (tmp_path / "t5").glob("*.safetensors")
    weights = load_file(file)
    name = next(name for name in weights if "DenseReluDense" in name)
    save_file({**weights, name: torch.full_like(weights[name], _NAN)}, file, {"format": "pt"})
    with pytest.raises(error, match=r"t5 holds values that are no numbers"):
        module.load_clip_folder(tmp_path / "t5", bundle.tokenizer)
    # As much of a t5xxl as the pack looks at before the host opens it.
    parts = {module._LAST_LAYER: torch.full((1, module._WIDTH), _NAN), module._EMBEDDING: torch.ones(32128, 1)}
    save_file(parts, tmp_path / "t5xxl.safetensors")
    with pytest.raises(error, match=r"t5xxl\.safetensors holds values that are no numbers"):
        module.load_clip_file(str(tmp_path / "t5xxl.safetensors"))
