"""Whole runs: what is learnt, shown and handed back; one process and two."""

from __future__ import annotations

import multiprocessing
import os
import socket
from dataclasses import replace

import numpy as np
import pytest
import torch
from comfyui_ace.ace.checkpoint import load_model
from comfyui_ace.training.pairs import Dataset, Pair
from comfyui_ace.training.trainer.config_file import make_config
from comfyui_ace.training.trainer.run import train
from pair_factory import picture
from PIL import Image
from trainer_runs import checkpoint, losses, metrics, run, workshop_fixture  # noqa: F401

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["comfyui_ace.training.trainer.run", "comfyui_ace.cli", "accelerate", "trainer_runs"])


def worker(rank: int, processes: int, port: int, table: dict) -> None:
    """One of several processes, as `accelerate launch` starts them on CPUs."""
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in names.items()}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "ACCELERATE_USE_CPU": "true"}
    torch.set_num_threads(1)
    train(make_config(table))


def run_processes(table: dict, processes: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = [PROCESSES.Process(target=worker, args=(rank, processes, port, table)) for rank in range(processes)]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
    assert [child.exitcode for child in children] == [0] * processes


def test_two_processes_equal_one_with_the_doubled_batch(workshop, tmp_path):
    # A large eps keeps AdamW from blowing up the rounding of gradients that are almost zero.
    changes = {"steps": 2, "validation__every": 2, "accumulate": 2, "ema": 0.5, "optimizer__eps": 0.01}
    run(workshop.config(tmp_path / "one", batch_size=4, **changes))
    run_processes(workshop.table(tmp_path / "two", batch_size=2, **changes), 2)
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
    run_processes(workshop.table(tmp_path / "two", steps=3, batch_size=2, **changes), 2)
    assert metrics(tmp_path / "two")[-1]["loss"] == pytest.approx(metrics(tmp_path / "one")[-1]["loss"], rel=1e-4)
    one, two = checkpoint(tmp_path / "one", 3), checkpoint(tmp_path / "two", 3)
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-5, msg=name)


def test_one_pair_is_learnt_by_heart(workshop, tmp_path):
    dataset = Dataset.create(tmp_path, "one")
    source = picture(0, 16, 32)
    dataset.append(Pair(source=source, target=255 - source, instruction="{image} as a negative"))
    dataset.rewrite(lambda row: replace(row, split="train"))
    shape = {"hidden_size": 128, "depth": 2, "num_heads": 2, "max_seq_len": 16}
    events = run(
        workshop.config(
            tmp_path / "run",
            steps=300,
            batch_size=16,
            ema=0.95,
            data__datasets=[str(dataset.folder)],
            model__scratch=shape,
            optimizer__learning_rate=3e-3,
            optimizer__schedule="cosine",
            objective__timesteps="stratified",
            objective__instruction_dropout=0.0,
        )
    )
    course = losses(events)
    assert np.mean(course[:3]) > 0.8 and np.mean(course[-20:]) < 0.03
    model = load_model(tmp_path / "run" / "run.safetensors")
    assert drawn_error(workshop, dataset, model) < 0.25


def drawn_error(workshop, dataset: Dataset, model) -> float:
    """Relative distance of the sampled latent from the target's, which is the VAE's ceiling."""
    from comfyui_ace.ace.bundle import find_bundle
    from comfyui_ace.ace.encode import encode
    from comfyui_ace.ace.lcu import ConditionImage, ConditionUnit, LongContext
    from comfyui_ace.ace.pictures import load_picture
    from comfyui_ace.ace.resolution import Resolution
    from comfyui_ace.ace.sampler import draw_noise, sample
    from comfyui_ace.ace.text import T5TextEncoder
    from comfyui_ace.ace.vae import DiffusersVAE

    bundle = find_bundle(workshop.bundle)
    text_encoder = T5TextEncoder.load(bundle.text_encoder, bundle.tokenizer, dtype=torch.float32)
    vae = DiffusersVAE.load(bundle.vae)
    row = next(dataset.rows())
    unit = ConditionUnit(row.instruction, [ConditionImage(load_picture(dataset.folder / row.source_file_name))])
    encoded = encode(LongContext(unit), text_encoder, vae, resolution=Resolution.published(64))
    latent = sample(model, draw_noise(encoded.latent_shape, 5), encoded.positive, None, steps=20, guidance_scale=1.0)
    wanted = vae.encode(load_picture(dataset.folder / row.target_file_name))
    return ((latent - wanted).norm() / wanted.norm()).item()


def test_validation_is_the_same_at_every_measurement(workshop, tmp_path):
    frozen = {"steps": 2, "optimizer__learning_rate": 1e-30, "optimizer__weight_decay": 0.0, "validation__every": 1}
    events = run(workshop.config(tmp_path / "run", **frozen))
    first, second = (event for event in events if event["event"] == "validation")
    assert first["loss"] == second["loss"]
    assert list(first["by_timestep"]) == ["100-199", "300-399", "600-699", "800-899"]
    smaller = run(workshop.config(tmp_path / "other", **frozen, batch_size=1))
    assert losses(smaller, "validation")[0] == pytest.approx(first["loss"], rel=1e-5)


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
    assert sum(step["by_timestep"].values()) / len(step["by_timestep"]) == pytest.approx(step["loss"], rel=0.9)


def test_weights_scale_the_loss(workshop, tmp_path):
    """The whole dataset at half its weight gives half the loss."""
    dataset = Dataset.create(tmp_path, "half")
    for seed in range(2):
        source = picture(seed, 32, 32)
        dataset.append(Pair(source=source, target=255 - source, instruction="{image} x", weight=0.5))
    dataset.rewrite(lambda row: replace(row, split="train"))
    changes = {"steps": 1, "data__datasets": [str(dataset.folder)]}
    soft = losses(run(workshop.config(tmp_path / "soft", **changes)))
    ignored = losses(run(workshop.config(tmp_path / "ignored", **changes, data__weights="ignore")))
    assert soft[0] == pytest.approx(ignored[0] / 2, rel=1e-6)


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


def test_a_store_on_disk_gives_the_same_run(workshop, tmp_path):
    in_memory = run(workshop.config(tmp_path / "memory", steps=3))
    on_disk = run(workshop.config(tmp_path / "disk", steps=3, data__keep_in_memory_mb=0))
    assert losses(on_disk) == losses(in_memory)
