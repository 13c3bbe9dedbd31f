"""From rows to tensors: the same frames, texts and sizes as in sampling, cached by what they depend on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from comfyui_ace.ace.bundles.bundle import find_bundle
from comfyui_ace.ace.encode import encode
from comfyui_ace.ace.lcu.units import ConditionImage, ConditionUnit, LongContext
from comfyui_ace.ace.pictures.image_files import load_mask, load_picture
from comfyui_ace.ace.pictures.resolution import Resolution
from comfyui_ace.ace.text import T5TextEncoder
from comfyui_ace.ace.vae import DiffusersVAE
from comfyui_ace.cli import main
from comfyui_ace.training.dataset.intake.checks import CheckSettings
from comfyui_ace.training.dataset.store import Dataset, Pair
from comfyui_ace.training.trainer import preparation
from comfyui_ace.training.trainer.data.batch_sampler import BatchSampler
from comfyui_ace.training.trainer.data.batches import SampleStore, collate
from comfyui_ace.training.trainer.data.cache import Cache
from comfyui_ace.training.trainer.data.encoding import EncoderFiles, fill_cache, items_of
from comfyui_ace.training.trainer.data.examples import ExampleSettings, make_examples
from comfyui_ace.training.trainer.data.file_index import FileIndex
from comfyui_ace.training.trainer.errors import DataError
from comfyui_ace.training.trainer.run import train
from pair_factory import half_mask, picture
from trainer_runs import fill_dataset, workshop_fixture, write_toml  # noqa: F401


@pytest.fixture(scope="module")
def encoders(workshop):
    bundle = find_bundle(workshop.bundle)
    return T5TextEncoder.load(bundle.text_encoder, bundle.tokenizer, dtype=torch.float32), DiffusersVAE.load(bundle.vae)


@pytest.fixture(scope="module")
def prepared(workshop):
    """Examples and filled cache of the workshop's dataset."""
    config = workshop.config(workshop.folder / "unused")
    with preparation.open_accelerator(config) as accelerator:
        return preparation.prepare(config, accelerator)


def examples_of(folder, files=None, resolution=None, **settings):
    return make_examples(
        [folder], resolution or Resolution.published(64), files or FileIndex(None), ExampleSettings(**settings)
    )


def test_texts_that_are_not_read_as_a_whole_are_summed_up(workshop, tmp_path, caplog):
    dataset = Dataset.create(tmp_path, "d")
    words = ["{image} 变成夜晚", "{image} 变成冬天", "{image} plain", "{image} " + "very " * 200 + "long"]
    pairs = [
        Pair(source=picture(number), target=255 - picture(number), instruction=text, name=f"p{number}")
        for number, text in enumerate(words)
    ]
    ids = [dataset.append(pair).id for pair in pairs]
    bundle = find_bundle(workshop.bundle)
    files = FileIndex(None)
    encoders = EncoderFiles(bundle.vae, bundle.text_encoder, bundle.tokenizer)
    cache = Cache(tmp_path / "cache", encoders.identity(files, torch.float32, "cpu"))
    examples = examples_of(dataset.folder, files)
    fill_cache(cache, examples, encoders)
    unknown, cut = [record.getMessage() for record in caplog.records if "the pair" in record.getMessage()]
    assert unknown.startswith("2 texts (of the pairs ") and all(pair in unknown for pair in ids[:2])
    assert "变" in unknown and "天" in unknown and "Latin letters" in unknown
    assert cut.startswith(f"1 text (of the pair {ids[3]}) has more words than ACE reads. Of the first: ")
    caplog.clear()
    fill_cache(cache, examples, encoders)
    assert not caplog.records, "nothing is encoded anew"


