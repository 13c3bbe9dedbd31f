"""Cleaning, tokens and embeddings."""

from __future__ import annotations

import pytest
import torch
from comfyui_ace.ace.bundles.random_bundle import train_tokenizer
from comfyui_ace.ace.lcu.indicators import INDICATORS, SPECIAL_TOKENS
from comfyui_ace.ace.text import (
    END_TOKEN,
    MAX_TOKENS,
    T5TextEncoder,
    clean_text,
    encode_indicators,
    encode_text,
    special_token_ids,
    tokenize,
)

_WORDS = [
    "put the picture of a cat on the table",
    "make it snow in winter",
    "turn this into a drawing of a house, please",
]


class PlainTokenizer:
    """A tokenizer of T5's kind that has never heard of ACE, with T5's number of words."""

    def get_vocab(self):
        return {f"word{k}": k for k in range(32100)}

    def __call__(self, text):
        return {"input_ids": [*(len(word) for word in text.split()), END_TOKEN]}

    def decode(self, ids):
        return " ".join(map(str, ids))


@pytest.fixture(scope="module")
def encoder(bundle):
    return T5TextEncoder.load(bundle.text_encoder, bundle.tokenizer, dtype=torch.float32)


def test_cleaning_follows_the_published_code():
    assert clean_text("  a&amp;amp;b \n  schÃ¶n\t") == "a&b schön"


def test_special_tokens_get_the_published_ids_in_a_plain_t5():
    ids = special_token_ids(PlainTokenizer())
    assert list(ids.values()) == list(range(32100, 32113))
    assert (
        ids["{image}"] == 32100 and ids["{caption}"] == 32101 and ids["{image1}"] == 32104 and ids["{image9}"] == 32112
    )


def test_indicators_become_single_tokens():
    assert tokenize("put {image1} near {image}", PlainTokenizer()) == [3, 32104, 4, 32100, END_TOKEN]


def test_pieces_give_what_the_tokenizer_itself_makes_of_its_special_tokens(tmp_path):
    from transformers import AutoTokenizer

    train_tokenizer(tmp_path, _WORDS * 20, vocabulary_size=120)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    for text in ("{image} make it snow", "put {image1} on the table of {image}", "{image2}"):
        assert tokenize(text, tokenizer) == tokenizer(text)["input_ids"]


def test_long_instructions_are_cut_with_a_word_about_it():
    told = []
    ids = tokenize("wow " * 200, PlainTokenizer(), told.append)
    assert len(ids) == MAX_TOKENS and ids[-1] == END_TOKEN and ids[-2] == 3
    assert len(told) == 1 and "201 tokens" in told[0]
    told.clear()
    assert len(tokenize("wow " * (MAX_TOKENS - 1), PlainTokenizer(), told.append)) == MAX_TOKENS and not told


def test_an_empty_text_is_the_end_token():
    assert tokenize("  ", PlainTokenizer()) == [END_TOKEN]


def test_embeddings_have_one_row_a_token(encoder):
    text = "{image} make it snow"
    assert encode_text(text, encoder).shape == (1, len(tokenize(text, encoder.tokenizer)), encoder.model.config.d_model)


def test_indicator_table_is_the_first_row_of_each_word(encoder):
    table = encode_indicators(encoder)
    assert table.shape == (len(INDICATORS), encoder.model.config.d_model)
    assert torch.allclose(table[3], encode_text("{image3}", encoder)[0, 0], atol=1e-6)
    assert len({tuple(row.tolist()) for row in table}) == len(INDICATORS)
    assert encode_indicators(encoder, 11).shape[0] == 11


def test_the_bundle_tokenizer_knows_all_special_tokens(encoder):
    vocabulary = encoder.tokenizer.get_vocab()
    assert [vocabulary[token] for token in SPECIAL_TOKENS] == sorted(vocabulary.values())[-len(SPECIAL_TOKENS) :]


def test_a_folder_without_an_encoder_is_explained(tmp_path):
    with pytest.raises(ValueError, match="no T5 encoder"):
        T5TextEncoder.load(tmp_path)
    with pytest.raises(ValueError, match="must be a folder"):
        T5TextEncoder.load(tmp_path / "absent")
