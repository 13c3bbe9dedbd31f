"""From an address that a user typed to a judge that has proved that it sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..vision_language.answer import Answer
from ..vision_language.errors import ModelError
from ..vision_language.request import Request
from ..vision_language.servers import open_recording
from .judges import Judge, LanguageModelJudge
from .parsing import read_marks
from .prompts import PairPictures
from .scores import Judgement


def open_judge(
    server: str,
    model: str,
    answers: Path,
    *,
    passes: int = 1,
    name: str | None = None,
    ask_unread: bool = False,
    **opening: Any,
) -> LanguageModelJudge:
    """A judge on a server.

    Args:
        server, model, answers, opening: see :func:`vision_language.servers.open_recording`.
        passes: looks at each pair, averaged.
        name: under which its scores stand; None takes the model's.
        ask_unread: ask the server anew where the answer in the file could not be read.

    Raises:
        ModelError: there is no such server or model, or it does not see pictures.
    """
    readable = _has_marks if ask_unread else None
    backend = open_recording(server, model, answers, readable=readable, **opening)
    return LanguageModelJudge(backend, name=name, passes=passes)


def _has_marks(request: Request, answer: Answer) -> bool:
    names = [name for name in request.schema["required"] if name != "reasoning"]
    return read_marks(answer, names) is not None


def where_pictures_go(judge: Judge) -> str:
    """Plainly, who gets to see the pictures."""
    if judge.address is None:
        return f"{judge.name} judges on this machine; no picture leaves it"
    return f"{judge.name} judges; pictures and instructions are sent to {judge.address}"


class FaultTolerantJudge:
    """A judge whose failures do not end the work around it: a pair it cannot be asked about is unscored.

    Args:
        tell: hears of the first failure.
    """

    def __init__(self, judge: Judge, tell: Callable[[str], None]) -> None:
        self._judge, self._tell = judge, tell
        self._told = False

    def __getattr__(self, name: str):
        return getattr(self._judge, name)

    def judge(self, pair: PairPictures, *, swap: bool = False) -> Judgement:
        """Never raises ModelError."""
        try:
            return self._judge.judge(pair, swap=swap)
        except ModelError as error:
            if not self._told:
                self._told = True
                self._tell(f"the judge could not be asked about some pairs, which have no marks: {error}")
            return Judgement(self._judge.name, self._judge.prompt, ())
