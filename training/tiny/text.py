"""Makes the small tokenizer and T5 encoder: ``python -m comfyui_ace.training.tiny.text BUNDLE``.

The encoder learns what a transformer for images will need of it: to tell from the mean of an instruction's embeddings what
is asked for, to say from each embedding which word it stands for, and which words are near. A few minutes on one core.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ...ace.bundles.random_bundle import train_tokenizer
from ...ace.files import atomic_write
from ...ace.instructions import get_template, subtasks
from ...ace.lcu.indicators import INDICATORS, SPECIAL_TOKENS
from ...ace.text import END_TOKEN, tokenize
from .edits import all_instructions
from .plots import plot_curves

_T5_NAME = "t5-v1_1-xxl"  # the folder's name in the published layout; this one is small
_PADDING, _UNKNOWN = 0, 2


@dataclass(frozen=True)
class TextSettings:
    """Sizes, and how the encoder is trained.

    Attributes:
        vocabulary: pieces of the tokenizer at most, ACE's special tokens not counted.
        dropped: share of the words replaced by the unknown token while training, so that no single one decides.
    """

    vocabulary: int = 1000
    width: int = 128
    layers: int = 2
    heads: int = 4
    inner: int = 256
    steps: int = 1000
    batch: int = 48
    learning_rate: float = 2e-3
    dropped: float = 0.15
    seed: int = 0


@dataclass(frozen=True)
class Corpus:
    """Sentences with the number of what they mean; those of the same number ask for the same."""

    sentences: tuple[str, ...]
    meanings: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many meanings there are."""
        return 1 + max(self.meanings)


def corpus() -> Corpus:
    """All instructions of the edits, ACE's published tasks with example words in their slots, and the special words."""
    groups: list[Sequence[str]] = list(all_instructions().values())
    for subtask in subtasks():
        template = get_template(subtask)
        groups.append([_with_examples(phrasing, template) for phrasing in template.phrasings["en"]])
    groups += [[token] for token in SPECIAL_TOKENS]
    groups.append(["", "a picture", "a photograph"])
    return Corpus(
        tuple(spelling for group in groups for sentence in group for spelling in _spellings(sentence)),
        tuple(number for number, group in enumerate(groups) for sentence in group for _ in _spellings(sentence)),
    )


def _spellings(sentence: str) -> list[str]:
    """As it is, and with a capital where people begin with one."""
    return list(dict.fromkeys((sentence, sentence[:1].upper() + sentence[1:])))


def _with_examples(phrasing: str, template: Any) -> str:
    for slot in template.slots:
        phrasing = phrasing.replace(f"[{slot.name}]", slot.example["en"])
    return phrasing.replace("[images]", "{image}, {image1}")


def make_encoder(vocabulary: int, settings: TextSettings) -> Any:
    """A ``transformers.T5EncoderModel`` of v1.1's kind."""
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        vocab_size=vocabulary,
        d_model=settings.width,
        d_kv=settings.width // settings.heads,
        d_ff=settings.inner,
        num_layers=settings.layers,
        num_heads=settings.heads,
        feed_forward_proj="gated-gelu",
        dropout_rate=0.0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        return T5EncoderModel(config)


