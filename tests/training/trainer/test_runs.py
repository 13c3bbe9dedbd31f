"""Whole runs: what is learnt, shown and handed back; one process and two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from comfyui_ace.ace.bundles.bundle import SHIPPED_BUNDLES, find_bundle
from comfyui_ace.ace.encode import encode
from comfyui_ace.ace.lcu.units import ConditionImage, ConditionUnit, LongContext
from comfyui_ace.ace.model.sampler import draw_noise, sample
from comfyui_ace.ace.pictures.image_files import load_picture
from comfyui_ace.ace.pictures.resolution import Resolution
from comfyui_ace.ace.text import T5TextEncoder
from comfyui_ace.ace.vae import DiffusersVAE
from comfyui_ace.ace.weights.checkpoint import load_model
from comfyui_ace.training.dataset.store import Dataset, Pair
from comfyui_ace.training.trainer.config_file import make_config
from comfyui_ace.training.trainer.run import train
from pair_factory import picture
from PIL import Image
from trainer_runs import checkpoint, finish_processes, join_run, losses, metrics, run, workshop_fixture  # noqa: F401

PHOTOGRAPH = Path(__file__).parents[3] / "commands" / "data" / "cat.jpg"


def worker(rank: int, processes: int, port: int, table: dict) -> None:
    join_run(rank, processes, port)
    train(make_config(table))


def test_two_processes_equal_one_with_the_doubled_batch(workshop, tmp_path):
    # A large eps keeps AdamW from blowing up the rounding of gradients that are almost zero.
    changes = {"steps": 2, "validation__every": 2, "accumulate": 2, "ema": 0.5, "optimizer__eps": 0.01}
    run(workshop.config(tmp_path / "one", batch_size=4, **changes))
    finish_processes(worker, 2, workshop.table(tmp_path / "two", batch_size=2, **changes))
    one, two = checkpoint(tmp_path / "one", 2), checkpoint(tmp_path / "two", 2)
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-5, msg=name)
    for first, second in zip(metrics(tmp_path / "one"), metrics(tmp_path / "two"), strict=True):
        assert second["loss"] == pytest.approx(first["loss"], rel=1e-4)


def test_a_lora_run_goes_on_with_another_number_of_processes(workshop, tmp_path):
    changes = {"method": "lora", "model": {"bundle": str(workshop.bundle)}, "lora__rank": 2, "optimizer__eps": 0.01}
    for output, steps in (("one", 2), ("one", 3), ("two", 2)):
        run(workshop.config(tmp_path / output, steps=steps, batch_size=4, **changes))
    finish_processes(worker, 2, workshop.table(tmp_path / "two", steps=3, batch_size=2, **changes))
    assert metrics(tmp_path / "two")[-1]["loss"] == pytest.approx(metrics(tmp_path / "one")[-1]["loss"], rel=1e-4)
    one, two = checkpoint(tmp_path / "one", 3), checkpoint(tmp_path / "two", 3)
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-5, msg=name)


def test_one_pair_is_learnt_up_to_what_the_vae_can_show(workshop, tmp_path):
    """An edit that ace-tiny does not know, of one photograph, against the VAE's round trip of the wanted picture."""
    dataset = Dataset.create(tmp_path, "one")
    source = np.asarray(Image.open(PHOTOGRAPH).convert("RGB").resize((48, 48), Image.Resampling.LANCZOS))
    target = np.ascontiguousarray(255 - source[::-1, :, [1, 2, 0]])
    dataset.append(Pair(source=source, target=target, instruction="{image} through the looking glass"))
    dataset.rewrite(lambda row: replace(row, split="train"))
    events = run(
        workshop.config(
            tmp_path / "run",
            steps=90,
            batch_size=8,
            model={"bundle": str(SHIPPED_BUNDLES / "ace-tiny")},
            data__datasets=[str(dataset.folder)],
            optimizer__learning_rate=2e-3,
            optimizer__schedule="cosine",
            objective__timesteps="stratified",
            objective__weighting="velocity",
            objective__instruction_dropout=0.0,
        )
    )
    course = losses(events)
    assert np.mean(course[-10:]) < 0.3 * np.mean(course[:3])
    before, after, ceiling = distances(dataset, load_model(tmp_path / "run" / "run.safetensors"))
    assert ceiling < 0.5 * before
    assert (before - after) / (before - ceiling) > 0.95


