"""From an address to a model whose answers about a dataset are kept."""

from __future__ import annotations

from typing import Any

from ..dataset.store import Dataset
from ..vision_language.recorded import RecordedAnswers
from ..vision_language.servers import open_recording
from .journal import FOLDER


def open_labeller_backend(
    dataset: Dataset, server: str, model: str = "", *, again: bool = False, **opening: Any
) -> RecordedAnswers:
    """The model on a server, which is asked anew where a recorded answer was no JSON.

    Args:
        dataset: in whose folder the answers are kept.
        again: it is asked anew about everything.
        server, model, opening: see :func:`vision_language.servers.open_recording`.

    Raises:
        ModelError: there is no such server or model, or it does not see pictures.
    """
    answers = dataset.folder / FOLDER / "answers.jsonl"
    readable = lambda _request, answer: not again and answer.json() is not None  # noqa: E731
    return open_recording(server, model, answers, readable=readable, **opening)
