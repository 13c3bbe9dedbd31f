"""ACE++ in the host's own FLUX: which channels it gets, what they do, and which keys of LoRAs it knows."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

import comfy.lora
import comfy.model_base
import comfy.model_detection
import comfy.sample
import comfy.sd
import comfy.supported_models
import pytest
import torch

_FILE = Path(__file__).resolve().parents[2] / "harness" / "flux_pack" / "small_flux.py"
# The layers that the published LoRAs were trained on, and how their files name them.
_DOUBLE = ["attn_qkv", "attn_proj", "mlp_0", "mlp_2", "mod_lin"]
_LORA_LAYERS = [f"double_blocks_{k}_{side}_{part}" for k in range(2) for side in ("img", "txt") for part in _DOUBLE]
_LORA_LAYERS += [f"single_blocks_{k}_{part}" for k in range(2) for part in ("linear1", "linear2", "modulation_lin")]


@pytest.fixture(scope="module")
def flux():
    spec = importlib.util.spec_from_file_location("small_flux", _FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def parts(flux):
    """CLIP and VAE."""
    with torch.inference_mode():
        return flux.small_clip(), flux.small_vae()


@pytest.fixture(scope="module")
def unit(pack):
    """A photo of 90 x 70 with a mask, and a reference of 50 x 60."""
    lcu = pack("ace.lcu.units")
    generator = torch.Generator().manual_seed(5)
    mask = torch.zeros(1, 70, 90)
    mask[:, 20:50, 30:70] = 1
    photo, other = torch.rand(1, 70, 90, 3, generator=generator), torch.rand(1, 60, 50, 3, generator=generator)
    images = [lcu.ConditionImage(photo, mask), lcu.ConditionImage(other, None, "{image1}")]
    return lcu.ConditionUnit("put the cup of {image1} on the table", images)


@pytest.fixture(scope="module")
def encode(pack, parts, unit):
    """What the node gives: positive, negative, latent, fit."""
    node = pack("nodes.plus.encode").EncodePlusNode

    def run(model=None, **settings):
        standard = {"repainting_scale": 1.0, "keep_pixels": False, "max_seq_len": 4096, "layout": "as the model"}
        standard |= {"noise_mask": False, "batch_size": 1, "negative": "", "task": {"task": "edit the picture"}}
        inputs = {"clip": parts[0], "vae": parts[1], "context": unit, "model": model, **standard, **settings}
        return _executed(node, inputs).args

    return run


def _executed(node, inputs):
    """As the host calls a node: on a class of its own, with the hidden inputs set."""

    class Hidden:
        unique_id = "1"

    return type(node.__name__, (node,), {"hidden": Hidden}).execute(**inputs)


def _sampled(model, encoded, seed: int = 3) -> torch.Tensor:
    positive, negative, latent, _ = encoded
    noise = comfy.sample.prepare_noise(latent["samples"], seed)
    args = (noise, 2, 1.0, "euler", "normal", positive, negative, latent["samples"])
    return comfy.sample.sample(model, *args, disable_pbar=True, seed=seed, noise_mask=latent.get("noise_mask"))


def _concat(model, encoded) -> torch.Tensor:
    """What core puts beside the noise, (B, C, h, w)."""
    values = encoded[0][0][1]
    return model.model.concat_cond(noise=torch.zeros_like(encoded[2]["samples"]), device=torch.device("cpu"), **values)


@pytest.mark.parametrize("kind", ["FLUX Fill", "ACE++ full fine-tune"])
def test_core_gives_the_model_just_these_channels(pack, flux, parts, unit, encode, kind):
    model = flux.small_flux(flux.CHANNELS[kind])
    encoded = encode(model, repainting_scale=0.5)
    found = _concat(model, encoded)
    plus = pack("ace.plus.canvas")
    request = pack("ace.plus.request").read_request(pack("ace.lcu.units").LongContext(unit))
    canvas = plus.make_canvas(request, plus.PlusSettings(0.5))
    assert canvas.image.shape == (1, 64, 144, 3) and encoded[2]["samples"].shape == (1, 16, 8, 18)
    pictures = [canvas.image] if kind == "FLUX Fill" else [canvas.kept, canvas.changed]
    for k, picture in enumerate(pictures):
        latent = model.model.process_latent_in(parts[1].encode(picture))
        torch.testing.assert_close(found[:, 16 * k : 16 * (k + 1)], latent, rtol=1e-4, atol=1e-4)
    blocks = found[:, 16 * len(pictures) :]
    assert found.shape[1] == flux.CHANNELS[kind] - 16 and blocks.shape[1] == 64
    for row in range(8):
        for column in range(8):  # (ph pw): rows of a block first
            assert torch.equal(blocks[0, 8 * row + column], canvas.mask[0, row::8, column::8])


@pytest.mark.parametrize("kind", ["FLUX Fill", "ACE++ full fine-tune"])
def test_it_is_sampled_and_everything_counts(pack, flux, unit, encode, kind):
    model = flux.small_flux(flux.CHANNELS[kind])
    usual = _sampled(model, encode(model, repainting_scale=0.0))
    assert usual.shape == (1, 16, 8, 18) and usual.isfinite().all()
    lcu = pack("ace.lcu.units")
    first, second = unit.images
    others = {
        "words": {"context": lcu.ConditionUnit("another wish", unit.images)},
        "mask": {"context": lcu.ConditionUnit(unit.instruction, [lcu.ConditionImage(first.image), second])},
        "reference": {
            "context": lcu.ConditionUnit(
                unit.instruction, [first, lcu.ConditionImage(1 - second.image, None, "{image1}")]
            )
        },
        "scale": {"repainting_scale": 1.0},
    }
    for what, change in others.items():
        other = _sampled(model, encode(model, **{"repainting_scale": 0.0, **change}))
        assert (other - usual).norm() / usual.norm() > 1e-3, what


def test_a_batch_of_variants_and_a_noise_mask(flux, parts, encode):
    model = flux.small_flux(96)
    encoded = encode(model, batch_size=2, noise_mask=True)
    latent = encoded[2]
    assert latent["samples"].shape == (2, 16, 8, 18) and latent["noise_mask"].shape == (2, 1, 64, 144)
    made = _sampled(model, encoded)
    small = torch.nn.functional.adaptive_max_pool2d(latent["noise_mask"], (8, 18))
    untouched = (small == 0).expand_as(made)
    torch.testing.assert_close(made[untouched], latent["samples"][untouched], rtol=1e-3, atol=1e-3)
    assert not torch.equal(made[0], made[1])


def test_a_new_picture(unit, encode):
    alone = type(unit)("a cup on a table", unit.images[1:])
    positive, _, latent, fit = encode(task={"task": "new picture", "width": 80, "height": 64}, context=alone)
    assert latent["samples"].shape == (1, 16, 8, 16)  # 53 columns of reference and 80 of the picture, in whole patches
    assert (fit.source_height, fit.source_width, fit.canvas.before) == (64, 80, 53)
    mask = positive[0][1]["concat_mask"]
    assert mask[..., -64:].all() and not mask[..., :48].any()


@pytest.mark.parametrize(
    "kind, layout, words",
    [
        (
            "FLUX Fill",
            "full fine-tune: 32 channels",
            "fully fine-tuned model .112.*but the connected MODEL is FLUX Fill",
        ),
        (
            "ACE++ full fine-tune",
            "LoRA: 16 channels",
            "FLUX Fill with a LoRA .96.*but the connected MODEL is the fully",
        ),
        ("FLUX", "as the model", "takes 16 channels.*needs FLUX.1-Fill-dev"),
    ],
)
def test_the_wrong_layout_is_told_before_it_is_sampled(flux, encode, kind, layout, words):
    with pytest.raises(ValueError, match=words):
        encode(flux.small_flux(flux.CHANNELS[kind]), layout=layout)


def test_core_alone_would_fail_on_the_wrong_layout(flux, encode):
    """What the message spares: an error about shapes of matrices in the middle of the network."""
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        _sampled(flux.small_flux(112), encode(layout="LoRA: 16 channels"))


def test_other_parts_are_refused_by_name(flux, parts, encode, clip, vae, load_model):
    with pytest.raises(ValueError, match="reads CLIP-L and T5: load clip_l"):
        encode(clip=clip)
    with pytest.raises(ValueError, match=r"latents of 4 channels.*load ae.safetensors"):
        encode(vae=vae)
    with pytest.raises(ValueError, match=r"not FLUX; ACE\+\+ runs on FLUX.1-Fill-dev"):
        encode(load_model())


def test_words_reach_t5_with_their_tokens_and_padding(pack, parts):
    clip = parts[0]
    encoder = pack("nodes.host.flux").FluxTextEncoder(clip)
    prompt = pack("ace.plus.prompt")
    ids = prompt.prompt_ids("put {image1} on {image}", encoder.tokenizer)
    assert [token for token in ids if token >= 32100] == [32105, 32101] and 2 not in ids
    (text, values), *_ = encoder.encode("put {image1} on {image}", ids)
    assert text.shape[1] == 512 and values["pooled_output"].shape[-1] == 24
    plain = prompt.prompt_ids("put cups on tables", encoder.tokenizer)
    core = clip.encode_from_tokens_scheduled(clip.tokenize("put cups on tables"))
    (own, more), *_ = encoder.encode("put cups on tables", plain)
    torch.testing.assert_close(more["pooled_output"], core[0][1]["pooled_output"])
    assert own.shape[1] == 512 and core[0][0].shape[1] == 256  # core pads to half


def test_lora_keys_of_the_published_names_apply(flux, encode, caplog):
    """As the published files are written: lora_unet_BLOCK.lora_down.weight, .lora_up.weight, .alpha."""
    model = flux.small_flux(96)
    weights = dict(model.model.diffusion_model.named_parameters())
    generator, tensors = torch.Generator().manual_seed(1), {}
    for layer in _LORA_LAYERS:
        (name,) = (name for name in weights if name.replace(".", "_") == f"{layer}_weight")
        rows, columns = weights[name].shape
        tensors[f"lora_unet_{layer}.lora_down.weight"] = torch.randn(4, columns, generator=generator) * 0.1
        tensors[f"lora_unet_{layer}.lora_up.weight"] = torch.randn(rows, 4, generator=generator) * 0.1
        tensors[f"lora_unet_{layer}.alpha"] = torch.tensor(4.0)
    with caplog.at_level(logging.WARNING):
        patched, _ = comfy.sd.load_lora_for_models(model, None, tensors, 1.0, 0.0)
    assert "not loaded" not in caplog.text
    assert len(patched.patches) == len(_LORA_LAYERS) == 26
    encoded = encode(model)
    assert (_sampled(patched, encoded) - _sampled(model, encoded)).abs().max() > 1e-3


@pytest.mark.parametrize("channels, kind", [(96, "FluxInpaint"), (112, "Flux")])
def test_core_opens_files_of_both_layouts(channels, kind):
    """By the names and shapes that tell; the weights themselves would be gigabytes."""
    shapes = {"img_in.weight": (3072, 4 * channels), "txt_in.weight": (3072, 4096)}
    shapes |= {"vector_in.in_layer.weight": (3072, 768), "guidance_in.in_layer.weight": (3072, 256)}
    shapes |= {f"double_blocks.{k}.img_attn.norm.key_norm.scale": (128,) for k in range(19)}
    shapes |= {f"single_blocks.{k}.linear2.weight": (3072, 15360) for k in range(38)}
    weights = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    config = comfy.model_detection.model_config_from_unet(weights, "")
    assert type(config).__name__ == kind and config.unet_config["in_channels"] == channels
    assert (config.unet_config["depth"], config.unet_config["depth_single_blocks"]) == (19, 38)
