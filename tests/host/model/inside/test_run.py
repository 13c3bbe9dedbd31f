"""What is prepared once for a run of the host's MODEL, and when it must not be."""

from __future__ import annotations

import comfy.hooks
import comfy.sample
import pytest
import torch
from comfy.patcher_extension import WrappersMP
from comfy_api.torch_helpers import set_torch_compile_wrapper
from torch._dynamo.utils import counters

_STEPS = 3


@pytest.fixture(scope="module")
def encoded(pack, clip, vae):
    """(positive, negative, latent) of an edit of some pictures; both texts are equally long where that is wanted."""
    lcu, nodes = pack("ace.lcu.units"), pack("nodes.encode")
    words = pack("ace.lcu.indicators").INDICATORS

    def encode(pictures: int = 1, batch: int = 1, negative: str = ""):
        generator = torch.Generator().manual_seed(pictures)
        images = [
            lcu.ConditionImage(torch.rand(1, 64, 96, 3, generator=generator), None, word) for word in words[:pictures]
        ]
        exact = {"resolution": "exact size", "width": 96, "height": 64}
        context = lcu.ConditionUnit("make it snow", images)
        result = nodes.encode_context(clip, vae, context, exact, negative, None, lcu.silent)
        branches = (nodes.to_host_conditioning(c) for c in (result.positive, result.negative))
        return *branches, nodes.empty_latent(result, batch)["samples"]

    return encode


def _sample(model, encoded, cfg: float = 4.5) -> torch.Tensor:
    positive, negative, latent = encoded
    noise = comfy.sample.prepare_noise(latent, 3)
    args = (noise, _STEPS, cfg, "euler", "simple", positive, negative, latent)
    return comfy.sample.sample(model, *args, disable_pbar=True, seed=3)


def _at_every_step(pack, monkeypatch):
    monkeypatch.setattr(pack("nodes.host.model"), "_weights_stay", lambda entry: False)


def _calls(model) -> dict[str, int]:
    """Counts the calls of the layers that embed texts and pictures."""
    calls = {"y_embedder": 0, "x_embedder": 0}
    for name in calls:

        def count(*_, name=name):
            calls[name] += 1

        getattr(model.model.diffusion_model, name).register_forward_hook(count)
    return calls


def _patches(model, strength: float = 0.3) -> dict:
    """Changes to the layers that embed, as a LoRA loader hands them to the host."""
    generator = torch.Generator().manual_seed(0)
    names = ("x_embedder.proj.weight", "y_embedder.fc1.weight", "y_embedder.fc2.weight")
    weights = {name: model.model.state_dict()[f"diffusion_model.{name}"] for name in names}
    return {
        f"diffusion_model.{name}": ("diff", (strength * torch.randn(weight.shape, generator=generator),))
        for name, weight in weights.items()
    }


def _with_area(conditioning):
    """The right half of the latent only: the model is given a part of the target, and whole references."""
    return [[text, {**values, "area": (8, 6, 0, 6), "strength": 1.0}] for text, values in conditioning]


def test_texts_and_references_are_embedded_once_a_run(load_model, encoded):
    model = load_model()
    calls = _calls(model)
    _sample(model, encoded(pictures=2))
    # Two branches; each embeds its indicators and its texts, its two pictures once, and the target at every step.
    assert calls == {"y_embedder": 2 * 2, "x_embedder": 2 * (2 + _STEPS)}


@pytest.mark.parametrize("case", ["one", "none", "batch", "one pass", "area", "lora"])
def test_the_result_is_that_of_embedding_at_every_step(pack, load_model, encoded, monkeypatch, case):
    inputs = encoded(
        pictures=0 if case == "none" else 2,
        batch=3 if case == "batch" else 1,
        negative="snow it make" if case == "one pass" else "",
    )
    if case == "area":
        inputs = (inputs[0] + _with_area(inputs[0]), *inputs[1:])
    model = load_model()
    plain = _sample(model.clone(), inputs)
    if case == "lora":
        model.add_patches(_patches(model))
    once = _sample(model, inputs)
    _at_every_step(pack, monkeypatch)
    torch.testing.assert_close(
        once, _sample(model, inputs), rtol=1e-3, atol=1e-2
    )  # sums of another order, grown by cfg
    assert torch.equal(once, plain) == (case != "lora")


