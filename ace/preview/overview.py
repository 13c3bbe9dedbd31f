"""What the model will be given, in words and pictures an artist can check before anything is sampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..instructions import unreadable_letters
from ..lcu.frames import FittedFrame, fit_frames
from ..lcu.indicators import INDICATORS, split_special_tokens
from ..lcu.units import LongContext, ResolvedContext, resolve
from ..notices import Notify, silent
from ..pictures.fit import PATCH_PIXELS
from ..pictures.preprocess import LATENT_PIXELS, resize_mask
from ..pictures.resolution import Resolution

MAX_WORDS = 90
"""About as many English words as fit into the 120 tokens of text that ACE reads."""


@dataclass(frozen=True, eq=False)
class Card:
    """One picture on the model's sequence.

    Attributes:
        indicator: its word over all rounds; empty for the result.
        own_indicator: the word the artist gave it in its round.
        image: (H, W, 3), 0 … 1: the part of the picture that the model gets, in the picture's own pixels; None for the
            result.
        mask: (height, width) of zeros and ones at the coarseness the model gets; None when everything may change.
        height: in pixels.
        width: in pixels.
        origin: what was done to the picture to get there, in words; empty when nothing was.
        edited: whether it is the picture being edited.
        batch: pictures it stands for.
        title: what it is called where it has no indicator.
    """

    indicator: str
    own_indicator: str
    image: torch.Tensor | None
    mask: torch.Tensor | None
    height: int
    width: int
    origin: str = ""
    edited: bool = False
    batch: int = 1
    title: str = "result"

    @property
    def label(self) -> str:
        """What it is called."""
        return self.indicator or self.title

    @property
    def tokens(self) -> int:
        """Tokens it takes on the sequence."""
        return (self.height // PATCH_PIXELS) * (self.width // PATCH_PIXELS)

    @property
    def coverage(self) -> float:
        """How much of it may change, 0 … 1."""
        return 1.0 if self.mask is None else float(self.mask.mean())


@dataclass(frozen=True, eq=False)
class Round:
    """One instruction with its pictures, as numbered over all rounds.

    Attributes:
        title: "This round", or which of the earlier ones it is.
        instruction: with its indicators renumbered.
        cards: pictures in the model's order; the present round ends with the result.
    """

    title: str
    instruction: str
    cards: tuple[Card, ...]


@dataclass(frozen=True, eq=False)
class Overview:
    """Everything the model will be given.

    Attributes:
        rounds: earlier ones first.
        max_tokens: tokens a picture may have in the model's training; None if no model was named.
        warnings: sentences.
        title: of the sheet.
    """

    rounds: tuple[Round, ...]
    max_tokens: int | None
    warnings: tuple[str, ...]
    title: str = "What ACE sees"

    @property
    def cards(self) -> tuple[Card, ...]:
        """All pictures in the model's order."""
        return tuple(card for one in self.rounds for card in one.cards)

    @property
    def tokens(self) -> int:
        """Length of the model's sequence."""
        return sum(card.tokens for card in self.cards)

    def summary(self) -> str:
        """The sheet in words, a line for each thing."""
        lines = [f"{self.tokens} tokens in all" + (f", at most {self.max_tokens} a picture" if self.max_tokens else "")]
        for one in self.rounds:
            lines.append(f"{one.title}: {one.instruction or '(no instruction)'}")
            for card in one.cards:
                edited = ", edited" if card.edited else ""
                lines.append(
                    f"- {card.label}: {card.width}×{card.height}, {card.tokens} tokens, {describe_coverage(card)}{edited}"
                )
        return "\n".join((*lines, *(f"! {warning}" for warning in self.warnings)))


def describe_coverage(card: Card) -> str:
    """How much of a picture may change, in words."""
    if card.mask is None or card.coverage == 1.0:
        return "all of it may change"
    if card.coverage == 0.0:
        return "none of it may change"
    percent = 100 * card.coverage
    shown = "less than 1" if percent < 1 else "more than 99" if percent > 99 else f"{percent:.0f}"
    return f"{shown} % may change"


