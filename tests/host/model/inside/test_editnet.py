"""EditNets on the host's MODEL: what it samples with one, and that nothing else of it is changed."""

from __future__ import annotations

import comfy.model_management
import comfy.sample
import comfy.sd
import pytest
import torch

STEPS, CFG, SEED = 3, 4.5, 3


@pytest.fixture(scope="module")
def encoded(pack, clip, vae):
    """The same edit for the host and for our own sampler: (positive, negative) of each, and the empty latent."""
    lcu, nodes = pack("ace.lcu.units"), pack("nodes.encode")
    picture = torch.rand(1, 64, 96, 3, generator=torch.Generator().manual_seed(1))
    context = lcu.ConditionUnit("{image} make it snow", [lcu.ConditionImage(picture, None, "{image}")])
    exact = {"resolution": "exact size", "width": 96, "height": 64}
    result = nodes.encode_context(clip, vae, context, exact, "", None, lcu.silent)
    host = [nodes.to_host_conditioning(c) for c in (result.positive, result.negative)]
    return host, (result.positive, result.negative), nodes.empty_latent(result, 1)["samples"]


@pytest.fixture(scope="module")
def make_file(pack, bundle, tmp_path_factory):
    """A branch that has learnt something, as it is read from its file; with interaction or without."""
    editnet, files = pack("ace.model.editnet"), pack("ace.weights.editnet")

    def make(interaction: bool):
        model = pack("ace.weights.checkpoint").load_model(bundle.dit)
        config = editnet.EditNetConfig.every(2, model.config.depth, interaction=interaction)
        net, generator = editnet.EditNet.copy_of(model, config), torch.Generator().manual_seed(5)
        for parameter in net.parameters():
            parameter.data.add_(0.03 * torch.randn(parameter.shape, generator=generator))
        path = tmp_path_factory.mktemp("editnet") / "net.safetensors"
        return files.read_editnet(files.write_editnet(path, net.state_dict(), model.config, config, {}))

    return make


@pytest.fixture(scope="module")
def file(make_file):
    return make_file(interaction=True)


@pytest.fixture
def load(pack):
    return pack("nodes.host.editnet").with_editnet


def host_sample(model, encoded, cfg: float = CFG) -> torch.Tensor:
    (positive, negative), _, latent = encoded
    noise = comfy.sample.prepare_noise(latent, SEED)
    args = (noise, STEPS, cfg, "ddim", "simple", positive, negative, latent)
    return comfy.sample.sample(model, *args, disable_pbar=True, seed=SEED)


def far(one: torch.Tensor, other: torch.Tensor) -> float:
    return ((one - other).norm() / other.norm()).item()


def test_at_0_the_same_bits_at_1_another_picture(load_model, load, file, encoded):
    model = load_model()
    plain = host_sample(model, encoded)
    assert torch.equal(host_sample(load(model, file, 0.0), encoded), plain)
    steered = load(model, file, 1.0)
    assert far(host_sample(steered, encoded), plain) > 0.02
    assert torch.equal(host_sample(model, encoded), plain)  # the MODEL that came in stays as it is


@pytest.mark.parametrize(("interaction", "strength"), [(True, 1.0), (False, 0.5)])
def test_it_samples_what_our_own_sampler_samples(
    pack, bundle, load_model, load, make_file, encoded, interaction, strength
):
    file = make_file(interaction)
    own = pack("ace.weights.checkpoint").load_model(bundle.dit)
    branch = pack("ace.weights.editnet").build_editnet(file, own.config)
    sampler, editnet = pack("ace.model.sampler"), pack("ace.model.editnet")
    _, (positive, negative), latent = encoded
    settings = {"steps": STEPS, "guidance_scale": CFG, "guidance_rescale": 0.0}
    model = editnet.ModelWithEditNet(own, branch, strength)
    wanted = sampler.sample(model, sampler.draw_noise(latent.shape, SEED), positive, negative, **settings) / 0.18215
    assert far(host_sample(load(load_model(), file, strength), encoded), wanted) < 2e-3


def test_two_branches_and_a_lora_work_together(load_model, load, file, encoded):
    """In either order; the LoRA is of the model and changes nothing in the branch."""
    generator = torch.Generator().manual_seed(0)
    base = load_model()
    lora = {
        f"diffusion_model.blocks.0.mlp.fc1.{part}.weight": 0.3 * torch.randn(shape, generator=generator)
        for part, shape in zip(("lora_A", "lora_B"), _factors(base, "blocks.0.mlp.fc1"), strict=True)
    }

    def with_lora(model):
        return comfy.sd.load_lora_for_models(model, None, dict(lora), 1.0, 0.0)[0]

    results = [
        host_sample(model, encoded)
        for model in (
            load(with_lora(base), file, 1.0),
            with_lora(load(base, file, 1.0)),
            with_lora(base),
            load(base, file, 1.0),
            load(load(base, file, 1.0), file, 0.5),
        )
    ]
    assert torch.equal(results[0], results[1])
    assert min(far(results[0], other) for other in results[2:4]) > 1e-3
    assert far(results[4], results[3]) > 1e-3


def _factors(model, layer: str) -> tuple[tuple[int, int], tuple[int, int]]:
    rows, columns = model.model.diffusion_model.get_submodule(layer).weight.shape
    return (2, columns), (rows, 2)


def test_the_host_holds_the_weights_once_and_loads_them_with_the_model(load_model, load, file, encoded):
    steered = load(load_model(), file, 1.0)
    clone = steered.clone().clone()
    (branch,) = clone.model_patches_models()
    assert branch.model is steered.model_patches_models()[0].model
    host_sample(clone, encoded)
    loaded = [entry.model for entry in comfy.model_management.current_loaded_models]
    assert any(entry.model is branch.model for entry in loaded)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float8_e4m3fn])
def test_models_stored_in_other_dtypes_are_steered_too(load_model, load, file, encoded, dtype):
    model = load_model(dtype)
    result = host_sample(load(model, file, 1.0), encoded)
    assert result.isfinite().all() and far(result, host_sample(model, encoded)) > 0.02


def test_every_weight_of_a_branch_belongs_to_a_layer(load_model, load, file):
    """As in the model itself: the host moves and casts only modules without children."""
    (branch,) = load(load_model(), file, 1.0).model_patches_models()
    stray = [
        f"{name}.{parameter}"
        for name, module in branch.model.named_modules()
        if next(module.children(), None) is not None
        for parameter, _ in module.named_parameters(recurse=False)
    ]
    assert stray == []


def test_a_branch_for_another_shape_is_refused(load_model, load, file):
    from dataclasses import replace

    other = replace(file, base_shape={**file.base_shape, "depth": 99})
    with pytest.raises(ValueError, match=r"with 99 blocks \(here \d+\); use it with the model it was trained on"):
        load(load_model(), other, 1.0)
    with pytest.raises(ValueError, match=r"with 99 blocks"):
        load(load_model(), other, 0.0)
