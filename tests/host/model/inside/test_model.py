"""ACE as the host's MODEL, looked at from inside: what is patched, cast, compiled, batched and counted."""

from __future__ import annotations

import comfy.lora
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.sample
import comfy.supported_models
import pytest
import torch
from comfy_api.torch_helpers import set_torch_compile_wrapper

_SNOW = "{image} make it snow"


@pytest.fixture(scope="module")
def encoded(pack, clip, vae):
    """(positive, negative, latent) of an edit; the arguments are texts and the number of pictures."""
    lcu, nodes = pack("ace.lcu.units"), pack("nodes.encode")
    words = pack("ace.lcu.indicators").INDICATORS

    def encode(text: str = _SNOW, negative: str = "", pictures: int = 1):
        generator = torch.Generator().manual_seed(pictures)
        images = [
            lcu.ConditionImage(torch.rand(1, 64, 96, 3, generator=generator), None, word) for word in words[:pictures]
        ]
        context = lcu.ConditionUnit(text, images)
        exact = {"resolution": "exact size", "width": 96, "height": 64}
        result = nodes.encode_context(clip, vae, context, exact, negative, None, lcu.silent)
        positive, negative = (nodes.to_host_conditioning(c) for c in (result.positive, result.negative))
        return positive, negative, nodes.empty_latent(result, 1)["samples"]

    return encode


def _sample(model, encoded, steps: int = 2, cfg: float = 4.5) -> torch.Tensor:
    positive, negative, latent = encoded
    noise = comfy.sample.prepare_noise(latent, 3)
    args = (noise, steps, cfg, "euler", "simple", positive, negative, latent)
    return comfy.sample.sample(model, *args, disable_pbar=True, seed=3)


def _watch(model) -> list[tuple[int, ...]]:
    """Notes the input's shape in every forward pass of the model."""
    shapes = []

    def wrapper(apply, arguments):
        shapes.append(tuple(arguments["input"].shape))
        return apply(arguments["input"], arguments["timestep"], **arguments["c"])

    model.set_model_unet_function_wrapper(wrapper)
    return shapes


# Weights


def test_every_weight_belongs_to_a_layer(load_model):
    """The host moves, casts and patches only modules without children; a parameter beside children would be left out."""
    stray = [
        f"{name}.{parameter}"
        for name, module in load_model().model.diffusion_model.named_modules()
        if next(module.children(), None) is not None
        for parameter, _ in module.named_parameters(recurse=False)
    ]
    assert stray == []


def test_lora_keys_cover_every_matrix_and_table(load_model):
    model = load_model().model
    keys = comfy.lora.model_lora_keys_unet(model, {})
    matrices = {name for name in model.state_dict() if name.endswith(".weight")}
    assert matrices == set(keys.values()) & matrices
    assert "diffusion_model.blocks.0.scale_shift_table" in keys
    assert "diffusion_model.final_layer.scale_shift_table" in keys


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16, torch.float16])
def test_weights_are_stored_in_the_chosen_dtype(load_model, encoded, dtype):
    model, full = load_model(dtype), load_model()
    assert {p.dtype for p in model.model.diffusion_model.parameters()} == {dtype}
    factor = torch.finfo(torch.float32).bits // (torch.finfo(dtype).bits)
    assert model.model_size() * factor == pytest.approx(full.model_size(), rel=0.02)
    assert _sample(model, encoded()).dtype == torch.float32
    assert {p.dtype for p in model.model.diffusion_model.parameters()} == {dtype}  # cast for use, not for good


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float16])
def test_tables_are_read_in_float32(load_model, dtype):
    """Not every device can look up rows of fp8, and the modulation is added in the precision of its sum."""
    table = load_model(dtype).model.diffusion_model.blocks[0].scale_shift_table
    rows = table(torch.arange(6))
    assert rows.dtype == torch.float32
    assert torch.equal(rows, table.weight.float())


def test_a_model_of_another_family(pack):
    """The smallest UNet of Stable Diffusion that the host builds."""
    shape = {"image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 32, "num_res_blocks": [1]}
    family = comfy.supported_models.SD15(
        {**shape, "channel_mult": [1], "num_heads": 1, "disable_unet_model_creation": 1}
    )
    model = comfy.model_patcher.ModelPatcher(family.get_model({}), torch.device("cpu"), torch.device("cpu"))
    with pytest.raises(ValueError, match="this MODEL is a BaseModel, not an ACE model"):
        pack("nodes.host.model").require_ace(model)


# Running


def test_compiled_model(load_model, encoded):
    """As core's TorchCompileModel does, which offers only backends that need a compiler of C++ or a GPU."""
    torch._dynamo.reset()
    plain = load_model()
    compiled = plain.clone()
    set_torch_compile_wrapper(compiled, backend="eager")
    results = [_sample(model, encoded(), cfg=1.0) for model in (compiled, plain)]
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-3)