def overview(
    context: LongContext, resolution: Resolution, max_tokens: int | None = None, notify: Notify = silent
) -> Overview:
    """Collects what a long context will be for the model. Needs no model.

    Args:
        context: images, masks and instructions of all rounds.
        resolution: decides the sizes, as in encoding.
        max_tokens: what the model was trained with, to compare sizes to.
        notify: told every warning as well.

    Raises:
        ValueError: see :func:`ace.lcu.units.resolve`.
    """
    warnings: list[str] = []

    def warn(message: str) -> None:
        if message not in warnings:
            warnings.append(message)
            notify(message)

    resolved = resolve(context, warn)
    fitted = fit_frames(resolved, resolution, warn)
    cards = _cards(context, resolved, fitted)
    rounds = []
    for index in range(resolved.rounds):
        inside = [card for card, frame in zip(cards, resolved.frames, strict=True) if frame.round == index]
        if index == resolved.rounds - 1:
            result = _result(resolved, fitted, resolution)
            rounds.append(Round("This round", resolved.instruction, (*inside, result)))
        elif inside:
            instruction = next(frame.instruction for frame in resolved.frames if frame.round == index)
            rounds.append(Round(f"Earlier round {len(rounds) + 1}", instruction, tuple(inside)))
    found = Overview(tuple(rounds), max_tokens, ())
    _warn_about(found, warn)
    return Overview(found.rounds, max_tokens, tuple(warnings))


def _cards(context: LongContext, resolved: ResolvedContext, fitted: Sequence[FittedFrame]) -> list[Card]:
    kept = context.units[len(context.units) - resolved.rounds :]
    ranks = [0] * resolved.rounds
    cards = []
    for index, (frame, each) in enumerate(zip(resolved.frames, fitted, strict=True)):
        own = kept[frame.round].images[ranks[frame.round]].indicator
        ranks[frame.round] += 1
        fit = each.fit
        origin = ""
        if fit.crops or fit.scales:
            origin = f"from {fit.source_width}×{fit.source_height}"
            if fit.crops:
                origin += f", cropped to {fit.crop.width}×{fit.crop.height}"
        cards.append(
            Card(
                frame.indicator,
                own,
                frame.image[0, fit.crop.rows, fit.crop.columns],
                _to_pixels(each.mask),
                fit.height,
                fit.width,
                origin,
                index == resolved.target,
                frame.image.shape[0],
            )
        )
    return cards


def _result(resolved: ResolvedContext, fitted: Sequence[FittedFrame], resolution: Resolution) -> Card:
    """The picture to be made: it takes size and mask of the edited one."""
    batch = max((each.frame.image.shape[0] for each in fitted), default=1)
    if resolved.target is None:
        height, width = resolution.canvas
        return Card("", "", None, None, height, width, "from the instruction alone", batch=batch)
    target = fitted[resolved.target]
    origin = f"size and mask of {target.frame.indicator}"
    return Card("", "", None, _to_pixels(target.mask), target.fit.height, target.fit.width, origin, batch=batch)


def _to_pixels(mask: torch.Tensor | None) -> torch.Tensor | None:
    """(B, 1, h, w) at the latent's size -> (8h, 8w) of the first one."""
    if mask is None:
        return None
    height, width = mask.shape[-2:]
    return resize_mask(mask[:1, 0], height * LATENT_PIXELS, width * LATENT_PIXELS)[0]


def _warn_about(found: Overview, warn: Notify) -> None:
    if found.max_tokens is not None:
        large = [f"{card.label}: {card.tokens}" for card in found.cards if card.tokens > found.max_tokens]
        if large:
            warn(
                f"more tokens than the {found.max_tokens} a picture that the model was trained with ({', '.join(large)}): "
                "the result may come out worse. Choose a smaller resolution"
            )
    for one in found.rounds:
        words = len(one.instruction.split())
        if words > MAX_WORDS:
            warn(
                f"{one.title.lower()}: the instruction is {words} words long; ACE reads about the first {MAX_WORDS}. "
                "Put what matters most first, or shorten it"
            )
        if letters := unreadable_letters(one.instruction):
            warn(
                f"{one.title.lower()}: the published models cannot read these letters: {letters[:12]}. Write the "
                "instruction in English"
            )
    if all(piece in INDICATORS for piece in split_special_tokens(found.rounds[-1].instruction)):
        warn("this round has no instruction: the model is told nothing about what to do")