def context_of(dataset: Dataset, pair_id: str) -> LongContext:
    """The long context that an artist would build for a pair, from its files."""

    def unit(row) -> ConditionUnit:
        masks = row.masks_by_index
        images = [
            ConditionImage(
                load_picture(dataset.folder / name),
                load_mask(dataset.folder / masks[index]) if index in masks else None,
                "{image}" if index == 0 else f"{{image{index}}}",
            )
            for index, name in enumerate(row.image_files)
        ]
        return ConditionUnit(row.instruction, images)

    row = dataset.row(pair_id)
    return LongContext(unit(row), [unit(dataset.row(earlier)) for earlier in row.history])


def assert_same_conditioning(first, second) -> None:
    for name in ("context", "references"):
        for a, b in zip(getattr(first, name), getattr(second, name), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    count = len(first.references)
    masks = [(first.target_mask, second.target_mask)]
    masks += zip(first.reference_masks or [None] * count, second.reference_masks or [None] * count, strict=True)
    for a, b in masks:
        assert (a is None) == (b is None) and (a is None or torch.equal(a, b))
    rows = count + 1
    torch.testing.assert_close(first.indicator_embeddings[:rows], second.indicator_embeddings[:rows])


def test_every_pair_becomes_what_encode_makes_of_it_in_both_branches(workshop, prepared, encoders):
    text_encoder, vae = encoders
    dataset = Dataset(workshop.dataset)
    store = SampleStore(prepared.examples.train, prepared.cache, memory=2**20)
    kinds = Counter()
    for index, example in enumerate(prepared.examples.train):
        context = context_of(dataset, example.id)
        encoded = encode(context, text_encoder, vae, resolution=Resolution.published(64))
        for dropped, wanted in ((False, encoded.positive), (True, encoded.negative)):
            batch = collate([store[index]], [dropped], store.indicators)
            assert_same_conditioning(batch.conditioning, wanted)
        assert tuple(batch.latents.shape) == encoded.latent_shape
        kinds[len(context.unit.images), len(context.history), encoded.positive.target_mask is not None] += 1
    assert kinds == {(1, 0, False): 5, (1, 0, True): 1, (2, 0, False): 1, (1, 1, False): 1}


def test_batches_pad_texts_and_say_so(prepared):
    train = prepared.examples.train
    store = SampleStore(train, prepared.cache, memory=2**20)
    square = [index for index, example in enumerate(train) if len(example.references) == 1 and not example.masks[0]]
    by_layout = Counter(train[index].layout for index in square)
    layout = by_layout.most_common(1)[0][0]
    first, second = [index for index in square if train[index].layout == layout][:2]
    alone = [collate([store[index]], [drop], store.indicators) for index, drop in ((first, False), (second, True))]
    both = collate([store[first], store[second]], [False, True], store.indicators)
    assert torch.equal(both.latents, torch.cat([batch.latents for batch in alone]))
    for k in range(2):
        mask = both.conditioning.context_masks[k]
        for row, batch in enumerate(alone):
            length = batch.conditioning.context[k].shape[1]
            assert mask[row].sum() == length
            assert torch.equal(both.conditioning.context[k][row, :length], batch.conditioning.context[k][0])


def test_the_result_takes_the_edited_pictures_size(tmp_path):
    unchecked = CheckSettings(size=False, aspect=False)
    dataset = Dataset.create(tmp_path, "sizes", checks=unchecked)

    def add(seed: int, target: np.ndarray, **changes) -> str:
        values = {"source": picture(seed, 40, 64), "instruction": "{image} again"} | changes
        return dataset.append(Pair(target=target, **values)).id

    same = add(0, 255 - picture(0, 40, 64))
    twice = add(1, np.repeat(np.repeat(255 - picture(1, 40, 64), 2, 0), 2, 1))
    text = add(2, picture(2, 70, 33), source=None, instruction="a picture")
    examples = {example.id: example for example in examples_of(dataset.folder).train}
    for pair in (same, twice):
        assert examples[pair].layout == ((4, 8), (4, 8))
    assert examples[same].target.fit == examples[same].references[0].fit
    assert examples[text].layout == ((8, 4),)
    add(3, picture(30, 64, 40))
    with pytest.raises(DataError, match="has another aspect ratio than 64x32"):
        examples_of(dataset.folder)


def test_weights_decide_who_takes_part(workshop):
    folder = workshop.dataset

    def weights(**settings) -> list[float]:
        return sorted(example.weight for example in examples_of(folder, **settings).train)

    assert weights() == [0.25] + [1.0] * 7
    assert weights(weights="ignore") == [1.0] * 8
    assert weights(weights="binary", weight_threshold=0.2) == [1.0] * 8
    assert weights(weights="binary") == [1.0] * 7
    assert examples_of(folder, weights="binary").left_out == {"weight under 0.5": 1}


def test_images_and_rounds_are_limited(workshop):
    examples = examples_of(workshop.dataset, max_images=1)
    assert len(examples.train) == 6 and examples.left_out == {"more than 1 images": 2}
    examples = examples_of(workshop.dataset, max_images=1, max_rounds=0)
    assert len(examples.train) == 7 and examples.left_out == {"more than 1 images": 1}


def test_bad_pairs_are_named_or_skipped(tmp_path):
    dataset = fill_dataset(tmp_path / "pairs")
    lost, broken = list(dataset.rows("train"))[:2]
    (dataset.folder / lost.target_file_name).unlink()
    (dataset.folder / broken.source_file_name).write_bytes(b"no picture")
    with pytest.raises(DataError, match=rf"2 pairs cannot be used(?s:.*){lost.id}(?s:.*){broken.id}(?s:.*)on_bad_pair"):
        examples_of(dataset.folder)
    examples = examples_of(dataset.folder, skip_bad=True)
    assert not {lost.id, broken.id} & {example.id for example in examples.train}
    assert examples.left_out == {"cannot be read or makes no sense": 2}


def test_a_picture_damaged_behind_its_header_is_named(workshop, tmp_path):
    dataset = fill_dataset(tmp_path / "pairs")
    row = next(dataset.rows("train"))
    path = dataset.folder / row.target_file_name
    path.write_bytes(path.read_bytes()[:-200])
    changes = {"data__datasets": [str(dataset.folder)], "data__cache": str(tmp_path / "cache")}
    with pytest.raises(DataError, match=f"pair {row.id} of .* cannot be read(?s:.*)What is cached stays"):
        train(workshop.config(tmp_path / "run", **changes))
    config = workshop.config(tmp_path / "run", **changes, data__on_bad_pair="skip")
    with preparation.open_accelerator(config) as accelerator:
        prepared = preparation.prepare(config, accelerator)
    assert len(prepared.examples.train) == 7 and row.id not in {example.id for example in prepared.examples.train}


def test_keys_change_with_everything_they_depend_on(workshop, prepared, tmp_path):
    example = next(e for e in prepared.examples.train if e.masks[0] is not None)
    items = list(dict.fromkeys(items_of(example)))
    identity = prepared.cache.identity

    def keys(cache: Cache, some=items) -> list[str]:
        return [cache.key(item) for item in some]

    before = keys(prepared.cache)
    assert len(set(before)) == len(items) and keys(Cache(tmp_path, identity)) == before

    def changed(**values) -> list[bool]:
        return [new != old for new, old in zip(keys(Cache(tmp_path, replace(identity, **values))), before, strict=True)]

    pictures = [type(item).__name__ == "PictureItem" for item in items]
    texts = [type(item).__name__ == "TextItem" for item in items]
    assert changed(vae="0") == pictures
    assert changed(text_encoder="0") == changed(tokenizer="0") == texts
    assert all(changed(dtype=torch.bfloat16))
    assert changed(text_dtype=torch.bfloat16) == texts  # a GPU's text encoder computes in it, whatever is stored
    for item in (example.target, example.masks[0]):
        for other in (replace(item, digest="0"), replace(item, fit=replace(item.fit, width=item.fit.width + 16))):
            assert prepared.cache.key(other) != prepared.cache.key(item)
    blanked = replace(example.references[0], blanked=example.masks[0])
    assert prepared.cache.key(blanked) != prepared.cache.key(example.references[0])


def test_only_what_changed_is_encoded_again(workshop, tmp_path):
    dataset = fill_dataset(tmp_path / "pairs")
    bundle = find_bundle(workshop.bundle)
    encoder_files = EncoderFiles(bundle.vae, bundle.text_encoder, bundle.tokenizer)

    def fill(resolution=None) -> int:
        """Runs as a fresh process would; returns how many files are new."""
        before = set((tmp_path / "cache").rglob("*.safetensors"))
        index = FileIndex(tmp_path / "cache" / "files.jsonl")
        examples = examples_of(dataset.folder, index, resolution)
        fill_cache(
            Cache(tmp_path / "cache", encoder_files.identity(index, torch.float32, "cpu")), examples, encoder_files
        )
        return len(set((tmp_path / "cache").rglob("*.safetensors")) - before)

    assert fill() == 10 * 2 + 1 + 1 + 4 + 1  # pictures, a reference, a mask, texts (one empty), the I-Emb table
    assert fill() == 0
    row = next(dataset.rows("train"))
    from PIL import Image

    Image.fromarray(picture(99, 16, 32)).save(dataset.folder / row.target_file_name)
    assert fill() == 1
    assert fill(Resolution.exact(32, 48)) > 20


def test_cached_pictures_decode_to_what_the_vae_makes_of_them(workshop, prepared, encoders, tmp_path, capsys):
    example = prepared.examples.train[0]
    config = write_toml(workshop.table(tmp_path / "run"), tmp_path / "config.toml")
    assert main(["train", str(config), "--decode-cache", str(tmp_path / "out"), "--pair", example.id]) == 0
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == [f"{example.id}-image1.png", f"{example.id}-target.png"]
    assert len(capsys.readouterr().out.split()) == 2
    vae = encoders[1]
    wanted = vae.decode(vae.encode(load_picture(example.target.path)))
    decoded = load_picture(tmp_path / "out" / f"{example.id}-target.png")
    assert (decoded - wanted).abs().max() < 1.5 / 255
    assert main(["train", str(config), "--decode-cache", str(tmp_path / "out"), "--pair", "nobody"]) == 1
    assert "nobody is none of this run's 10 pairs" in capsys.readouterr().err


def test_blank_fill_hides_the_masked_pixels(workshop, tmp_path):
    from comfyui_ace.training.trainer.data.encoding import fitted_pixels

    dataset = Dataset.create(tmp_path, "masked")
    source = picture(3, 32, 32)
    dataset.append(Pair(source=source, target=255 - source, masks=[half_mask(32, 32)], instruction="{image} fill"))
    for fill, hidden in (("keep", False), ("blank", True)):
        item = examples_of(dataset.folder, fill=fill).train[0].references[0]
        pixels = fitted_pixels(item)[0]
        assert (pixels[:, :16].sum() == 0).item() is hidden
        assert pixels[:, 16:].sum() > 0


def test_order_is_fair_and_a_function_of_seed_and_number():
    layouts = ["a"] * 7 + ["b"] * 3 + ["c"]
    sampler = BatchSampler(layouts, batch_size=4, seed=1)
    batches = [sampler.batch(number) for number in range(1100)]
    assert all(len({layouts[index] for index in batch}) == 1 for batch in batches)
    counts = Counter(index for batch in batches for index in batch)
    assert len(counts) == 11
    assert max(counts.values()) - min(counts.values()) <= 8  # 400 each, up to what is carried over
    again = BatchSampler(layouts, batch_size=4, seed=1)
    assert [again.batch(number) for number in (1099, 5, 600)] == [batches[1099], batches[5], batches[600]]
    assert [BatchSampler(layouts, 4, seed=2).batch(number) for number in range(20)] != batches[:20]
    within = batches[: 7 * 4]
    first_pass = [index for batch in within for index in batch if layouts[index] == "a"][:7]
    assert sorted(first_pass) == list(range(7))
