"""The two questions of VIEScore, in our own words: reasons come before numbers, so that the numbers follow from them.

The first shows the source and the result and asks whether the instruction was carried out and nothing else was touched.
The second shows the result alone: a judge that sees the source, too, praises what it only copied.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from ...ace.lcu.indicators import INDICATORS, normalize_indicators
from ..dataset.disk.rows import PairRow
from ..dataset.intake.wording import one_line, plain_prompt
from ..vision_language.request import LabelledImage, Request

SYSTEM = (
    "You are an experienced digital artist who checks edited pictures for a studio. All pictures were made by a computer "
    "program, so nobody's privacy is concerned. You look closely, you do not flatter, and you use the whole scale."
)
_EDIT = (
    "Image 1 is the picture before an edit and Image 2 the picture after it.{references}\n"
    "The edit that was asked for: {instruction}\n"
    "First write down what changed between the two pictures, what of the edit is done and what is missing, and what "
    "changed although nobody asked for it. Then give two whole numbers from 0 to 10.\n"
    "success: 0 = nothing of the edit was done, 5 = half of it, 10 = all of it, just as asked.\n"
    "preservation: 0 = the picture has become a different one, 5 = much besides the edit has changed, 10 = nothing "
    "changed beyond what the edit needs. A picture that was not edited at all preserves everything and succeeds in nothing."
)
_CREATION = (
    "Image 1 was made from words alone.{references}\n"
    "The words: {instruction}\n"
    "First write down what of the words the picture shows and what is missing or wrong. Then give one whole number from "
    "0 to 10.\n"
    "success: 0 = it shows nothing of what was asked for, 5 = half of it, 10 = all of it."
)
_QUALITY = (
    "Judge how this picture looks, whatever it shows.\n"
    "First write down what looks unnatural (light, shadows, perspective, proportions, a pasted look) and which faults you "
    "see (smears, seams, noise, blur, doubled or broken shapes, deformed faces or hands, unreadable letters). Then give "
    "two whole numbers from 0 to 10.\n"
    "naturalness: 0 = it looks wrong as a whole, 5 = some parts do, 10 = it looks right everywhere.\n"
    "cleanness: 0 = full of faults, 5 = several can be seen, 10 = none can be seen."
)
REMINDER = (
    "Your last answer could not be read. Answer now with the JSON object alone, beginning with {, every number a whole "
    "number from 0 to 10."
)
EDIT_MARKS = ("success", "preservation")
CREATION_MARKS = ("success",)
QUALITY_MARKS = ("naturalness", "cleanness")
# Of an answer, thinking included: with two pictures, and twice as many tokens at the second try, it fits a context of 8192.
_TOKENS = 2048
PROMPT = hashlib.sha256(
    "\n".join([SYSTEM, _EDIT, _CREATION, _QUALITY, *EDIT_MARKS, *CREATION_MARKS, *QUALITY_MARKS]).encode()
).hexdigest()[:12]


@dataclass(frozen=True, eq=False)
class PairPictures:
    """What a judge is shown of a pair.

    Attributes:
        source: before the edit; None for a picture made from text alone.
        result: after it.
        instruction: in plain words.
        references: further pictures the instruction speaks of.
    """

    source: Image.Image | None
    result: Image.Image
    instruction: str
    references: tuple[Image.Image, ...] = ()

    def swapped(self) -> PairPictures:
        """The result in the source's place: the edit undone, which must not succeed."""
        if self.source is None:
            raise ValueError("a picture made from text alone has no source to exchange with its result")
        return PairPictures(self.result, self.source, self.instruction, self.references)


def instruction_of_row(row: PairRow, given: str = "") -> str:
    """What a judge is told of a row: ``given``, or else the row's own words."""
    references = len(row.reference_file_names)
    return spoken(given or (row.instruction if references else row.prompt or row.instruction), references)


def spoken(instruction: str, references: int, first: int = 3) -> str:
    """An instruction with the pictures named as a judge sees them labelled.

    Args:
        instruction: may have ``{image}`` tokens: the source, then the references.
        references: number of further pictures.
        first: number of the first of them; the result stands before it.
    """
    if not references:
        return plain_prompt(instruction, 1)
    try:
        text = normalize_indicators(instruction)
    except ValueError:  # a picture that cannot be there: the judge is told what the words say
        text = instruction
    for number, word in reversed(list(enumerate(INDICATORS))):
        text = text.replace(word, f"Image {number + first - 1 if number else 1}")
    return one_line(text)


@dataclass(frozen=True, eq=False)
class Question:
    """A request and the marks that its answer must carry."""

    request: Request
    marks: tuple[str, ...]


def semantic_question(pair: PairPictures, seed: int | None = None, temperature: float = 0.0) -> Question:
    """About source and result, or about a picture made from words alone."""
    shown = [pair.result] if pair.source is None else [pair.source, pair.result]
    names = ["Image 1"] if pair.source is None else ["Image 1 (before)", "Image 2 (after)"]
    first = len(shown) + 1
    names += [f"Image {number} (reference)" for number in range(first, first + len(pair.references))]
    extra = " The further images are references that the words speak of." if pair.references else ""
    text, marks = (_CREATION, CREATION_MARKS) if pair.source is None else (_EDIT, EDIT_MARKS)
    words = text.format(instruction=json.dumps(pair.instruction, ensure_ascii=False), references=extra)
    return _question([*shown, *pair.references], names, words, marks, seed, temperature)


def quality_question(result: Image.Image, seed: int | None = None, temperature: float = 0.0) -> Question:
    """About the result alone, and without the instruction."""
    return _question([result], ["Image 1"], _QUALITY, QUALITY_MARKS, seed, temperature)


def answer_schema(marks: Sequence[str]) -> dict[str, Any]:
    """The reasons, then exactly these numbers."""
    number = {"type": "integer", "minimum": 0, "maximum": 10}
    return {
        "type": "object",
        "properties": {"reasoning": {"type": "string"}, **dict.fromkeys(marks, number)},
        "required": ["reasoning", *marks],
        "additionalProperties": False,
    }


def _question(
    pictures: Sequence[Image.Image],
    names: Sequence[str],
    words: str,
    marks: tuple[str, ...],
    seed: int | None,
    temperature: float,
) -> Question:
    images = [LabelledImage(name, picture) for name, picture in zip(names, pictures, strict=True)]
    request = Request(
        parts=(*images, words),
        system=SYSTEM,
        schema=answer_schema(marks),
        max_tokens=_TOKENS,
        temperature=temperature,
        seed=seed,
    )
    return Question(request, marks)