def distances(dataset: Dataset, model) -> tuple[float, float, float]:
    """Mean absolute distance to the wanted picture: of the source, of what the model draws, of the VAE's round trip."""
    bundle = find_bundle(SHIPPED_BUNDLES / "ace-tiny")
    text_encoder = T5TextEncoder.load(bundle.text_encoder, bundle.tokenizer, dtype=torch.float32)
    vae = DiffusersVAE.load(bundle.vae)
    row = next(dataset.rows())
    source, wanted = (load_picture(dataset.folder / name) for name in (row.source_file_name, row.target_file_name))
    unit = ConditionUnit(row.instruction, [ConditionImage(source)])
    encoded = encode(LongContext(unit), text_encoder, vae, resolution=Resolution.published(64))
    latent = sample(model, draw_noise(encoded.latent_shape, 5), encoded.positive, None, steps=20, guidance_scale=1.0)
    shown = (source, vae.decode(latent), vae.decode(vae.encode(wanted)))
    return tuple((picture - wanted).abs().mean().item() for picture in shown)


def test_validation_is_the_same_at_every_measurement(workshop, tmp_path):
    frozen = {"steps": 2, "optimizer__learning_rate": 1e-30, "optimizer__weight_decay": 0.0, "validation__every": 1}
    events = run(workshop.config(tmp_path / "run", **frozen))
    first, second = (event for event in events if event["event"] == "validation")
    assert first["loss"] == second["loss"]
    assert list(first["by_timestep"]) == ["100-199", "300-399", "600-699", "800-899"]
    smaller = run(workshop.config(tmp_path / "other", **frozen, batch_size=1))
    assert losses(smaller, "validation")[0] == pytest.approx(first["loss"], rel=1e-5)


def test_samples_are_drawn_as_the_bundle_recommends(workshop):
    from comfyui_ace.ace.bundles.bundle import BundleDefaults

    own = BundleDefaults(steps=7, guidance_scale=1.5, guidance_rescale=0.25)
    settings = workshop.config(workshop.folder / "unused", samples__guidance_scale=0.0).samples.with_defaults(own)
    assert (settings.steps, settings.guidance_scale, settings.guidance_rescale) == (7, 0.0, 0.25)


def test_samples_lie_beside_the_teachers(workshop, tmp_path):
    events = run(workshop.config(tmp_path / "run", steps=2, samples__every=1, samples__steps=1, samples__count=2))
    paths = [event["path"] for event in events if event["event"] == "samples"]
    assert [path.rsplit("/", 1)[1] for path in paths] == ["step-00000001.png", "step-00000002.png"]
    sheet = np.asarray(Image.open(paths[0]))
    assert sheet.shape == (8 + 2 * (16 + 32 + 8), 8 + 3 * (32 + 8), 3)
    dataset = Dataset(workshop.dataset)
    for number, row in enumerate(dataset.rows("validation")):
        top = 8 + 16 + number * 56
        pair = dataset.load(row)
        assert np.array_equal(sheet[top : top + 32, 8:40], pair.source)
        assert np.array_equal(sheet[top : top + 32, 48:80], pair.target)


def test_one_json_line_a_step(workshop, tmp_path):
    run(workshop.config(tmp_path / "run", steps=3, validation__every=2))
    lines = metrics(tmp_path / "run")
    assert [(line["event"], line["step"]) for line in lines] == [
        ("step", 1),
        ("step", 2),
        ("validation", 2),
        ("step", 3),
    ]
    step = lines[0]
    assert step["learning_rate"] == 1e-2 and step["pairs_per_second"] > 0 and step["epoch"] == 0.25
    for line in lines:  # two pairs a batch, so one or two ranges of equal weight
        if line["event"] == "step":
            assert np.mean(list(line["by_timestep"].values())) == pytest.approx(line["loss"], rel=1e-6)


