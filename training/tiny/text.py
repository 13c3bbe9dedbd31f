"""Makes the small tokenizer and T5 encoder: ``python -m comfyui_ace.training.tiny.text BUNDLE``.

The encoder learns what a transformer for images will need of it: to tell from the mean of an instruction's embeddings what
is asked for; to say from each embedding which word it stands for, and which words are near; and to let a few queries read
off a description what the picture shows, which colour belongs to which shape, and where. Some minutes on one core.
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
from ...ace.lcu.indicators import INDICATORS
from ...ace.text import END_TOKEN, tokenize
from .plots import plot_curves
from .text_corpus import LABELS, UNSAID, Corpus, corpus, describe

T5_NAME = "t5-v1_1-xxl"  # the folder's name in the published layout; this one is small
_PADDING, _UNKNOWN = 0, 2
_FOR_TOKENIZER = 3000  # descriptions


@dataclass(frozen=True)
class TextSettings:
    """Sizes, and how the encoder is trained.

    Attributes:
        vocabulary: pieces of the tokenizer at most, whole words and ACE's special tokens not counted.
        words: so many of the most frequent words are pieces of their own.
        described: share of the sentences that describe a picture.
        dropped: share of the words replaced by the unknown token while training, so that no single one decides.
    """

    vocabulary: int = 800
    words: int = 700
    width: int = 128
    layers: int = 3
    heads: int = 4
    inner: int = 256
    steps: int = 3000
    batch: int = 48
    learning_rate: float = 2e-3
    described: float = 0.6
    dropped: float = 0.15
    seed: int = 0


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


class Reader(torch.nn.Module):
    """Answers the questions of ``LABELS`` from a description's embeddings, as cross-attention of a picture's parts would.

    Args:
        width: of the embeddings.
        queries: how many places it looks from.
    """

    def __init__(self, width: int, queries: int = 4) -> None:
        super().__init__()
        self.queries = torch.nn.Parameter(torch.randn(queries, width) * width**-0.5)
        self.key, self.value = torch.nn.Linear(width, width), torch.nn.Linear(width, width)
        self.answers = torch.nn.ModuleList(torch.nn.Linear(queries * width, len(values)) for values in LABELS.values())

    def forward(self, embeddings: torch.Tensor, present: torch.Tensor) -> list[torch.Tensor]:
        """Embeddings (B, L, Y) and which of them are there (B, L) -> logits for each question, (B, answers)."""
        scores = self.queries @ self.key(embeddings).transpose(1, 2)  # (B, queries, L)
        weights = scores.masked_fill(~present[:, None], float("-inf")).softmax(-1)
        read = (weights @ self.value(embeddings)).flatten(1)
        return [answer(read) for answer in self.answers]


class TextTrainer:
    """The encoder with the heads it learns by.

    Args:
        tokenizer: of :func:`train_tokenizer`.
        texts: instructions to learn from; descriptions are made on the way.
    """

    def __init__(self, tokenizer: Any, texts: Corpus, settings: TextSettings) -> None:
        self.settings, self.tokenizer, self.step = settings, tokenizer, 0
        self.encoder = make_encoder(len(tokenizer), settings)
        self._ids = [tokenize(sentence, tokenizer) for sentence in texts.sentences]
        self._meanings = torch.tensor(texts.meanings)
        self._indicators = torch.tensor([tokenize(word, tokenizer) for word in INDICATORS])  # (10, 2)
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed + 1)
            self._meaning = torch.nn.Linear(settings.width, texts.count)
            self._word = torch.nn.Linear(settings.width, len(tokenizer))
            self._words = torch.nn.Linear(settings.width, len(tokenizer))
            self.reader = Reader(settings.width)
        heads = (self._meaning, self._word, self._words, self.reader)
        parameters = [*self.encoder.parameters(), *(p for head in heads for p in head.parameters())]
        self.optimiser = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=0.01)

    def train_step(self) -> dict[str, float]:
        """One step; returns what there is to log."""
        settings = self.settings
        rng = np.random.default_rng((settings.seed, self.step))
        described = round(settings.batch * settings.described)
        chosen = rng.integers(0, len(self._ids), settings.batch - described)
        descriptions = [describe(rng) for _ in range(described)]
        rows = [self._renumbered(rng, self._ids[index]) for index in chosen]
        ids = self._padded([*rows, *(tokenize(one.sentence, self.tokenizer) for one in descriptions)])  # (B, L)
        present = ids != _PADDING
        hidden = torch.from_numpy(rng.random(ids.shape) < settings.dropped) & present & (ids != END_TOKEN)
        hidden &= present.sum(1, keepdim=True) > 3  # not of single words
        hidden[len(rows) :] = False  # of a description every word counts
        embeddings = self._embed(ids.masked_fill(hidden, _UNKNOWN), present)
        mean = (embeddings * present[..., None]).sum(1) / present.sum(1, keepdim=True)  # (B, Y)
        logits, meanings = self._meaning(mean[: len(rows)]), self._meanings[chosen]
        answers = self.reader(embeddings[len(rows) :], present[len(rows) :])
        labels = torch.tensor([one.labels for one in descriptions])
        losses = {
            "meaning": F.cross_entropy(logits, meanings, label_smoothing=0.05),
            "word": F.cross_entropy(self._word(embeddings[present]), ids[present]),
            "words": self._bag_loss(mean, ids),
            "shown": _answer_loss(answers, labels),
            "indicators": self._likeness_loss(),
        }
        self.optimiser.zero_grad()
        (sum(losses.values()) + losses["words"]).backward()
        left = 1 - self.step / settings.steps
        self.optimiser.param_groups[0]["lr"] = settings.learning_rate * min(1.0, (self.step + 1) / 30, 2 * left)
        self.optimiser.step()
        self.step += 1
        right = (logits.argmax(1) == meanings).float().mean().item()
        return {name: loss.item() for name, loss in losses.items()} | {
            "right": right,
            "read": read_right(answers, labels),
        }

    @torch.no_grad()
    def measure(self, count: int = 256) -> float:
        """Share of right answers about held-out scenes."""
        rng = np.random.default_rng(1)
        descriptions = [describe(rng, held_out=True) for _ in range(count)]
        ids = self._padded([tokenize(one.sentence, self.tokenizer) for one in descriptions])
        present = ids != _PADDING
        return read_right(
            self.reader(self._embed(ids, present), present), torch.tensor([one.labels for one in descriptions])
        )

    def _embed(self, ids: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """(B, L) -> (B, L, Y)."""
        return self.encoder(ids, attention_mask=present.long()).last_hidden_state

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


def _answer_loss(answers: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy summed over the questions, averaged over descriptions; what is not said does not count."""
    losses = [
        F.cross_entropy(logits, labels[:, k], ignore_index=UNSAID, reduction="sum") for k, logits in enumerate(answers)
    ]
    return sum(losses) / len(labels)


