"""The questions: first what differs, from the pictures; then, from that text alone, the words; then whether they are true.

Han et al. 2024, section 3.2: a multimodal model tells differences and commonalities, a language model makes the
instruction of them, and rewrites it so that each wording is another than all before.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from ....ace.lcu.indicators import indicator
from ...vision_language.request import LabelledImage, Request
from ..settings import Shown
from .answers import PICTURES, SIZES, Comparison, Thing
from .changes import PLACES, WHOLE
from .words import words_of

SYSTEM = (
    "You describe pictures for a studio that keeps an archive of edits. You write down only what can be seen, you mind "
    "left and right as the viewer sees them, and you would rather leave a thing out than guess it."
)
_COMPARE = (
    "Image 1 is a picture before an edit and Image 2 the same place in the archive after it.{references}{mask}\n"
    "Compare them part by part. List every difference that a person would notice, the most striking first, and nothing "
    "that is equal in both. For each: what differs; where in the picture, by the places listed; how it is before and how "
    'it is after ("not there" if it is only in the other one); and how large the part is. Then list what both have in '
    "common, whether both show the same person or thing, and every word of direction (left, right, above …) that somebody "
    "needs who is told of the edit. If nothing differs, the list of differences is empty. confidence: 0 = guessed, 10 = "
    "seen beyond doubt."
)
_COMPOSE = (
    "Somebody compared a picture before an edit with the picture after it and wrote this down:\n{comparison}\n{shared}"
    "{rejected}"
    "Write the instruction by which an artist asks for this edit, in {language}, in these forms:\n{forms}\n"
    "{names} Ask for what differs, the most striking first; do not describe what stays as it is, name nothing that is "
    "not written above, and do not say that there are two pictures.{person}\n"
    "Also write one sentence in {language} on what the picture shows before the edit, and one on what it shows after it.\n"
    "Last, list the things that your sentences name, in the very words that you used, and in which picture each is seen: "
    '"before", "after" or "both".'
)
_CREATE = (
    "A picture was described so:\n{comparison}\n{rejected}"
    "Write the words by which somebody asks a painter for this picture, in {language}, in these forms:\n{forms}\n"
    "Name nothing that is not written above. Also write one sentence in {language} on what the picture shows.\n"
    'Last, list the things that your sentences name, in your very words; each is "after".'
)
_FORMS = {
    "imperative": "imperative: one plain command",
    "short": "short: at most six words",
    "long": "long: one or two sentences with all details that matter",
    "casual": "casual: as one asks a friend",
}
_REJECTED = "A person has rejected these texts; write none of them again:\n{texts}\n"
_LANGUAGES = {"en": "English", "zh": "Chinese (Simplified)"}
_PRESENT = (
    "{pictures}\nThese sentences were written about them:\n{sentences}\n"
    "For each of these things, look whether it is seen before (Image 1) and after (Image 2): {things}. Then say in "
    '"absent" what else the sentences name that {neither}; leave it empty if there is nothing.'
)
_REWRITE = (
    "Say this instruction once more, in {language}, in other words and with another build of the sentence:\n{first}\n"
    "It must ask for exactly the same: keep every thing, colour, number and direction, and keep {{image}} and other words "
    "in braces as they are. It must differ clearly from each of these, which are there already:\n{earlier}"
)
_CAPTION = "Describe in one sentence of {language} what this picture shows."
_SHARED = (
    "These pictures belong together. List what all of them have in common (the person or thing, the place, the style, the "
    "light …), and nothing that is missing in any of them."
)
REMINDER = (
    "Your last answer could not be read. Answer now with the JSON object alone, beginning with {, every field of the "
    "schema filled."
)
_ALL = (SYSTEM, _COMPARE, _COMPOSE, _CREATE, _REJECTED, *_FORMS.values(), _PRESENT, _REWRITE, _CAPTION, _SHARED)
PROMPT = hashlib.sha256("\n".join(_ALL).encode()).hexdigest()[:12]

_PERSONS = frozenset(
    re.findall(
        r"\S+",
        "face faces person persons people man men woman women girl girls boy boys child children portrait portraits",
    )
)
_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}


def comparison_request(shown: Shown) -> Request:
    """What differs between source and result."""
    labels = ["Image 1 (before)", "Image 2 (after)"]
    labels += [f"Image {number} (reference)" for number in range(3, 3 + len(shown.references))]
    references = " The further images are references that the edit makes use of." if shown.references else ""
    mask = " Only a marked part was meant to change." if shown.masked else ""
    words = _COMPARE.format(references=references, mask=mask)
    difference = _object(
        what=_TEXT,
        where={"type": "array", "items": {"type": "string", "enum": [*PLACES, WHOLE]}, "minItems": 1},
        before=_TEXT,
        after=_TEXT,
        size={"type": "string", "enum": list(SIZES)},
    )
    schema = _object(
        differences={"type": "array", "items": difference},
        commonalities=_TEXTS,
        same_subject={"type": "boolean"},
        orientation_words=_TEXTS,
        confidence={"type": "integer", "minimum": 0, "maximum": 10},
    )
    return _ask([*_labelled(labels, (shown.source, shown.result, *shown.references)), words], schema)


def composition_request(
    comparison: Comparison,
    shown: Shown,
    language: str,
    forms: Sequence[str],
    shared: Sequence[str] = (),
    rejected: Sequence[str] = (),
) -> Request:
    """Words, from a comparison alone: no picture is sent."""
    same = " Say that it stays the same person, and keep to what is personal." if comparison.same_subject else ""
    together = f"All pictures of its set share, and need not be told: {json.dumps(list(shared), ensure_ascii=False)}\n"
    words = _COMPOSE.format(
        comparison=_json(comparison.as_dict()),
        shared=together if shared else "",
        rejected=_rejected(rejected),
        language=_LANGUAGES[language],
        forms=_form_lines(forms),
        names=_names(shown),
        person=same if _has_person(comparison) else "",
    )
    return _ask([words], _composition_schema(forms, edit=True), max_tokens=1536)


def creation_request(caption: str, language: str, forms: Sequence[str], rejected: Sequence[str] = ()) -> Request:
    """Words for a picture made from text alone, from its description."""
    words = _CREATE.format(
        comparison=_json(caption),
        rejected=_rejected(rejected),
        language=_LANGUAGES[language],
        forms=_form_lines(forms),
    )
    return _ask([words], _composition_schema(forms, edit=False), max_tokens=1536)


def presence_request(shown: Shown, sentences: Sequence[str], things: Sequence[Thing]) -> Request:
    """Whether what the sentences name is there."""
    if shown.source is None:
        images, neither = _labelled(["Image 2 (after)"], (shown.result,)), "the picture does not show"
        pictures = "There is no Image 1: nothing is seen before."
    else:
        images = _labelled(["Image 1 (before)", "Image 2 (after)"], (shown.source, shown.result))
        pictures, neither = "Image 1 is a picture before an edit and Image 2 after it.", "neither picture shows"
    words = _PRESENT.format(
        pictures=pictures,
        sentences="\n".join(f"- {sentence}" for sentence in sentences),
        things=_json([one.thing for one in things]),
        neither=neither,
    )
    thing = _object(thing=_TEXT, before={"type": "boolean"}, after={"type": "boolean"})
    return _ask([*images, words], _object(things={"type": "array", "items": thing}, absent=_TEXT))


def rewrite_request(first: str, earlier: Sequence[str], language: str, seed: int) -> Request:
    """Another wording than all that are there."""
    words = _REWRITE.format(
        language=_LANGUAGES[language], first=first, earlier="\n".join(f"- {text}" for text in earlier)
    )
    return _ask([words], _object(instruction=_TEXT), max_tokens=512, seed=seed, temperature=0.7)


def caption_request(picture: Image.Image, language: str = "en") -> Request:
    """What one picture shows."""
    words = _CAPTION.format(language=_LANGUAGES[language])
    return _ask([*_labelled(["Image 1"], (picture,)), words], _object(caption=_TEXT), max_tokens=512)


def shared_request(pictures: Sequence[Image.Image]) -> Request:
    """What all pictures of a set share."""
    labels = [f"Image {number}" for number in range(1, len(pictures) + 1)]
    return _ask([*_labelled(labels, pictures), _SHARED], _object(shared=_TEXTS))


def _names(shown: Shown) -> str:
    said = 'Call the picture that is edited "{image}", once in each sentence.'
    for number in range(1, 1 + len(shown.references)):
        said += f' Call reference {number} "{indicator(number)}", once in each sentence.'
    return said + (' A part of it is marked; say "the marked part" for the place.' if shown.masked else "")


def _rejected(texts: Sequence[str]) -> str:
    return _REJECTED.format(texts="\n".join(f"- {text}" for text in texts)) if texts else ""


def _form_lines(forms: Sequence[str]) -> str:
    return "\n".join(f"- {_FORMS[form]}" for form in forms)


def _composition_schema(forms: Sequence[str], *, edit: bool) -> dict[str, Any]:
    captions = {"source_caption": _TEXT} if edit else {}
    thing = _object(thing=_TEXT, picture={"type": "string", "enum": list(PICTURES)})
    return _object(
        instructions=_object(**dict.fromkeys(forms, _TEXT)),
        **captions,
        target_caption=_TEXT,
        things={"type": "array", "items": thing},
    )


def _has_person(comparison: Comparison) -> bool:
    said = words_of(" ".join((*comparison.texts, *comparison.commonalities)))
    return not _PERSONS.isdisjoint(word.removesuffix("'s") for word in said)


def _labelled(labels: Sequence[str], pictures: Sequence[Image.Image | None]) -> list[LabelledImage]:
    return [LabelledImage(label, picture) for label, picture in zip(labels, pictures, strict=True)]


def _object(**fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _ask(parts: Sequence[str | LabelledImage], schema: dict[str, Any], **values: Any) -> Request:
    return Request(parts=tuple(parts), system=SYSTEM, schema=schema, **{"max_tokens": 1024, **values})
