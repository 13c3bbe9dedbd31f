"""EditNet: trained beside a frozen model, stopped and resumed, written, read again and refused where it cannot work."""

from __future__ import annotations

import pytest
import torch
from comfyui_ace.ace.bundles.random_bundle import make_random_bundle
from comfyui_ace.ace.lcu.units import ConditionUnit, LongContext
from comfyui_ace.ace.model.config import ACEConfig
from comfyui_ace.ace.model.editnet import EditNet, EditNetConfig, ModelWithEditNet
from comfyui_ace.ace.pipeline import ACEPipeline
from comfyui_ace.ace.weights.checkpoint import CheckpointError, load_model
from comfyui_ace.ace.weights.editnet import EditNetError, build_editnet, read_editnet, write_editnet
from comfyui_ace.ace.weights.lora import LoraError, read_lora
from comfyui_ace.training.dataset.store import Dataset, DatasetSettings, Pair
from comfyui_ace.training.trainer.errors import ConfigError
from pair_factory import picture
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from trained_adapters import base_model, inputs
from trainer_runs import assert_equal_tensors, checkpoint, losses, run, workshop_fixture  # noqa: F401

SHAPE = ACEConfig(hidden_size=32, depth=3, num_heads=2, text_width=16, max_seq_len=16)
CONFIG = EditNetConfig((0, 2), interaction=False)


def learnt(config: EditNetConfig = CONFIG) -> EditNet:
    net = EditNet.copy_of(base_model(SHAPE), config)
    generator = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        parameter.data.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return net


def written(path, **header):
    net = learnt()
    return write_editnet(path, net.state_dict(), SHAPE, CONFIG, {"base_model": "the small one", **header})


def settings(workshop, **changes) -> dict:
    return {"method": "editnet", "model": {"bundle": str(workshop.bundle)}, "editnet__every": 1, **changes}


@torch.no_grad()
def answer(model):
    return model(*inputs(model.config))


# -- files ------------------------------------------------------------------------------------------------------------


def test_a_file_brings_back_the_branch(tmp_path):
    path = written(
        tmp_path / "net.safetensors",
        trigger="make it night",
        sampler_steps="6",
        sampler_cfg="1.0",
        sampler_rescale="0.5",
    )
    file = read_editnet(path)
    assert (file.config, file.trigger, file.sampling.steps) == (CONFIG, "make it night", 6)
    net, own = build_editnet(file, SHAPE), learnt()
    assert net.config == CONFIG and not any(p.requires_grad for p in net.parameters())
    assert_equal_tensors(net.state_dict(), own.state_dict())
    model = base_model(SHAPE)
    torch.testing.assert_close(answer(ModelWithEditNet(model, net)), answer(ModelWithEditNet(model, own)))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"hidden_size": 64}, r"a width of 32 \(here 64\), MLPs of width 128 \(here 256\)"),
        ({"depth": 2}, r"3 blocks \(here 2\)"),
        ({"num_heads": 1}, r"2 attention heads \(here 1\)"),
    ],
)
def test_a_model_of_another_shape_is_refused_in_words(tmp_path, change, expected):
    from dataclasses import replace

    file = read_editnet(written(tmp_path / "net.safetensors"))
    with pytest.raises(EditNetError, match=expected + r"; use it with the model it was trained on \(the small one\)"):
        build_editnet(file, replace(SHAPE, **change))


def test_other_files_are_told_apart(tmp_path):
    path = written(tmp_path / "net.safetensors")
    lora = tmp_path / "lora.safetensors"
    save_file({"diffusion_model.blocks.0.attn.q.lora_A.weight": torch.ones(2, 32)}, lora)
    with pytest.raises(EditNetError, match=r"looks like a LoRA\. LoRAs are given with --lora"):
        read_editnet(lora)
    with pytest.raises(LoraError, match="is an EditNet and no LoRA; give it with --editnet"):
        read_lora(path)
    with pytest.raises(CheckpointError, match=r"looks like an EditNet for ACE\. An EditNet steers a model"):
        load_model(path)
    with pytest.raises(EditNetError, match="cannot be opened: there is no file"):
        read_editnet(tmp_path / "nothing.safetensors")
    save_file({"something.weight": torch.ones(2)}, lora)
    with pytest.raises(EditNetError, match=r'is no EditNet for ACE; choose a file .* method = "editnet"'):
        read_editnet(lora)