def test_hooks_that_switch_weights_in_mid_run(pack, load_model, encoded, monkeypatch):
    """A LoRA that comes in at the second step must reach the embedded texts and pictures, too."""
    model, inputs = load_model(), encoded()
    group = comfy.hooks.HookGroup()
    hook = comfy.hooks.WeightHook()
    hook.weights, hook.need_weight_init = _patches(model), False
    group.add(hook)
    frames = comfy.hooks.HookKeyframeGroup()
    frames.add(comfy.hooks.HookKeyframe(strength=0.0, start_percent=0.0))
    frames.add(comfy.hooks.HookKeyframe(strength=1.0, start_percent=0.01))
    group.set_keyframes_on_hooks(frames)
    hooked = (*(comfy.hooks.set_hooks_for_conditioning(branch, group) for branch in inputs[:2]), inputs[2])

    calls = _calls(model)
    switched = _sample(model, hooked)
    assert calls["y_embedder"] == 2 * 2 * _STEPS
    assert not torch.allclose(switched, _sample(model, inputs), atol=1e-3)
    monkeypatch.setattr(pack("nodes.host.model"), "_weights_stay", lambda entry: True)
    assert not torch.allclose(switched, _sample(model, hooked), atol=1e-3), "the patches do not reach what is embedded"


def test_references_changed_on_their_way(load_model, encoded):
    """Packs put other latents in the place of these at every step."""
    model, inputs = load_model(), encoded()
    halved = [
        [text, {**values, "reference_latents": [latent / 2 for latent in values["reference_latents"]]}]
        for text, values in inputs[0]
    ]
    expected = _sample(model, (halved, *inputs[1:]), cfg=1.0)

    def wrapper(apply, arguments):
        given = arguments["c"]
        return apply(
            arguments["input"],
            arguments["timestep"],
            **{**given, "ref_latents": [latent / 2 for latent in given["ref_latents"]]},
        )

    outside, inside = model.clone(), model.clone()
    outside.set_model_unet_function_wrapper(wrapper)
    torch.testing.assert_close(_sample(outside, inputs, cfg=1.0), expected, rtol=1e-4, atol=1e-4)

    def around(executor, *args, **kwargs):
        return executor(*args, **{**kwargs, "ref_latents": [latent / 2 for latent in kwargs["ref_latents"]]})

    inside.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "test", around)
    torch.testing.assert_close(_sample(inside, inputs, cfg=1.0), expected, rtol=1e-4, atol=1e-4)


def test_nothing_is_embedded_ahead_of_a_training(load_model, encoded):
    """The host's own trainer samples with gradients on, and every step has other weights."""
    model, inputs = load_model(), encoded()
    values = {"cross_attn": inputs[0][0][0], **inputs[0][0][1]}
    given = {"noise": torch.zeros(1, 4, 8, 12), "device": torch.device("cpu"), **values}
    ahead = model.model.extra_conds(**given)["c_crossattn"].cond
    with torch.inference_mode(False), torch.enable_grad():
        own = model.model.extra_conds(**given)["c_crossattn"].cond
    assert torch.equal(own, values["cross_attn"]) and ahead.shape[-1] == model.model.diffusion_model.config.hidden_size


def test_one_graph_without_breaks_when_compiled(load_model, encoded):
    torch._dynamo.reset()
    counters.clear()
    compiled = load_model()
    set_torch_compile_wrapper(compiled, backend="eager")
    _sample(compiled, encoded(pictures=2), cfg=1.0)
    assert dict(counters["graph_break"]) == {}
    assert counters["stats"]["unique_graphs"] == 1
