"""A small bundle with random weights in the published layout, for trying the whole path without a download."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from ..files import atomic_write
from ..lcu.indicators import SPECIAL_TOKENS, split_special_tokens
from ..model.config import ACEConfig
from ..model.transformer import ACEModel
from ..weights.checkpoint import save_checkpoint
from ..weights.init import initialize_weights
from ..weights.vae_names import to_ldm_names
from .bundle import Bundle, find_bundle

_TEXT_WIDTH = 64
_T5_NAME = "t5-v1_1-xxl"  # the folder's name in the published layout; this one is small
_VAE_WIDTHS = (32, 64, 64, 64)
CONFIG = ACEConfig(hidden_size=96, depth=4, num_heads=4, text_width=_TEXT_WIDTH, max_seq_len=64)
MAX_TOKENS = 64  # 128 × 128 pixels
_WORD = re.compile(r"\b[A-Za-z]+\b")


def make_random_bundle(folder: str | Path, seed: int = 0) -> Bundle:
    """Writes a bundle of about 5 MB.

    Args:
        folder: created; files of the same names in it are replaced.
        seed: of the weights.
    """
    models = Path(folder) / "models"
    for part in ("dit", "vae", f"text_encoder/{_T5_NAME}", f"tokenizer/{_T5_NAME}"):
        (models / part).mkdir(parents=True, exist_ok=True)
    _write_transformer(models / "dit" / "ace_random.safetensors", seed)
    _write_vae(models / "vae" / "vae.bin", seed)
    words = train_tokenizer(models / "tokenizer" / _T5_NAME, _corpus())
    _write_text_encoder(models / "text_encoder" / _T5_NAME, words, seed)
    description = {
        "max_tokens": MAX_TOKENS,
        "steps": 20,
        "description": "random weights: shows that everything runs, not what ACE can do",
    }
    (Path(folder) / "ace_bundle.json").write_text(json.dumps(description, indent=2), encoding="utf-8", newline="\n")
    return find_bundle(folder)


def _write_transformer(path: Path, seed: int) -> None:
    model = initialize_weights(ACEModel(CONFIG), seed)
    generator = torch.Generator().manual_seed(seed)
    for layer in (*(block.cross_attn.o for block in model.blocks), model.final_layer.linear):
        layer.weight.data.normal_(0.0, 0.02, generator=generator)  # else instruction and pictures would not matter
    save_checkpoint(model, path, metadata={"description": "random weights"}, overwrite=True)


def _write_vae(path: Path, seed: int) -> None:
    from diffusers import AutoencoderKL

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        vae = AutoencoderKL(
            block_out_channels=_VAE_WIDTHS,
            down_block_types=("DownEncoderBlock2D",) * len(_VAE_WIDTHS),
            up_block_types=("UpDecoderBlock2D",) * len(_VAE_WIDTHS),
            layers_per_block=1,
            latent_channels=4,
        )
    with atomic_write(path) as temporary:
        torch.save(to_ldm_names(vae.state_dict()), temporary)


def _write_text_encoder(folder: Path, vocabulary_size: int, seed: int) -> None:
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        vocab_size=vocabulary_size,
        d_model=_TEXT_WIDTH,
        d_kv=16,
        d_ff=128,
        num_layers=2,
        num_heads=4,
        feed_forward_proj="gated-gelu",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        T5EncoderModel(config).save_pretrained(folder)


def train_tokenizer(folder: Path, corpus: Iterable[str], vocabulary_size: int = 512, whole_words: int = 0) -> int:
    """Trains and saves a small Unigram tokenizer as T5 has, with ACE's special tokens at the end as in the published one.

    Args:
        folder: where its files go.
        corpus: lines of text.
        vocabulary_size: pieces at most, those of ``whole_words`` and special tokens of ACE not counted.
        whole_words: so many of the most frequent words get a piece of their own.

    Returns:
        The size of the vocabulary with all special tokens.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Strip(), normalizers.Replace("  ", " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=vocabulary_size,
        special_tokens=["<pad>", "</s>", "<unk>"],
        unk_token="<unk>",
        initial_alphabet=[chr(code) for code in range(33, 127)],
        show_progress=False,
    )
    pieces = [piece for line in corpus for piece in split_special_tokens(line) if piece not in SPECIAL_TOKENS]
    tokenizer.train_from_iterator(pieces, trainer)
    tokenizer.model = _with_words(tokenizer, pieces, whole_words)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=list(SPECIAL_TOKENS),
    )
    fast.save_pretrained(folder)
    return len(fast)


def _with_words(tokenizer: Any, lines: Iterable[str], count: int) -> Any:
    """The tokenizer's model with the most frequent words of the lines as pieces, each by its frequency."""
    from tokenizers import models

    model = json.loads(tokenizer.to_str())["model"]
    words = Counter(word for line in lines for word in _WORD.findall(line))
    known = {piece for piece, _ in model["vocab"]}
    new = [(f"▁{word}", math.log(n / words.total())) for word, n in words.most_common(count) if f"▁{word}" not in known]
    return models.Unigram([*map(tuple, model["vocab"]), *new], model["unk_id"])


def _corpus() -> list[str]:
    """Enough English for a tokenizer with whole words for common instructions."""
    from ..instructions import get_template, subtasks

    return [phrasing for subtask in subtasks() for phrasing in get_template(subtask).phrasings["en"]]