class TextTrainer:
    """The encoder with the three heads it learns by.

    Args:
        tokenizer: of :func:`train_tokenizer`.
        texts: what to learn from.
    """

    def __init__(self, tokenizer: Any, texts: Corpus, settings: TextSettings) -> None:
        self.settings, self.step = settings, 0
        self.encoder = make_encoder(len(tokenizer), settings)
        self._ids = [tokenize(sentence, tokenizer) for sentence in texts.sentences]
        self._meanings = torch.tensor(texts.meanings)
        self._indicators = torch.tensor([tokenize(word, tokenizer) for word in INDICATORS])  # (10, 2)
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed + 1)
            self._meaning = torch.nn.Linear(settings.width, texts.count)
            self._word = torch.nn.Linear(settings.width, len(tokenizer))
            self._words = torch.nn.Linear(settings.width, len(tokenizer))
        heads = (self._meaning, self._word, self._words)
        parameters = [*self.encoder.parameters(), *(p for head in heads for p in head.parameters())]
        self.optimiser = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=0.01)

    def train_step(self) -> dict[str, float]:
        """One step; returns what there is to log."""
        rng = np.random.default_rng((self.settings.seed, self.step))
        chosen = rng.integers(0, len(self._ids), self.settings.batch)
        ids = self._padded([self._renumbered(rng, self._ids[index]) for index in chosen])  # (B, L)
        present = ids != _PADDING
        hidden = torch.from_numpy(rng.random(ids.shape) < self.settings.dropped) & present & (ids != END_TOKEN)
        hidden &= present.sum(1, keepdim=True) > 3  # not of single words
        embeddings = self.encoder(ids.masked_fill(hidden, _UNKNOWN), attention_mask=present.long()).last_hidden_state
        mean = (embeddings * present[..., None]).sum(1) / present.sum(1, keepdim=True)  # (B, Y)
        logits = self._meaning(mean)
        meanings = self._meanings[chosen]
        losses = {
            "meaning": F.cross_entropy(logits, meanings, label_smoothing=0.05),
            "word": F.cross_entropy(self._word(embeddings[present]), ids[present]),
            "words": self._bag_loss(mean, ids),
            "indicators": self._likeness_loss(),
        }
        self.optimiser.zero_grad()
        (losses["meaning"] + losses["word"] + 2.0 * losses["words"] + losses["indicators"]).backward()
        left = 1 - self.step / self.settings.steps
        self.optimiser.param_groups[0]["lr"] = self.settings.learning_rate * min(1.0, (self.step + 1) / 30, 2 * left)
        self.optimiser.step()
        self.step += 1
        right = (logits.argmax(1) == meanings).float().mean()
        return {name: loss.item() for name, loss in losses.items()} | {"right": right.item()}

    @torch.no_grad()
    def calibrate(self) -> None:
        """Scales the embeddings to a deviation of one over the corpus, which is what the transformer's first layer likes."""
        ids = self._padded(self._ids)
        present = ids != _PADDING
        embeddings = self.encoder(ids, attention_mask=present.long()).last_hidden_state[present]
        self.encoder.encoder.final_layer_norm.weight /= embeddings.std()

    def _bag_loss(self, mean: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Which words an instruction has, told from its mean."""
        bag = torch.zeros(len(ids), self._words.out_features).scatter_(1, ids, 1.0)
        bag[:, _PADDING] = 0.0
        return F.binary_cross_entropy_with_logits(self._words(mean), bag, reduction="sum") / bag.sum()

    def _likeness_loss(self) -> torch.Tensor:
        """How alike the indicators' own embeddings are, which tell pictures apart: each should be nearest to itself."""
        table = F.normalize(self.encoder(self._indicators).last_hidden_state[:, 0], dim=-1)
        return F.cross_entropy(table @ table.T / 0.2, torch.arange(len(table)))

    def _renumbered(self, rng: np.random.Generator, ids: list[int]) -> list[int]:
        """Sometimes with other indicators, as in later rounds of a history: the meaning stays."""
        if len(ids) <= 2 or rng.random() < 0.5:
            return ids
        words = self._indicators[:, 0].tolist()
        shift = int(rng.integers(1, len(words)))
        other = dict(zip(words, words[shift:] + words[:shift], strict=True))
        return [other.get(token, token) for token in ids]

    @staticmethod
    def _padded(rows: list[list[int]]) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], True, float(_PADDING))


def make_text_encoder(bundle: Path, settings: TextSettings, log: Path | None = None) -> TextTrainer:
    """Trains and writes ``models/tokenizer`` and ``models/text_encoder`` of a bundle, half precision.

    A tokenizer that is there already is kept, because training one twice does not give the same one twice; with it, the
    same settings give the same encoder.

    Args:
        log: JSONL file to write the losses to.
    """
    from transformers import AutoTokenizer

    texts = corpus()
    words = bundle / "models" / "tokenizer" / _T5_NAME
    if not (words / "tokenizer.json").exists():
        train_tokenizer(words, texts.sentences, settings.vocabulary)
    trainer = TextTrainer(AutoTokenizer.from_pretrained(str(words), local_files_only=True), texts, settings)
    rows, recent = [], []
    while trainer.step < settings.steps:
        recent.append(trainer.train_step())
        if trainer.step % 20 == 0:
            means = {key: round(float(np.mean([row[key] for row in recent])), 5) for key in recent[0]}
            rows.append({"step": trainer.step, **means})
            recent.clear()
    trainer.calibrate()
    trainer.encoder.half().save_pretrained(bundle / "models" / "text_encoder" / _T5_NAME)
    if log is not None:
        with atomic_write(log) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return trainer


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m comfyui_ace.training.tiny.text", description="Makes ace-tiny's tokenizer and text encoder."
    )
    parser.add_argument("bundle", type=Path, help="folder of the bundle")
    parser.add_argument("--log", type=Path, help="JSONL file for the losses; a plot is drawn beside it")
    parser.add_argument("--steps", type=int, default=TextSettings.steps)
    parser.add_argument("--seed", type=int, default=TextSettings.seed)
    arguments = parser.parse_args()
    make_text_encoder(arguments.bundle, TextSettings(steps=arguments.steps, seed=arguments.seed), arguments.log)
    if arguments.log is not None:
        plot_curves(
            arguments.log, arguments.log.with_suffix(".png"), ("meaning", "word", "words", "indicators", "right")
        )


if __name__ == "__main__":
    main()
