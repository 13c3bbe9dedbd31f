"""The host's T5 and tokenizers against transformers."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import comfy.sd
import comfy.text_encoders.flux
import comfy.text_encoders.pixart_t5
import comfy.text_encoders.sd3_clip
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import AddedToken, Tokenizer
from transformers import AutoTokenizer, T5EncoderModel

_ODD = ["turn{image1}, please", "in {image}'s style", "blend {image} and{image3}!"]
_TEXTS = [
    "{image} make it snow",
    "put {image2} into {image}",
    "{image}{image1} {image9}",
    "  a   cat\n sits ",
    "make the (cat:1.3) [[ ]] blue in {image}",
    "the caption {caption} and the {mask}",
    "",
    *_ODD,
]
_PLAIN_T5 = Path(comfy.text_encoders.flux.__file__).parent / "t5_tokenizer"


@pytest.fixture(scope="module")
def text(pack):
    return pack("ace.text")


@pytest.fixture(scope="module")
def reference(bundle):
    return T5EncoderModel.from_pretrained(str(bundle.text_encoder)).eval()


def _embed(reference, ids):
    return reference(input_ids=torch.tensor([ids])).last_hidden_state


# Embeddings


@pytest.mark.parametrize("words", _TEXTS)
def test_host_and_transformers_embed_alike(pack, text, clip, bundle, reference, words):
    """Tokens by the bundle's tokenizer in transformers, whole and with its own special tokens."""
    found = text.encode_text(words, pack("nodes.host.text_encoder").HostTextEncoder(clip))
    tokenizer = AutoTokenizer.from_pretrained(str(bundle.tokenizer))
    expected = _embed(reference, tokenizer(text.clean_text(words))["input_ids"])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_texts_differ(text, clip, pack):
    """Guards the test above: indicators are words of their own to the encoder."""
    encoder = pack("nodes.host.text_encoder").HostTextEncoder(clip)
    one, two = (text.encode_text(f"turn {word} blue", encoder) for word in ("{image1}", "{image2}"))
    assert (one - two).norm() / one.norm() > 0.05


def test_indicator_table(pack, text, clip, reference):
    """Ten rows in one pass, equal to each word encoded alone."""
    encoder = pack("nodes.host.text_encoder").HostTextEncoder(clip)
    table = text.encode_indicators(encoder)
    ids = [text.tokenize(word, encoder.tokenizer) for word in ("{image}", "{image1}", "{image9}")]
    assert [len(each) for each in ids] == [2, 2, 2]
    expected = torch.cat([_embed(reference, each)[:, 0] for each in ids])
    torch.testing.assert_close(table[[0, 1, 9]], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", ["flux", "sd3", "pixart"])
def test_t5_of_other_families(pack, bundle, t5_shape, text, reference, family):
    """Any CLIP with a T5 serves: here those that the host makes for FLUX, SD3 and PixArt, at the bundle's size.

    A real single file cannot be used in a test: the host takes only T5 XXL from one, which needs five gigabytes.
    """
    encoders = comfy.text_encoders

    class Target:
        params: ClassVar = {}
        clip, tokenizer = {
            "flux": (encoders.flux.flux_clip(torch.float32), encoders.flux.FluxTokenizer),
            "sd3": (
                encoders.sd3_clip.sd3_clip(clip_l=False, clip_g=False, t5=True, dtype_t5=torch.float32),
                encoders.sd3_clip.SD3Tokenizer,
            ),
            "pixart": (encoders.pixart_t5.pixart_te(torch.float32), encoders.pixart_t5.PixArtTokenizer),
        }[family]

    (file,) = bundle.text_encoder.glob("*.safetensors")
    weights = load_file(file)
    clip = comfy.sd.CLIP(Target, state_dict=[weights], model_options={"t5xxl_model_config": t5_shape})
    encoder = pack("nodes.host.text_encoder").HostTextEncoder(clip)
    ids = [5, 40, t5_shape["vocab_size"] - 1, 1]
    torch.testing.assert_close(encoder.embed([ids]), _embed(reference, ids), rtol=1e-4, atol=1e-5)
    assert text.tokenize("{image1}", encoder.tokenizer) == [32104, 1]


def test_clip_without_t5(pack):
    class Target:
        params: ClassVar = {}
        clip = comfy.text_encoders.sd3_clip.sd3_clip(clip_l=False, clip_g=False, t5=False)
        tokenizer = comfy.text_encoders.sd3_clip.SD3Tokenizer

    with pytest.raises(ValueError, match="without a T5; ACE reads T5"):
        pack("nodes.host.text_encoder").HostTextEncoder(comfy.sd.CLIP(Target))


# Tokens


@pytest.fixture(scope="module")
def plain():
    """The tokenizer that the host brings along for every T5 file."""
    return comfy.text_encoders.pixart_t5.PixArtTokenizer().clip_t5xxl.tokenizer


def test_ids_of_the_special_words_in_a_plain_t5(text, plain):
    words = [f"{{{name}}}" for name in ("image", "caption", "mask", "ref_image", *(f"image{k}" for k in range(1, 10)))]
    assert len(plain) == 32100
    assert [text.tokenize(word, plain) for word in words] == [[32100 + k, 1] for k in range(13)]


@pytest.mark.parametrize("words", _TEXTS)
def test_plain_t5_equals_one_with_the_words_added(text, plain, words):
    """As transformers makes the published tokenizer: the same file with thirteen additional special tokens."""
    added = AutoTokenizer.from_pretrained(str(_PLAIN_T5))
    added.add_special_tokens({"additional_special_tokens": list(text.SPECIAL_TOKENS)})
    assert text.tokenize(words, plain) == added(text.clean_text(words))["input_ids"]


@pytest.mark.parametrize("words", _TEXTS)
def test_the_bare_file_differs_where_text_touches_an_indicator(text, plain, words):
    """Two readers of tokenizer.json differ by a word mark.

    Read without transformers it puts one only before the very first word of a text, where transformers puts one after
    each special token. The two differ just by that mark, and only where no space follows
    the indicator: "{image1}, please". ACE Edit goes with transformers, which the published code used.
    """
    bare = Tokenizer.from_file(str(_PLAIN_T5 / "tokenizer.json"))
    bare.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in text.SPECIAL_TOKENS])
    ours, theirs = text.tokenize(words, plain), bare.encode(text.clean_text(words)).ids
    mark = plain.convert_tokens_to_ids("▁")
    assert (ours == theirs) == (words not in _ODD)
    assert [token for token in ours if token != mark] == [token for token in theirs if token != mark]


def test_weights_in_parentheses_stay_words(text, plain):
    """The host would read (cat:1.3) as emphasis; ACE was trained on plain text."""
    ids = text.tokenize("make the (cat:1.3) blue", plain)
    assert plain.decode(ids, skip_special_tokens=True) == "make the (cat:1.3) blue"


def test_long_texts_end_with_the_end_token(text, plain):
    said = []
    ids = text.tokenize("snow " * 300 + "{image1}", plain, said.append)
    assert len(ids) == 120 and ids[-1] == 1
    assert "301 tokens" in said[0] or "302 tokens" in said[0]