def test_weights_scale_the_objective_and_not_the_loss(workshop, tmp_path):
    """The whole dataset at half its weight gives half of what is minimised; the loss compares with held-out pairs."""
    dataset = Dataset.create(tmp_path, "half")
    for seed in range(2):
        source = picture(seed, 32, 32)
        dataset.append(Pair(source=source, target=255 - source, instruction="{image} x", weight=0.5))
    dataset.rewrite(lambda row: replace(row, split="train"))
    changes = {"steps": 1, "data__datasets": [str(dataset.folder)]}
    (soft,) = (e for e in run(workshop.config(tmp_path / "soft", **changes)) if e["event"] == "step")
    ignoring = workshop.config(tmp_path / "ignored", **changes, data__weights="ignore")
    (ignored,) = (e for e in run(ignoring) if e["event"] == "step")
    assert soft["loss"] == ignored["loss"] == ignored["objective"]
    assert soft["objective"] == pytest.approx(ignored["loss"] / 2, rel=1e-6)


def test_held_out_loss_is_on_the_scale_of_the_training_loss(workshop, tmp_path):
    """Weights by timestep change what is minimised, not the numbers that are compared."""
    changes = {"steps": 1, "validation__every": 1, "optimizer__learning_rate": 1e-30}
    plain, weighted = (
        run(workshop.config(tmp_path / name, **changes, objective__weighting=name)) for name in ("noise", "velocity")
    )
    for kind in ("step", "validation"):
        assert losses(weighted, kind) == losses(plain, kind)
    (step,) = (event for event in weighted if event["event"] == "step")
    assert step["objective"] != pytest.approx(step["loss"], rel=1e-3)


@pytest.mark.parametrize(("every", "title"), [(0, "Training loss by timestep, smoothed"), (1, "Held-out loss")])
def test_both_halves_of_the_plot_are_drawn(workshop, tmp_path, monkeypatch, every, title):
    from matplotlib.figure import Figure

    figures = []
    real = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), real(self, *a, **k))[1])
    run(workshop.config(tmp_path / "run", steps=4, plot=True, validation__every=every))
    left, right = figures[0].axes
    assert len(left.lines) == 2 + bool(every) and right.lines and right.get_title().startswith(title)
    assert all(len(line.get_xdata()) for line in right.lines)


def test_the_moving_average_is_handed_back(workshop, tmp_path):
    run(workshop.config(tmp_path / "run", steps=3, ema=0.9))
    stored = checkpoint(tmp_path / "run", 3)
    model = load_model(tmp_path / "run" / "run.safetensors").state_dict()
    average = {name.removeprefix("average:"): t for name, t in stored.items() if name.startswith("average:")}
    raw = {name.removeprefix("model:"): t for name, t in stored.items() if name.startswith("model:")}
    assert average.keys() == raw.keys() and len(average) > 20
    assert all(torch.equal(model[name], tensor) for name, tensor in average.items())
    assert not torch.equal(average["final_layer.linear.weight"], raw["final_layer.linear.weight"])


def test_bf16_and_recomputed_blocks_train(workshop, tmp_path):
    for method in ("full", "lora"):
        changes = {"method": method, "model": {"bundle": str(workshop.bundle)}, "steps": 2}
        plain = losses(run(workshop.config(tmp_path / f"plain-{method}", **changes)))
        sparing = losses(run(workshop.config(tmp_path / f"sparing-{method}", **changes, gradient_checkpointing=True)))
        assert sparing == plain
        rough = losses(run(workshop.config(tmp_path / f"rough-{method}", **changes, precision="bf16")))
        assert rough != plain and rough == pytest.approx(plain, rel=0.1)
        state = checkpoint(tmp_path / f"rough-{method}", 2)
        assert {tensor.dtype for tensor in state.values()} == {torch.float32}


def test_blocks_are_recomputed_where_memory_is_short(workshop):
    from comfyui_ace.training.trainer.base_model import find_base_model, make_model

    config = workshop.config(workshop.folder / "unused", gradient_checkpointing="auto")
    for device, recomputed in (("cpu", False), ("meta", True)):
        model = make_model(config, find_base_model(config.model), 32, device)
        assert ("forward" in vars(model.blocks[0])) is recomputed


def test_a_store_on_disk_gives_the_same_run(workshop, tmp_path):
    in_memory = run(workshop.config(tmp_path / "memory", steps=3))
    on_disk = run(workshop.config(tmp_path / "disk", steps=3, data__keep_in_memory_mb=0))
    assert losses(on_disk) == losses(in_memory)
