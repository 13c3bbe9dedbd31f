"""An instruction in better words, by a language model that the artist runs. Nothing is sent before it was read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ....ace.lcu.indicators import mentioned_images, normalize_indicators
from ....training.vision_language.answer import Answer, without_thinking
from ....training.vision_language.request import Request
from .errors import ChatError
from .wording import Part, instruction, mentioned, parts_of

_SYSTEM = (
    "You rewrite instructions for an image editing model. It reads English only and was trained on short, plain "
    "instructions such as “Remove the car from {image}.”, “{image}, make it snow”, “Place the hat of {image1} on the dog in "
    "{image}.” Write one such instruction that says exactly what the person means: no new wishes, no explanation, at most "
    "forty words. Tokens in braces such as {image} and {image1} stand for pictures: keep each of them, exactly as it is, "
    "and add no other. Words that the person wants to see written in the picture stay as they are."
)
_KEY = "instruction"
_SCHEMA = {"type": "object", "properties": {_KEY: {"type": "string"}}, "required": [_KEY]}
_MOST = 2000  # characters
_NO_SENTENCE = ("{", "[", "<", "`")  # what JSON that was cut off, a page, or code begins with


def rewrite(backend: Any, parts: Sequence[Part], pictures: int) -> list[Part]:
    """Asks a model to say it better.

    Args:
        backend: of ``training.vision_language``.
        parts: words and pictures as typed.
        pictures: how many the turn has.

    Returns:
        Words and pictures; the pictures are those that were named before.

    Raises:
        ModelError: there is no answer.
        ChatError: the answer is of no use.
    """
    text = instruction(parts, pictures)
    asked = f"Rewrite this instruction:\n{text}"
    answer = backend.ask(Request((asked,), system=_SYSTEM, schema=_SCHEMA, max_tokens=1024))
    given = answer.json()
    found = _sentence(answer) if given is None else given.get(_KEY)
    if not isinstance(found, str) or not found.strip() or len(found) > _MOST:
        raise ChatError(f"The model {backend.model} answered, but not with an instruction; try another model.")
    try:
        better = normalize_indicators(" ".join(found.split()))
        named = set(mentioned_images(better))
    except ValueError as error:
        raise ChatError(f"The model {backend.model} named a picture that is not there: {error}") from error
    wanted = mentioned(parts) or ({0} if pictures else set())
    if named != wanted:
        raise ChatError(
            f"The model {backend.model} mixed up the pictures, so its words were not taken: “{better:.300}”. Try again, or "
            "write it yourself."
        )
    return parts_of(better, pictures)


def _sentence(answer: Answer) -> str | None:
    """The answer of a small model that says the sentence and forgets the JSON around it. It is seen before it is used."""
    text = without_thinking(answer.text).strip()
    quoted = len(text) > 1 and text[0] + text[-1] in ('""', "“”")
    text = text[1:-1].strip() if quoted else text
    is_whole = text and "\n" not in text and not text.startswith(_NO_SENTENCE) and not answer.truncated
    return text if is_whole else None
