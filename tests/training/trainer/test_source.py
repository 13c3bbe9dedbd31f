"""Examples that are drawn while training: what the model gets of them, exact resume, several processes, faults."""

from __future__ import annotations

import pytest
import torch
from comfyui_ace.ace.bundles.bundle import find_bundle
from comfyui_ace.ace.encode import encode
from comfyui_ace.ace.pictures.resolution import Resolution
from comfyui_ace.ace.text import T5TextEncoder
from comfyui_ace.ace.vae import DiffusersVAE
from comfyui_ace.training.trainer.data.batches import collate
from comfyui_ace.training.trainer.data.drawn import DrawnBatches, ExampleEncoder, MixedBatches
from comfyui_ace.training.trainer.data.source import open_source, source_digest
from comfyui_ace.training.trainer.errors import ConfigError, DataError, TrainError
from comfyui_ace.training.trainer.inspect_run import describe
from comfyui_ace.training.trainer.run import train
from drawn_examples import Squares
from trainer_runs import (
    assert_equal_tensors,
    checkpoint,
    finish_processes,
    join_run,
    losses,
    run,
    workshop_fixture,  # noqa: F401
)

SOURCE = {"name": "drawn_examples:Squares"}
WHOLE = slice(0, 4)


@pytest.fixture(scope="module", name="encoder")
def encoder_fixture(workshop) -> ExampleEncoder:
    bundle = find_bundle(workshop.bundle)
    text = T5TextEncoder.load(bundle.text_encoder, bundle.tokenizer, dtype=torch.float32)
    return ExampleEncoder(DiffusersVAE.load(bundle.vae), text, Resolution.published(64), memory=2**20)


def drawing(workshop, output, **changes):
    """A run that is fed by the source alone."""
    return workshop.config(output, data__datasets=[], **{"data__source": SOURCE, **changes})


@pytest.mark.parametrize("batch", [0, 1, 2])
def test_a_drawn_example_reaches_the_model_as_it_does_when_sampling(encoder, batch):
    source = Squares()
    samples = encoder.encode([source.draw(batch, row) for row in range(2)])
    found = collate(samples, [False, True], encoder.indicators)
    for row in range(2):
        example = source.draw(batch, row)
        wanted = encode(example.context, encoder.text_encoder, encoder.vae, resolution=encoder.resolution)
        wanted = wanted.negative if row else wanted.positive
        given = found.conditioning
        for k, text in enumerate(wanted.context):
            length = text.shape[1]
            torch.testing.assert_close(given.context[k][row, :length], text[0])
            assert (
                not given.context_masks or given.context_masks[k] is None or given.context_masks[k][row].sum() == length
            )
        for one, other in zip(given.references, wanted.references, strict=True):
            torch.testing.assert_close(one[row], other[0], rtol=1e-4, atol=1e-5)
        mask = given.target_mask
        assert (mask is None) == (wanted.target_mask is None)
        assert mask is None or torch.equal(mask[row], wanted.target_mask[0])
        torch.testing.assert_close(found.latents[row], encoder.vae.encode(example.target)[0], rtol=1e-4, atol=1e-5)


def test_texts_are_embedded_once_while_there_is_room(encoder, monkeypatch):
    asked = []
    embed = encoder.text_encoder.embed
    monkeypatch.setattr(encoder.text_encoder, "embed", lambda ids: asked.append(len(ids)) or embed(ids))
    fresh = ExampleEncoder(encoder.vae, encoder.text_encoder, encoder.resolution, memory=2**20)
    asked.clear()  # the table of indicators
    examples = [Squares().draw(0, row) for row in range(3)]
    first = fresh.encode(examples)
    assert sum(asked) == 2  # one instruction for all rows, and the empty one
    again = fresh.encode(examples)
    assert sum(asked) == 2 and torch.equal(first[1].texts[0], again[1].texts[0])
    fresh.memory = 0
    fresh.encode(examples)
    fresh.encode(examples)
    assert sum(asked) > 2 and not fresh._texts


@pytest.mark.parametrize("passes", [1, 3])
def test_every_batch_is_drawn_as_often_as_wished(encoder, passes):
    source = Squares(side=16)
    batches = DrawnBatches(source, encoder, 4, passes=passes, seed=5)
    used = [batches.drawn_batch(number) for number in range(32 * passes)]
    assert sorted(used) == sorted(list(range(32)) * passes)
    assert used == [DrawnBatches(source, encoder, 4, passes=passes, seed=5).drawn_batch(n) for n in range(32 * passes)]
    for number in range(16 * passes):
        batches.part(number, WHOLE)
    assert len(source.asked) == 16 * 4  # encoded once, and kept for the passes to come


def test_drawn_batches_lie_evenly_among_stored_ones():
    class Recorder:
        def __init__(self):
            self.asked = []

        def part(self, number, rows):
            self.asked.append(number)
            return []

    stored, drawn = Recorder(), Recorder()
    mixed = MixedBatches(stored, drawn, 0.3)
    for number in range(100):
        mixed.part(number, WHOLE)
        assert abs(len(drawn.asked) - 0.3 * (number + 1)) < 1
    assert stored.asked == list(range(70)) and drawn.asked == list(range(30))


