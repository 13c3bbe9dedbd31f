"""Several instructions of one pair: encoded all, drawn by the seed, and the same after a stop."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from comfyui_ace.ace.pictures.resolution import Resolution
from comfyui_ace.training.dataset.store import Dataset
from comfyui_ace.training.errors import PairError
from comfyui_ace.training.trainer import preparation
from comfyui_ace.training.trainer.data.batch_sampler import BatchSampler
from comfyui_ace.training.trainer.data.batches import SampleStore, StoredBatches
from comfyui_ace.training.trainer.data.encoding import TextItem, items_of
from comfyui_ace.training.trainer.data.examples import ExampleSettings, make_examples
from comfyui_ace.training.trainer.data.file_index import FileIndex
from comfyui_ace.training.trainer.errors import DataError
from pair_factory import pair, picture
from trainer_runs import run, workshop_fixture  # noqa: F401

WORDS = ("{image} as a negative", "invert {image}", "turn light into dark in {image}")


@pytest.fixture
def dataset(tmp_path, no_sync):
    made = Dataset.create(tmp_path, "phrased")
    for seed in range(6):
        size = {"source": picture(seed, 32, 32), "target": 255 - picture(seed, 32, 32)}
        made.append(pair(seed, phrasings=WORDS[1:] if seed < 4 else (), **size))
    made.rewrite(lambda row: replace(row, split="train"))
    return made


@pytest.fixture
def prepared(workshop, dataset, tmp_path):
    config = workshop.config(
        tmp_path / "run", data__datasets=[str(dataset.folder)], data__cache=str(tmp_path / "cache")
    )
    with preparation.open_accelerator(config) as accelerator:
        return preparation.prepare(config, accelerator)


def examples_of(dataset):
    return make_examples([dataset.folder], Resolution.published(64), FileIndex(None), ExampleSettings())


def test_phrasings_are_kept_once_and_on_one_line(dataset):
    kept = dataset.append(pair(20, phrasings=("invert\n{image}", "invert {image}", "{image} as a negative", " ")))
    assert dataset.row(kept.id).phrasings == ("invert {image}",)
    assert dataset.row(kept.id).all_instructions == ("{image} as a negative", "invert {image}")
    assert dataset.load(kept.id).phrasings == ("invert {image}",)
    with pytest.raises(PairError, match=r"names \{image1\}"):
        dataset.append(pair(21, phrasings=("put {image1} there",)))


def test_all_phrasings_are_encoded_and_change_what_the_data_is(dataset):
    examples = examples_of(dataset)
    first = examples.train[0]
    assert [texts[0] for texts in first.phrasings] == list(WORDS[1:]) and first.texts[0] == WORDS[0]
    assert {item.text for item in items_of(first) if isinstance(item, TextItem)} >= set(WORDS)
    dataset.rewrite(lambda row: replace(row, phrasings=()))
    assert examples_of(dataset).digest != examples.digest


def test_a_batch_draws_each_phrasing_equally_often_and_by_its_number_alone(prepared):
    train = prepared.examples.train
    store = SampleStore(train, prepared.cache, memory=2**20)
    lengths = {text: store._tensor(TextItem(text)) for text in WORDS}

    def drawn(batches, number, rows=slice(None)):
        return [
            next(text for text, tensor in lengths.items() if torch.equal(tensor, sample.texts[0]))
            for sample in batches.part(number, rows)
        ]

    order = BatchSampler([example.layout for example in train], 3, seed=5)
    batches = StoredBatches(store, order, seed=5)
    found = [drawn(batches, number) for number in range(400)]
    by_pair = {}
    for number, words in enumerate(found):
        for index, text in zip(order.batch(number), words, strict=True):
            by_pair.setdefault(train[index].id, []).append(text)
    for example in train:
        seen = by_pair[example.id]
        if example.phrasings:
            assert all(0.2 < seen.count(text) / len(seen) < 0.47 for text in WORDS)
        else:
            assert set(seen) == {WORDS[0]}
    again = StoredBatches(SampleStore(train, prepared.cache, memory=0), order, seed=5)
    assert [drawn(again, number) for number in (7, 3, 399)] == [found[7], found[3], found[399]]
    assert drawn(again, 7, slice(1, 3)) == found[7][1:], "each process draws what the whole batch would"
    assert any(drawn(StoredBatches(store, order, seed=6), number) != found[number] for number in range(20))


def test_rounds_change_their_words_together(dataset):
    first = next(dataset.rows())
    later = dataset.append(pair(30, history=(first.id,), instruction="{image} darker", split=first.split))
    example = next(e for e in examples_of(dataset).train if e.id == later.id)
    assert [texts[1] for texts in example.phrasings] == list(WORDS[1:])
    assert {texts[0] for texts in example.phrasings} == {example.texts[0]}


def test_a_phrasing_that_is_not_cached_is_named(prepared):
    example = replace(prepared.examples.train[0], phrasings=(("never encoded", "never encoded"),))
    with pytest.raises(DataError, match=example.id):
        SampleStore([example], prepared.cache, memory=2**20).phrased(0, 0.99)


def test_a_run_learns_from_them_and_goes_on_as_if_it_had_not_stopped(workshop, dataset, tmp_path):
    changes = {"data__datasets": [str(dataset.folder)], "steps": 6, "checkpoints__every": 2}
    whole = run(workshop.config(tmp_path / "whole", **changes))
    run(workshop.config(tmp_path / "parts", **changes), stop_at=3)
    rest = run(workshop.config(tmp_path / "parts", **changes))
    losses = [event["loss"] for event in whole if event["event"] == "step"]
    assert [event["loss"] for event in rest if event["event"] == "step"][-2:] == losses[-2:]
