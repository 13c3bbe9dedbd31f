"""Channels for both layouts, and words as ids."""

from __future__ import annotations

import pytest
import torch
from comfyui_ace.ace.plus.canvas import PlusSettings, make_canvas
from comfyui_ace.ace.plus.layouts import FULL, LORA, check_layout, layout_of
from comfyui_ace.ace.plus.prompt import MAX_TOKENS, prompt_ids
from comfyui_ace.ace.plus.request import Request


def encode(image: torch.Tensor) -> torch.Tensor:
    """Stands for a VAE: the mean of 8 x 8 pixels and of all colours, sixteen times."""
    small = torch.nn.functional.avg_pool2d(image.movedim(-1, 1), 8).mean(1, keepdim=True)
    return small * torch.arange(1, 17).view(1, 16, 1, 1)


@pytest.fixture
def canvas():
    source = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 64, 64)
    mask[:, :, 32:] = 1
    return make_canvas(Request("", source, mask, None), PlusSettings(0.0))


def test_channels_and_their_order(canvas):
    assert (LORA.channels, FULL.channels) == (96, 112)
    lora, full = LORA.encode(canvas, encode), FULL.encode(canvas, encode)
    assert lora.shape == (1, 16, 8, 8) and full.shape == (1, 32, 8, 8)
    assert torch.equal(lora, encode(canvas.image))
    grey = encode(torch.full_like(canvas.image, 0.5))
    kept, changed = full[:, :16], full[:, 16:]  # what stays comes first
    left, right = (..., slice(0, 4)), (..., slice(4, 8))
    assert torch.equal(kept[left], lora[left]) and torch.allclose(kept[right], grey[right])
    assert torch.equal(changed[right], lora[right]) and torch.allclose(changed[left], grey[left])


def test_the_layout_is_that_of_the_model():
    assert layout_of(96) is LORA and layout_of(112) is FULL
    with pytest.raises(ValueError, match=r"takes 16 channels.*FLUX.1-Fill-dev .96.*ace_plus_fft .112"):
        layout_of(16)
    check_layout(FULL, 112)
    with pytest.raises(
        ValueError, match=r"FLUX Fill with a LoRA .96 channels., but.*fully fine-tuned model .112.*as the model"
    ):
        check_layout(LORA, 112)


class Tokenizer:
    """A word is the number of its letters."""

    unk_token_id = 2

    def __call__(self, text):
        return {"input_ids": [*(100 + len(word) for word in text.split()), 1]}

    def decode(self, ids):
        return " ".join(map(str, ids))

    def get_vocab(self):
        return {}


def test_words_become_512_ids_with_the_tokens_of_the_training():
    ids = prompt_ids("put {image1}  on {image}", Tokenizer())
    assert len(ids) == MAX_TOKENS == 512
    assert ids[:6] == [103, 32105, 102, 32101, 1, 0] and not any(ids[5:])
    told = []
    long = prompt_ids("word " * 600, Tokenizer(), told.append)
    assert len(long) == 512 and long[-1] == 1 and "601 tokens long and ACE reads 512" in told[0]
