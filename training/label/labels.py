"""A label: the texts that are proposed for a pair, and where each of them comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

PROPOSED, UNLABELLED = "proposed", "unlabelled"


@dataclass(frozen=True)
class LabelText:
    """One instruction.

    Attributes:
        text: with the indicators of the pictures.
        language: "en" or "zh".
        form: one of ``settings.FORMS``, "rewrite", or "template".
        origin: "model", "template", or "person".
        prompt: hash of the questions, or the subtask whose template it is.
        edited: somebody has changed it by hand.
    """

    text: str
    language: str
    form: str
    origin: str
    prompt: str
    edited: bool = False


@dataclass(frozen=True)
class RawAnswer:
    """An answer as it came.

    Attributes:
        question: what was asked: "compare", "exchanged", "words en" …
        request: hash of the whole request, pictures included.
        text: the answer; the thinking is left out where the server tells it apart.
        model: who answered.
    """

    question: str
    request: str
    text: str
    model: str


@dataclass(frozen=True)
class Label:
    """What came of one pair.

    Attributes:
        pair: its id.
        status: "proposed", or "unlabelled" with a reason: nothing is ever invented.
        reason: why there is no text.
        texts: the first one becomes the instruction, those after it further phrasings.
        source_caption, target_caption: what the pictures show.
        checks: by name "passed", "not needed", or what was wrong.
        dropped: texts that were not taken, with the reason.
        task: that was recognised from the pixels, or empty.
        shared: what all pictures of its set share.
        model: who was asked; empty where nobody was.
        asked: the questions and settings, so that other ones are asked anew.
        judge: who was asked whether it is true, where that is another model.
        in_set: whether its set was asked about first, even if its pictures share nothing.
        row: hash of the words that its row had; see ``applying.hash_of_words``.
        answers: all that came back.
        time: when, ISO 8601 in UTC.
    """

    pair: str
    status: str
    reason: str = ""
    texts: tuple[LabelText, ...] = ()
    source_caption: str = ""
    target_caption: str = ""
    checks: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[tuple[str, str], ...] = ()
    task: str = ""
    shared: tuple[str, ...] = ()
    model: str = ""
    asked: str = ""
    judge: str = ""
    in_set: bool = False
    row: str = ""
    answers: tuple[RawAnswer, ...] = ()
    time: str = ""

    @property
    def proposed(self) -> bool:
        return self.status == PROPOSED

    def words(self, language: str) -> tuple[str, ...]:
        """The texts in one language, in order."""
        return tuple(text.text for text in self.texts if text.language == language)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Label:
        """From JSON.

        Raises:
            KeyError, TypeError: it is none.
        """
        values = {key: value for key, value in data.items() if key in cls.__dataclass_fields__}
        values["texts"] = tuple(LabelText(**text) for text in data.get("texts", ()))
        values["answers"] = tuple(RawAnswer(**answer) for answer in data.get("answers", ()))
        values["dropped"] = tuple((text, reason) for text, reason in data.get("dropped", ()))
        values["shared"] = tuple(data.get("shared", ()))
        if not isinstance(data["pair"], str) or data["status"] not in (PROPOSED, UNLABELLED):
            raise TypeError("no label")
        return cls(**values)
