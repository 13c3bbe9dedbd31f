"""Judges: whatever gives marks to a pair."""

from __future__ import annotations

from typing import Protocol

from ..vision_language.answer import Usage
from ..vision_language.asking import ask_readable
from ..vision_language.backend import Backend
from .parsing import read_marks
from .prompts import PROMPT, REMINDER, PairPictures, Question, quality_question, semantic_question
from .scores import Judgement, Marks

_WARM = 0.7  # temperature of further passes, which would repeat the first word for word at 0


class Judge(Protocol):
    """Anything that marks pairs. It may be asked from ``parallel`` threads at once.

    Attributes:
        name: under which its marks stand in a row.
        prompt: changes with its questions.
        address: who gets the pictures; None if they stay in this program.
        parallel: pairs at once.
        usage: tokens so far.
        repeated: questions that were asked once more because the answer could not be read.
    """

    name: str
    prompt: str
    address: str | None
    parallel: int
    usage: Usage
    repeated: int

    def judge(self, pair: PairPictures, *, swap: bool = False) -> Judgement:
        """Marks a pair, with ``swap`` also with source and result exchanged.

        Raises:
            ModelError: there is nobody to ask, or the question was refused.
        """
        ...


class LanguageModelJudge:
    """Asks a vision-language model VIEScore's two questions.

    Args:
        backend: the model.
        name: in the rows; the model's own if left out.
        passes: how often each pair is judged; the passes' scores are averaged.
    """

    def __init__(self, backend: Backend, *, name: str | None = None, passes: int = 1) -> None:
        if passes < 1:
            raise ValueError(f"a judge looks at each pair once or more, got {passes} passes")
        self.backend = backend
        self.name = name or backend.model
        self.prompt = PROMPT if passes == 1 else f"{PROMPT}x{passes}"
        self.address = backend.address
        self.parallel = backend.parallel
        self.passes = passes
        self.usage = Usage()
        self.repeated = 0

    def judge(self, pair: PairPictures, *, swap: bool = False) -> Judgement:
        passes: list[Marks] = []
        reasons = ("", "")
        for number in range(self.passes):
            draw = {"seed": number or None, "temperature": _WARM if number else 0.0}
            semantic = self._answer(semantic_question(pair, **draw))
            quality = self._answer(quality_question(pair.result, **draw))
            if semantic is None or quality is None:
                passes = []  # a pair that is half read is unscored: the passes are averaged, and none may be made up
                reasons = tuple("" if answer is None else answer[1] for answer in (semantic, quality))
                break
            passes.append(Marks(semantic[0], quality[0]))
            reasons = reasons if number else (semantic[1], quality[1])
        exchanged = self._answer(semantic_question(pair.swapped())) if swap and pair.source is not None else None
        return Judgement(
            self.name, self.prompt, tuple(passes), *reasons, swapped=() if exchanged is None else exchanged[0]
        )

    def _answer(self, question: Question) -> tuple[tuple[float, ...], str] | None:
        """Asks, and once more if the answer cannot be read."""
        reading = ask_readable(
            self.backend, question.request, lambda answer: read_marks(answer, question.marks), REMINDER
        )
        self.repeated += reading.repeated
        self.usage = self.usage + reading.usage
        return reading.found