def test_files_that_another_program_has_changed_are_refused(tmp_path):
    path = written(tmp_path / "net.safetensors")
    tensors = load_file(path)
    with safe_open(str(path), framework="pt") as file:
        header = file.metadata()
    save_file(tensors, path)
    with pytest.raises(EditNetError, match="does not say what it was made for"):
        read_editnet(path)
    save_file(tensors, path, metadata={**header, "blocks": "0,1"})
    with pytest.raises(EditNetError, match="is incomplete or was changed by another program"):
        build_editnet(read_editnet(path), SHAPE)
    name = "editnet.blocks.0.token_out.weight"
    save_file({**tensors, name: torch.full_like(tensors[name], torch.nan)}, path, metadata=header)
    with pytest.raises(EditNetError, match="NaN or infinite"):
        read_editnet(path)


# -- runs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("switches", [{}, {"interaction": False, "text_update": False}], ids=["whole", "neither"])
def test_a_stopped_run_goes_on_bit_for_bit(workshop, tmp_path, switches):
    changes = settings(workshop, steps=6, ema=0.9, accumulate=2, optimizer__schedule="cosine")
    changes |= {f"editnet__{name}": value for name, value in switches.items()}
    whole = run(workshop.config(tmp_path / "whole", **changes))
    halves = workshop.config(tmp_path / "halves", **changes)
    first = run(halves, stop_at=2)
    second = run(halves)
    assert losses(first) + losses(second) == losses(whole)
    assert_equal_tensors(checkpoint(tmp_path / "halves", 6), checkpoint(tmp_path / "whole", 6))
    names = [name for name in checkpoint(tmp_path / "whole", 6) if name.startswith("model:")]
    assert names and all(name.startswith("model:editnet.") for name in names)


def test_what_a_run_writes_is_what_it_has_learnt(workshop, tmp_path):
    config = workshop.config(
        tmp_path / "night",
        **settings(
            workshop,
            steps=3,
            editnet__blocks=[1],
            editnet__every=2,
            export__trigger="make it night",
            export__licence="MIT",
        ),
    )
    run(config)
    path = tmp_path / "night" / "night.safetensors"
    file = read_editnet(path)
    assert file.config == EditNetConfig((1,)) and file.trigger == "make it night"
    header = {"architecture": "ACE", "method": "editnet", "license": "MIT", "steps": "3", "title": "night"}
    assert header.items() <= file.metadata.items() and "rank" not in file.metadata
    prefix = "model:editnet."
    kept = checkpoint(tmp_path / "night", 3)
    stored = {name.removeprefix(prefix): tensor for name, tensor in kept.items() if name.startswith(prefix)}
    assert_equal_tensors(dict(file.tensors), stored)


def test_early_stopping_hands_back_the_branch_with_the_best_score(workshop, tmp_path):
    """With the moving average, as it was measured, though the run went on to worse weights and was stopped on the way."""
    held_out = Dataset.create(tmp_path, "held-out", settings=DatasetSettings(1.0))
    for seed in range(4):
        source = picture(70 + seed, 32, 32)
        held_out.append(Pair(source=source, target=255 - source, instruction="a negative"))
    changes = settings(workshop, steps=8, ema=0.5, early_stopping__every=2, early_stopping__patience=9)
    changes |= {"checkpoints__every": 2, "checkpoints__export": True, "checkpoints__keep": 9}
    changes |= {"optimizer__learning_rate": 0.3, "data__datasets": [str(workshop.dataset), str(held_out.folder)]}
    config = workshop.config(tmp_path / "run", **changes)
    run(config, stop_at=5)
    end = run(config)[-1]
    best = end["best_step"]
    assert end["step"] == 8 and best < 8
    file = read_editnet(tmp_path / "run" / "run.safetensors")
    assert (file.metadata["steps"], file.metadata["steps_done"]) == (str(best), "8")
    beside = read_editnet(tmp_path / "run" / "exports" / f"run-{best:08d}.safetensors")
    assert_equal_tensors(dict(file.tensors), dict(beside.tensors))
    last = checkpoint(tmp_path / "run", 8)
    assert any(not torch.equal(t, last[f"average:editnet.{name}"]) for name, t in file.tensors.items())


