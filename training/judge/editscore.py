"""EditScore, a reward model for edits (VIEScore's questions, reasons first, marks from 0 to 25), where it is installed.

Of its package the model and the questions are used, not the reading of answers: that one puts the middle of the scale,
or a number by lot, where an answer cannot be read.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Protocol

from PIL import Image

from ..vision_language.answer import Answer, Usage
from ..vision_language.errors import ModelError
from ..vision_language.request import LabelledImage
from .parsing import read_marks
from .prompts import PairPictures
from .scores import MOST, Judgement, Marks

NAME = "editscore"
BACKBONES = ("qwen3vl", "qwen25vl", "qwen3vl_vllm", "qwen25vl_vllm", "internvl3_5")
_RANGE = 25
_CONTEXT = 8192  # tokens for vLLM; the package's own 1536 are too few for two pictures
_TRIES = 2  # an answer is drawn, so that the same question can be answered better
_MARKS = ("first", "second")


class Scorer(Protocol):
    """What is used of ``editscore.EditScore``."""

    SC_prompt: str
    PQ_prompt: str
    score_range: int
    seed: int
    model: Any  # prepare_input(images, text) -> inputs; inference(inputs, seed=…) -> text


class EditScoreJudge:
    """EditScore as a judge.

    Args:
        scorer: from :func:`load_editscore`.
        passes: judged so often and averaged; 4 is what its authors recommend.
    """

    def __init__(self, scorer: Scorer, *, passes: int = 1, name: str = NAME) -> None:
        self.name = name
        self.prompt = f"editscore-{scorer.score_range}" + ("" if passes == 1 else f"x{passes}")
        self.address = None
        self.parallel = 1
        self.usage = Usage()
        self.repeated = 0
        self._scorer = scorer
        self._passes = passes

    def judge(self, pair: PairPictures, *, swap: bool = False) -> Judgement:
        """Raises `ModelError` for a picture made from text alone, which EditScore was not trained on."""
        if pair.source is None:
            raise ModelError("EditScore compares a result with its source, and this pair has none")
        passes, reasons = [], ("", "")
        for number in range(self._passes):
            semantic = self._semantic(pair, number)
            quality = self._ask([pair.result], self._scorer.PQ_prompt, number)
            if semantic is None or quality is None:
                passes = []
                break
            passes.append(Marks(semantic[0], quality[0]))
            reasons = reasons if number else (semantic[1], quality[1])
        exchanged = self._semantic(pair.swapped(), 0) if swap else None
        return Judgement(
            self.name, self.prompt, tuple(passes), *reasons, swapped=() if exchanged is None else exchanged[0]
        )

    def _semantic(self, pair: PairPictures, number: int) -> tuple[tuple[float, ...], str] | None:
        text = self._scorer.SC_prompt.replace("<instruction>", pair.instruction)
        return self._ask([pair.source, pair.result], text, number)

    def _ask(self, images: Sequence[Image.Image], text: str, number: int) -> tuple[tuple[float, ...], str] | None:
        pictures = [LabelledImage("", image).fitted() for image in images]
        inputs = self._scorer.model.prepare_input(pictures if len(pictures) > 1 else pictures[0], text)
        for attempt in range(_TRIES):
            self.repeated += attempt > 0
            # Passes have seeds of their own, and second tries do not take those of another pass.
            said = self._scorer.model.inference(inputs, seed=self._scorer.seed + number + 1000 * attempt)
            found = read_marks(Answer(str(said)), _MARKS, most=self._scorer.score_range)
            if found is not None:
                return tuple(mark * MOST / self._scorer.score_range for mark in found[0]), found[1]
        return None


def load_editscore(model: str, *, lora: str | None = None, backbone: str = "qwen3vl") -> Scorer:
    """Loads the model from a folder on this machine.

    Raises:
        ModelError: the package is not installed, or the model cannot be loaded.
    """
    if find_spec("editscore") is None:
        raise ModelError(
            f'EditScore is not installed. Install it and try again:\n  "{sys.executable}" -m pip install editscore'
        )
    if backbone not in BACKBONES:
        raise ModelError(f"EditScore runs on {', '.join(BACKBONES)}; got {backbone!r}")
    before = list(sys.path)
    try:
        from editscore import EditScore
    finally:
        sys.path[:] = before  # the package puts a folder of its own in front
    try:
        return EditScore(
            backbone=backbone,
            model_name_or_path=model,
            lora_path=lora,
            score_range=_RANGE,
            max_model_len=_CONTEXT,
            max_num_batched_tokens=_CONTEXT,
        )
    except (OSError, ValueError, RuntimeError, ImportError, AssertionError) as error:
        raise ModelError(f"EditScore cannot load {model!r}: {error}") from error