@torch.no_grad()
def read_right(answers: Sequence[torch.Tensor], labels: torch.Tensor) -> float:
    """Share of the answers that are right, of those that are said.

    Args:
        answers: logits (B, choices) of each question.
        labels: (B, questions).
    """
    right = torch.stack([logits.argmax(1) for logits in answers], dim=1) == labels
    return right[labels != UNSAID].float().mean().item()


def make_text_encoder(bundle: Path, settings: TextSettings, log: Path | None = None) -> TextTrainer:
    """Trains and writes ``models/tokenizer`` and ``models/text_encoder`` of a bundle, half precision.

    A tokenizer that is there already is kept, because training one twice does not give the same one twice; with it, the
    same settings give the same encoder.

    Args:
        log: JSONL file to write the losses to.
    """
    from transformers import AutoTokenizer

    texts = corpus()
    words = bundle / "models" / "tokenizer" / T5_NAME
    if not (words / "tokenizer.json").exists():
        rng = np.random.default_rng(settings.seed)
        described = [describe(rng).sentence for _ in range(_FOR_TOKENIZER)]
        train_tokenizer(words, [*texts.sentences, *described], settings.vocabulary, settings.words)
    trainer = TextTrainer(AutoTokenizer.from_pretrained(str(words), local_files_only=True), texts, settings)
    rows, recent = [], []
    while trainer.step < settings.steps:
        recent.append(trainer.train_step())
        if trainer.step % 20 == 0:
            means = {key: round(float(np.mean([row[key] for row in recent])), 5) for key in recent[0]}
            rows.append({"step": trainer.step, **means})
            recent.clear()
    rows.append({"step": trainer.step, "held_out_read": round(trainer.measure(), 5)})
    trainer.calibrate()
    trainer.encoder.half().save_pretrained(bundle / "models" / "text_encoder" / T5_NAME)
    if log is not None:
        with atomic_write(log) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8", newline="\n")
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
        plot_curves(arguments.log, arguments.log.with_suffix(".png"), ("meaning", "word", "shown", "right", "read"))


if __name__ == "__main__":
    main()
