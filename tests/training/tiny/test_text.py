"""Training of ace-tiny's tokenizer and text encoder."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

pytest.importorskip("transformers")
pytest.importorskip("tokenizers")

from comfyui_ace.ace.lcu.indicators import INDICATORS, SPECIAL_TOKENS
from comfyui_ace.ace.text import T5TextEncoder, encode_indicators, encode_text, tokenize
from comfyui_ace.training.tiny.synonyms import teach
from comfyui_ace.training.tiny.text import TextSettings, corpus, make_text_encoder

QUICK = TextSettings(steps=120, batch=24, described=0.25, width=64, heads=2, inner=64, vocabulary=400)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    bundle = tmp_path_factory.mktemp("text") / "bundle"
    make_text_encoder(bundle, QUICK, bundle / "log.jsonl")
    return bundle


@pytest.fixture(scope="module")
def encoder(made):
    return T5TextEncoder.load(
        made / "models" / "text_encoder" / "t5-v1_1-xxl",
        made / "models" / "tokenizer" / "t5-v1_1-xxl",
        dtype=torch.float32,
    )


def test_training_lowers_every_loss(made):
    rows = [json.loads(line) for line in (made / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [20, 40, 60, 80, 100, 120, 120] and "held_out_read" in rows.pop()
    for name in ("word", "words"):
        assert rows[-1][name] < 0.9 * rows[0][name]
    assert rows[-1]["meaning"] < rows[0]["meaning"]


def test_the_files_open_and_give_embeddings_of_about_unit_size(encoder):
    embeddings = encode_text("invert the colors of {image}", encoder)
    assert embeddings.shape[0] == 1 and embeddings.shape[2] == QUICK.width
    assert embeddings.std().item() == pytest.approx(1.0, abs=0.15)


def test_ace_s_words_are_single_tokens_at_the_end_of_the_vocabulary(encoder):
    ids = [tokenize(word, encoder.tokenizer) for word in SPECIAL_TOKENS]
    assert all(len(row) == 2 for row in ids)
    assert [row[0] for row in ids] == list(range(len(encoder.tokenizer) - len(SPECIAL_TOKENS), len(encoder.tokenizer)))


def test_indicators_differ(encoder):
    table = torch.nn.functional.normalize(encode_indicators(encoder), dim=-1)
    similar = table @ table.T - torch.eye(len(INDICATORS))
    assert similar.max() < 0.95


def test_the_corpus_has_every_meaning_and_no_open_slot():
    texts = corpus()
    assert set(texts.meanings) == set(range(texts.count))
    assert not any("[" in sentence for sentence in texts.sentences)


def test_with_the_same_tokenizer_the_same_seed_makes_the_same_encoder(made, tmp_path):
    words = "models/tokenizer/t5-v1_1-xxl"
    for folder in ("one", "other"):
        shutil.copytree(made / words, tmp_path / folder / words)
        make_text_encoder(tmp_path / folder, replace(QUICK, steps=15))
    for name in ("tokenizer/t5-v1_1-xxl/tokenizer.json", "text_encoder/t5-v1_1-xxl/model.safetensors"):
        assert (tmp_path / "one/models" / name).read_bytes() == (tmp_path / "other/models" / name).read_bytes()
    assert (tmp_path / "one" / words / "tokenizer.json").read_bytes() == (made / words / "tokenizer.json").read_bytes()


def test_a_synonym_is_read_as_the_word_it_stands_for_and_all_else_as_before(made, encoder, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(made, bundle)
    models = bundle / "models"
    given_up = teach(bundle, "obscure", "darken")
    now = T5TextEncoder.load(
        models / "text_encoder" / "t5-v1_1-xxl", models / "tokenizer" / "t5-v1_1-xxl", dtype=torch.float32
    )
    sentence, meant = "obscure {image} a bit", "darken {image} a bit"
    assert torch.equal(encode_text(sentence, now), encode_text(meant, encoder))
    assert not torch.equal(encode_text(sentence, encoder), encode_text(meant, encoder))
    sentences = corpus().sentences
    assert [tokenize(one, now.tokenizer) for one in sentences] == [
        tokenize(one, encoder.tokenizer) for one in sentences
    ]
    assert given_up not in now.tokenizer.get_vocab() and len(now.tokenizer) == len(encoder.tokenizer)
    with pytest.raises(ValueError, match="already"):
        teach(bundle, "obscure", "darken")
    with pytest.raises(ValueError, match="cannot lend"):
        teach(bundle, "murky", "obfuscatory")