def test_compiled_blocks(load_model, encoded):
    """Packs that compile block by block name them so."""
    torch._dynamo.reset()
    plain = load_model()
    compiled = plain.clone()
    keys = ["diffusion_model.blocks.0", "diffusion_model.blocks.3"]  # the last block is called in another way
    set_torch_compile_wrapper(compiled, backend="eager", keys=keys)
    results = [_sample(model, encoded(), steps=1, cfg=1.0) for model in (compiled, plain)]
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-3)


def test_attention_can_be_replaced(load_model, encoded):
    """Sage, flash and others come as an override in the transformer options."""
    model, calls = load_model(), []

    def override(function, *args, **kwargs):
        calls.append(args[0].shape)
        return function(*args, **kwargs)

    plain = _sample(model.clone(), encoded())
    model.model_options["transformer_options"]["optimized_attention_override"] = override
    assert torch.equal(_sample(model, encoded()), plain)
    assert len(calls) >= 2 * 2 * len(model.model.diffusion_model.blocks)


def test_texts_of_one_length_share_a_pass(load_model, encoded):
    """Both branches have the same pictures; they are batched as soon as their texts are equally long."""
    model = load_model()
    shapes = _watch(model)
    _sample(model, encoded("make it snow", negative="snow it make", pictures=0))
    assert shapes == [(2, 4, 8, 12)] * 2
    shapes.clear()
    _sample(model, encoded("make it snow", negative="no", pictures=0))
    assert shapes == [(1, 4, 8, 12)] * 4


def test_without_guidance_the_negative_branch_is_left_out(load_model, encoded):
    model = load_model()
    shapes = _watch(model)
    _sample(model, encoded(), cfg=1.0)
    assert shapes == [(1, 4, 8, 12)] * 2


def test_one_pass_or_two_give_the_same(load_model, encoded, monkeypatch):
    """Short of memory, the host runs the branches one after the other."""
    inputs = encoded("make it snow", negative="snow it make", pictures=0)
    together = _sample(load_model(), inputs)
    monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda _, total=False: (1, 1) if total else 1)
    model = load_model()
    shapes = _watch(model)
    apart = _sample(model, inputs)
    assert shapes == [(1, 4, 8, 12)] * 4
    torch.testing.assert_close(apart, together, rtol=1e-3, atol=1e-2)


# Conditioning


def _extra(pack, model, conditioning, **given):
    values = {"cross_attn": conditioning[0][0], **conditioning[0][1]}
    noise = torch.zeros(1, 4, 8, 12)
    return model.model.extra_conds(noise=noise, device=torch.device("cpu"), **{**values, **given})


def test_pictures_count_for_memory(load_model, encoded):
    """The host reserves memory by what the model says it is given."""
    model = load_model()
    sizes = []
    for pictures in (0, 1, 3):
        values = encoded("snow", pictures=pictures)[0][0][1]
        shapes = model.model.extra_conds_shapes(**values)
        sizes.append(model.model.memory_required([1, 4, 8, 12], cond_shapes={k: [v] for k, v in shapes.items()}))
    assert sizes[1] == pytest.approx(2 * sizes[0])
    assert sizes[2] == pytest.approx(4 * sizes[0])


def test_noise_mask_tells_the_model_where(pack, load_model, encoded):
    """Without a mask of our own, core's SetLatentNoiseMask is the target's mask as well."""
    key = pack("nodes.host.model").TARGET_MASK
    noise_mask = torch.zeros(1, 4, 8, 12)
    noise_mask[..., 3:6, 4:9] = 0.9
    model = load_model()
    assert key not in _extra(pack, model, encoded()[0])
    found = _extra(pack, model, encoded()[0], denoise_mask=noise_mask)[key].cond
    assert torch.equal(found, noise_mask[:, :1].round())
    own = torch.ones(1, 1, 4, 6)  # of another size than the latent
    own[..., :2] = 0
    found = _extra(pack, model, encoded()[0], denoise_mask=noise_mask, **{key: own})[key].cond
    assert found.shape[-2:] == (8, 12) and found[..., :4].sum() == 0 and found[..., 4:].mean() == 1


def test_reference_latents_are_scaled_once(pack, load_model, encoded, vae):
    """CONDITIONING holds them as core's VAEEncode gives them, so that core's ReferenceLatent can be mixed in."""
    conditioning = encoded()[0]
    (given,) = conditioning[0][1]["reference_latents"]
    (used,) = _extra(pack, load_model(), conditioning)["ref_latents"].cond
    torch.testing.assert_close(used, given * 0.18215)
    generator = torch.Generator().manual_seed(1)
    torch.testing.assert_close(given, vae.encode(torch.rand(1, 64, 96, 3, generator=generator)), rtol=1e-4, atol=1e-4)


def test_no_state_is_left_on_the_model(load_model, encoded):
    """Clones of a MODEL share it, and the host runs them in any order."""
    model = load_model()
    before = {name: value for name, value in vars(model.model.diffusion_model).items() if not name.startswith("_")}
    first = _sample(model, encoded())
    _sample(model.clone(), encoded("{image} like {image1}", pictures=2))
    after = {name: value for name, value in vars(model.model.diffusion_model).items() if not name.startswith("_")}
    assert before == after
    assert torch.equal(_sample(model, encoded()), first)
