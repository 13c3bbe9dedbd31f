"""Transformer and text encoder of ace-tiny, trained together; on a CPU, with small networks."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
import torch

pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("skimage")
pytest.importorskip("sklearn")

import comfyui_ace
from comfyui_ace.ace.bundles.bundle import find_bundle
from comfyui_ace.ace.pictures.resolution import Resolution
from comfyui_ace.ace.text import END_TOKEN, T5TextEncoder
from comfyui_ace.ace.vae import DiffusersVAE
from comfyui_ace.ace.weights.checkpoint import load_model
from comfyui_ace.training.tiny.joint.__main__ import held_out_losses, save
from comfyui_ace.training.tiny.joint.drawing import (
    MAX_TOKENS,
    MOST_TOKENS,
    Drawing,
    DrawingProcesses,
    to_tensors,
    without_instruction,
)
from comfyui_ace.training.tiny.joint.learner import JointSettings, Learner
from comfyui_ace.training.tiny.joint.pool import Intake, Pool
from comfyui_ace.training.tiny.text import T5_NAME
from comfyui_ace.training.tiny.world.examples import Examples

BUNDLE = find_bundle(Path(comfyui_ace.__file__).parent / "bundles" / "ace-tiny")
SMALL = JointSettings(width=64, depth=2, heads=2, batch=8, warmup=5, muon=0.02, ema=0.9, bfloat16=False)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def text():
    return T5TextEncoder.load(BUNDLE.text_encoder, BUNDLE.tokenizer, dtype=torch.float32)


@pytest.fixture
def learner():
    own = T5TextEncoder.load(BUNDLE.text_encoder, BUNDLE.tokenizer, dtype=torch.float32)
    return Learner(own.model, own.tokenizer, SMALL, CPU)


@pytest.fixture(scope="module")
def pool():
    pool = Pool(DiffusersVAE.load(BUNDLE.vae), CPU)
    for batch in islice(Drawing(BUNDLE.tokenizer, rows=3).batches(0, 1), 4):
        pool.add(batch)
    return pool


def drawn(text, *examples):
    return to_tensors(examples, text.tokenizer, Resolution.published(MAX_TOKENS))


def test_tensors_hold_what_the_model_is_given(text):
    example = Examples("train").of("masked_invert", 3)
    batch = drawn(text, example, example)
    assert batch.layout == (1, 128, 128)
    assert batch.pictures.shape == (2, 2, 128, 128, 3) and batch.pictures.dtype == torch.uint8
    assert torch.equal(batch.pictures[0, 0], (example.target[0] * 255).round().to(torch.uint8))
    assert torch.equal(batch.masks[0, 0], batch.masks[0, 1]) and 0 < batch.masks[0, 0].float().mean() < 1
    assert batch.ids.shape == (2, 2, MOST_TOKENS)
    assert batch.dropped.tolist() == [[True, True]] * 2


def test_earlier_rounds_keep_their_words_when_the_instruction_is_dropped(text):
    batch = drawn(text, Examples("train").of("two_rounds", 1))
    ids = without_instruction(batch.ids, batch.dropped)
    assert batch.dropped.tolist() == [[True, False, True]]
    assert torch.equal(ids[0, 1], batch.ids[0, 1])
    for emptied in (0, 2):
        assert ids[0, emptied].tolist() == [END_TOKEN] + [0] * (MOST_TOKENS - 1)


def test_examples_of_different_layouts_are_refused(text):
    examples = Examples("train")
    with pytest.raises((ValueError, RuntimeError)):
        drawn(text, examples.of("invert", 1), examples.of("paste", 1))


def test_the_pool_gives_back_what_came_in(pool):
    import numpy as np

    batch = next(Drawing(BUNDLE.tokenizer, rows=3).batches(0, 1))
    one = Pool(pool.vae, CPU)
    one.add(batch)
    one.add(batch)
    assert len(one) == 6 and one.counts == {batch.layout: 6}
    chosen = one.choose(np.random.default_rng(0), 5, 20)
    assert chosen.ids.shape == (5, batch.ids.shape[1], 20)
    known = one.vae.encode(batch.pictures[:, 0].float() / 255).half()
    for latent, ids in zip(chosen.latents[:, 0], chosen.ids, strict=True):
        row = next(k for k in range(3) if torch.equal(batch.ids[k, :, :20].long(), ids))
        torch.testing.assert_close(latent, known[row].float(), atol=2e-2, rtol=0)


def test_both_networks_learn(learner, pool):
    before = {name: tensor.clone() for name, tensor in learner.text_encoder.state_dict().items()}
    losses = [learner.train_step(pool, 0.0).item() for _ in range(60)]
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])
    moved = [
        name for name, tensor in learner.text_encoder.state_dict().items() if not torch.equal(tensor, before[name])
    ]
    assert any("SelfAttention" in name for name in moved)
    held_out = held_out_losses(learner, pool)
    assert all(value > 0 for value in held_out.values())


def test_words_count(learner, pool):
    """Another sentence, another prediction: the texts really reach the transformer."""
    import numpy as np

    for _ in range(5):
        learner.train_step(pool, 0.0)
    chosen = pool.choose(np.random.default_rng(1), 2, MOST_TOKENS)
    noisy, when = torch.randn_like(chosen.latents[:, 0]), torch.tensor([500, 500])
    with torch.no_grad():
        other = chosen.ids.clone()
        other[:, 0, 0] = other[:, 0, 0] + 3
        answers = [learner.model(noisy, when, learner.condition(chosen, ids)) for ids in (chosen.ids, other)]
    assert (answers[0] - answers[1]).abs().max() > 1e-4


def test_what_is_saved_is_a_bundles(learner, pool, tmp_path):
    learner.train_step(pool, 0.0)
    save(learner, tmp_path)
    model = load_model(tmp_path / "dit" / "ace_tiny.safetensors", dtype=torch.float32)
    assert model.config == learner.model.config
    loaded = T5TextEncoder.load(tmp_path / "text_encoder" / T5_NAME, BUNDLE.tokenizer, dtype=torch.float32)
    with learner.ema.applied():
        for name, tensor in learner.model.state_dict().items():
            torch.testing.assert_close(model.state_dict()[name], tensor.half().float())
        for name, tensor in learner.text_encoder.state_dict().items():
            torch.testing.assert_close(loaded.model.state_dict()[name], tensor.half().float())


def test_other_processes_draw_the_same_batches():
    drawing = Drawing(BUNDLE.tokenizer, rows=2, photographs=0.0)
    processes = DrawingProcesses(drawing, 1)
    try:
        found = [processes.get(wait=True) for _ in range(2)]
    finally:
        processes.close()
    for batch, expected in zip(found, islice(drawing.batches(0, 1), 2), strict=True):
        assert torch.equal(batch.pictures, expected.pictures) and torch.equal(batch.ids, expected.ids)


class FewBatches:
    """Draws what it is given, then has ended."""

    def __init__(self, batches):
        self.left = list(batches)

    def get(self, wait):
        if not self.left:
            raise RuntimeError("the processes have ended")
        return self.left.pop(0)


def test_the_intake_brings_what_is_drawn_in_its_order_and_says_when_no_more_comes(pool):
    drawn = list(islice(Drawing(BUNDLE.tokenizer, rows=2).batches(0, 1), 3))
    intake = Intake(FewBatches(drawn), pool)
    for batch in drawn:
        encoded = intake.wait()
        assert encoded.layout == batch.layout
        assert torch.equal(encoded.columns[2], batch.ids)
        torch.testing.assert_close(encoded.columns[0], pool.encode(batch).columns[0])
    with pytest.raises(RuntimeError, match="have ended"):
        intake.wait()
    intake.close()


def test_a_closed_intake_ends_though_nobody_takes_what_is_ready(pool):
    batch = next(Drawing(BUNDLE.tokenizer, rows=2).batches(0, 1))
    intake = Intake(FewBatches([batch] * 50), pool, ahead=1)
    assert [one.layout for one in intake.ready(0)] == []
    intake.wait()
    intake.close()
    assert not intake._thread.is_alive()


def test_a_learner_goes_on_from_given_weights(text):
    own = T5TextEncoder.load(BUNDLE.text_encoder, BUNDLE.tokenizer, dtype=torch.float32)
    first = Learner(own.model, own.tokenizer, SMALL, CPU)
    start = {name: tensor + 0.5 for name, tensor in first.model.state_dict().items()}
    other = Learner(own.model, own.tokenizer, SMALL, CPU, start)
    assert all(torch.equal(tensor, start[name]) for name, tensor in other.model.state_dict().items())
    with pytest.raises(RuntimeError):
        Learner(own.model, own.tokenizer, JointSettings(width=32, depth=2, heads=2), CPU, start)