def test_a_run_with_other_blocks_does_not_go_on_and_settings_of_loras_do_not_matter(workshop, tmp_path):
    changes = settings(workshop, steps=2)
    run(workshop.config(tmp_path / "run", **changes))
    with pytest.raises(ConfigError, match=r"editnet\.text_update changed from True to False"):
        run(workshop.config(tmp_path / "run", **{**changes, "steps": 4, "editnet__text_update": False}))
    run(workshop.config(tmp_path / "run", **{**changes, "steps": 3, "lora__rank": 7}))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"editnet__blocks": [0, 9]}, "editnet.blocks: there is no block 9; this model has 4, numbered 0 to 3"),
        ({"editnet__blocks": [1, 0]}, "write each block once and in their order"),
        ({"optimizer__name": "muon"}, "optimizer.name is muon, which is for whole models"),
    ],
)
def test_settings_that_make_no_branch_are_refused(workshop, tmp_path, changes, expected):
    with pytest.raises(ConfigError, match=expected):
        run(workshop.config(tmp_path / "run", **settings(workshop, **changes)))


@pytest.mark.parametrize("method", ["guidance", "consistency"])
def test_it_learns_from_the_model_without_it(workshop, tmp_path, method):
    changes = settings(workshop, steps=2, distil__method=method, distil__steps=2, distil__guidance_scale=3.0)
    run(workshop.config(tmp_path / "run", **changes))
    file = read_editnet(tmp_path / "run" / "run.safetensors")
    assert file.sampling.guidance_scale == 1.0 and any(
        t.abs().sum() > 0 for n, t in file.tensors.items() if "token_out" in n
    )


# -- use --------------------------------------------------------------------------------------------------------------


def test_the_pipeline_samples_with_a_branch_and_as_it_recommends(tmp_path):
    bundle = make_random_bundle(tmp_path / "bundle")
    pipeline = ACEPipeline.load(bundle)
    model, config = pipeline.model, EditNetConfig((0,))
    net = EditNet.copy_of(model, config)
    for parameter in net.parameters():
        parameter.data.add_(0.1)
    recommended = {"sampler_steps": "3", "sampler_cfg": "1.0", "sampler_rescale": "0.0"}
    file = read_editnet(
        write_editnet(tmp_path / "net.safetensors", net.state_dict(), model.config, config, recommended)
    )
    told: list[str] = []
    steered = pipeline.with_adapters(editnets=[(file, 1.0)], notify=told.append)
    assert steered.defaults.steps == 3 and "net.safetensors recommends to sample with 3 steps" in told[0]
    assert pipeline.with_adapters(editnets=[(file, 0.5)]).defaults == pipeline.defaults
    off = pipeline.with_adapters(editnets=[(file, 0.0)])
    context = LongContext(ConditionUnit("a red house", []))
    one, two, three = (p(context, steps=2, guidance_scale=2.0).latents for p in (pipeline, off, steered))
    assert torch.equal(one, two) and not torch.equal(one, three)


def test_a_lora_goes_into_the_model_that_has_a_branch(tmp_path):
    pipeline = ACEPipeline.load(make_random_bundle(tmp_path / "bundle"))
    model, config = pipeline.model, EditNetConfig((0,))
    net = EditNet.copy_of(model, config)
    write_editnet(tmp_path / "net.safetensors", net.state_dict(), model.config, config, {})
    width, before = model.config.hidden_size, model.blocks[0].attn.q.weight.detach().clone()
    layer = "diffusion_model.blocks.0.attn.q"
    save_file(
        {f"{layer}.lora_A.weight": torch.ones(1, width), f"{layer}.lora_B.weight": torch.ones(width, 1)},
        tmp_path / "lora.safetensors",
    )
    steered = pipeline.with_adapters(editnets=[(read_editnet(tmp_path / "net.safetensors"), 1.0)])
    both = steered.with_loras([(read_lora(tmp_path / "lora.safetensors"), 1.0)])
    assert isinstance(both.model, ModelWithEditNet) and both.model.base is model
    torch.testing.assert_close(model.blocks[0].attn.q.weight, before + 1)
    torch.testing.assert_close(both.model.editnet.blocks["0"].copy.attn.q.weight, before)