def test_a_stopped_run_goes_on_bit_for_bit(workshop, tmp_path):
    settings = {"steps": 6, "ema": 0.9, "accumulate": 2, "data__source": {**SOURCE, "passes": 2}}
    whole = run(drawing(workshop, tmp_path / "whole", **settings))
    halves = drawing(workshop, tmp_path / "halves", **settings)
    first = run(halves, stop_at=2)
    second = run(halves)
    assert losses(first) + losses(second) == losses(whole)
    assert_equal_tensors(checkpoint(tmp_path / "halves", 6), checkpoint(tmp_path / "whole", 6))


def worker(rank: int, processes: int, port: int, table: dict) -> None:
    join_run(rank, processes, port)
    from comfyui_ace.training.trainer.config_file import make_config

    train(make_config(table))


def test_two_processes_equal_one_with_the_doubled_batch(workshop, tmp_path):
    changes = {"data__datasets": [], "data__source": SOURCE, "steps": 3, "optimizer__eps": 0.01}
    run(workshop.config(tmp_path / "one", batch_size=4, **changes))
    finish_processes(worker, 2, workshop.table(tmp_path / "two", batch_size=2, **changes))
    one, two = checkpoint(tmp_path / "one", 3), checkpoint(tmp_path / "two", 3)
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


def test_a_source_beside_datasets_is_measured_and_drawn_with_them(workshop, tmp_path):
    changes = {
        "data__source": {**SOURCE, "share": 0.5},
        "steps": 4,
        "validation__every": 2,
        "validation__max_examples": 3,
        "samples__every": 4,
        "samples__count": 1,
        "samples__steps": 1,
    }
    config = workshop.config(tmp_path / "both", **changes)
    events = run(config)
    assert len(losses(events, "validation")) == 2
    (start,) = [event for event in events if event["event"] == "start"]
    assert start["pairs"] == 8
    assert (config.output / "samples" / "step-00000004.png").is_file()
    assert any("drawn by drawn_examples:Squares" in line for line in describe(config))


def test_other_options_are_another_run(workshop, tmp_path):
    run(drawing(workshop, tmp_path / "run", steps=2))
    events = run(drawing(workshop, tmp_path / "run", steps=3, data__source={**SOURCE, "options": {"side": 16}}))
    told = " ".join(event["text"] for event in events if event["event"] == "notice")
    assert "the training data changed" in told and "data.source.options" in told
    first, second = Squares(), Squares(16)
    assert source_digest("a:B", {}, first) != source_digest("a:B", {"side": 16}, second)
    assert source_digest("a:B", {}, first) == source_digest("a:B", {}, Squares())


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"name": "drawn_examples"}, "write module:Class"),
        ({"name": "no_such_module:Squares"}, "cannot be imported"),
        ({"name": "drawn_examples:Circles"}, "cannot be imported"),
        ({"name": "subprocess:run", "options": {"args": "true"}}, "is no class derived from"),
        ({"name": "drawn_examples:NoSource"}, "is no class derived from"),
        ({"name": "drawn_examples:Squares", "options": {"colour": "red"}}, "cannot be made of {'colour': 'red'}"),
    ],
)
def test_what_is_no_source_is_refused(workshop, tmp_path, source, expected):
    with pytest.raises(ConfigError, match=expected.replace("{", r"\{")):
        run(drawing(workshop, tmp_path / "run", data__source=source))


def test_a_name_with_a_dot_is_looked_up_in_the_pack():
    pytest.importorskip("skimage")
    pytest.importorskip("sklearn")
    source = open_source(".tiny.source:TinySource", {"shares": {"invert": 0.0}})
    assert type(source).__name__ == "TinySource"
    with pytest.raises(ConfigError, match="there is no task melt"):
        open_source(".tiny.source:TinySource", {"shares": {"melt": 1.0}})


def test_nothing_to_learn_from_is_refused(workshop, tmp_path):
    with pytest.raises(ConfigError, match=r"give datasets .* or a source"):
        workshop.config(tmp_path / "run", data__datasets=[])


def test_shares_and_passes_are_checked(workshop, tmp_path):
    for bad in ({"passes": 0}, {"share": 0.0}, {"share": 1.5}, {"name": ""}, {"often": 2}):
        with pytest.raises(ConfigError, match=f"data.source.{next(iter(bad))}"):
            drawing(workshop, tmp_path / "run", data__source={**SOURCE, **bad})


def test_a_source_that_fails_stops_the_run_and_names_the_batch(workshop, tmp_path):
    source = {**SOURCE, "options": {"broken": 3}}
    with pytest.raises(DataError, match=r"batch 3 cannot be drawn: the pen is dry .*saved at step 3"):
        run(drawing(workshop, tmp_path / "run", data__source=source, steps=5))


def test_a_batch_of_different_sizes_is_refused(workshop, tmp_path):
    source = {**SOURCE, "options": {"uneven": True}}
    with pytest.raises(TrainError, match="batch 0 mixes examples of different sizes"):
        run(drawing(workshop, tmp_path / "run", data__source=source))
