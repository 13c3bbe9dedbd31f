"""From answers to what they say. What is incomplete or of another kind is None: nothing is filled in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...vision_language.answer import Answer
from .changes import PLACES, WHOLE

SIZES = ("small", "medium", "large")
PICTURES = ("before", "after", "both")
_MOST = 4000  # characters of one text


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same in both pictures.

    Attributes:
        what: the thing or the property.
        where: places of the picture.
        before, after: how it is in each.
        size: of the part that changed.
    """

    what: str
    where: tuple[str, ...]
    before: str
    after: str
    size: str


@dataclass(frozen=True)
class Comparison:
    """What two pictures have in common and what not.

    Attributes:
        differences: the most striking first.
        commonalities: in words.
        same_subject: both show the same person or thing.
        orientation_words: directions that matter for telling the edit.
        confidence: 0 to 10.
    """

    differences: tuple[Difference, ...]
    commonalities: tuple[str, ...]
    same_subject: bool
    orientation_words: tuple[str, ...]
    confidence: int

    def as_dict(self) -> dict[str, Any]:
        """For the question that words are made of."""
        return asdict(self)

    @property
    def texts(self) -> tuple[str, ...]:
        """All that is said of the differences."""
        return tuple(text for one in self.differences for text in (one.what, one.before, one.after))


@dataclass(frozen=True)
class Thing:
    """Something that a text names.

    Attributes:
        thing: its name.
        picture: where it must be seen: "before", "after" or "both".
    """

    thing: str
    picture: str


@dataclass(frozen=True)
class Composition:
    """Texts in one language: an instruction in each form, and what the pictures show."""

    instructions: Mapping[str, str]
    source_caption: str
    target_caption: str
    things: tuple[Thing, ...]


@dataclass(frozen=True)
class Presence:
    """What of the named things a judge sees.

    Attributes:
        seen: (before, after) by name.
        absent: what the texts name and neither picture shows, in words; empty if there is nothing.
    """

    seen: Mapping[str, tuple[bool, bool]]
    absent: str


def read_comparison(answer: Answer) -> Comparison | None:
    """Of the first question."""
    value = answer.json()
    if value is None or not isinstance(value.get("differences"), list):
        return None
    differences = [_difference(one) for one in value["differences"]]
    commonalities, orientation = _texts(value.get("commonalities")), _texts(value.get("orientation_words"))
    same, confidence = value.get("same_subject"), value.get("confidence")
    if None in differences or commonalities is None or orientation is None or not isinstance(same, bool):
        return None
    if isinstance(confidence, bool) or not isinstance(confidence, int) or not 0 <= confidence <= 10:
        return None
    return Comparison(tuple(differences), commonalities, same, orientation, confidence)


def composition_reader(forms: Sequence[str], edit: bool) -> Callable[[Answer], Composition | None]:
    """Of the question for words.

    Args:
        forms: that must all be there.
        edit: whether there is a source, whose caption must be there, too.
    """

    def read(answer: Answer) -> Composition | None:
        value = answer.json() or {}
        given = value.get("instructions")
        instructions = {form: _text(given.get(form)) for form in forms} if isinstance(given, Mapping) else {}
        target, source = _text(value.get("target_caption")), _text(value.get("source_caption")) if edit else ""
        things = value.get("things")
        listed = [_thing(one) for one in things] if isinstance(things, list) else [None]
        if not instructions or None in (*instructions.values(), target, source, *listed):
            return None
        return Composition(instructions, source, target, tuple(listed))

    return read


def presence_reader(things: Sequence[Thing]) -> Callable[[Answer], Presence | None]:
    """Of the question whether the named things are there; every one of them must be answered."""

    def read(answer: Answer) -> Presence | None:
        value = answer.json() or {}
        listed, absent = value.get("things"), value.get("absent")
        if not isinstance(listed, list) or not isinstance(absent, str):
            return None
        seen: dict[str, tuple[bool, bool]] = {}
        for one in listed:
            marks = (one.get("before"), one.get("after")) if isinstance(one, Mapping) else (None, None)
            if not all(isinstance(mark, bool) for mark in marks) or not isinstance(one.get("thing"), str):
                return None
            seen[one["thing"].strip().casefold()] = marks
        if any(one.thing.casefold() not in seen for one in things):
            return None
        return Presence(seen, _nothing(_clean(absent)))

    return read


def read_wording(answer: Answer) -> str | None:
    """Of the question for another wording."""
    return _text((answer.json() or {}).get("instruction"))


def read_caption(answer: Answer) -> str | None:
    """Of the question what one picture shows."""
    return _text((answer.json() or {}).get("caption"))


def read_shared(answer: Answer) -> tuple[str, ...] | None:
    """Of the question what all pictures of a set share."""
    return _texts((answer.json() or {}).get("shared"))


def _difference(value: Any) -> Difference | None:
    if not isinstance(value, Mapping):
        return None
    what, before, after = (_text(value.get(name)) for name in ("what", "before", "after"))
    where = _texts(value.get("where"))
    size = value.get("size")
    if None in (what, before, after) or not where or size not in SIZES:
        return None
    places = tuple(dict.fromkeys(place.casefold() for place in where))
    return Difference(what, places, before, after, size) if set(places) <= {*PLACES, WHOLE} else None


def _thing(value: Any) -> Thing | None:
    if not isinstance(value, Mapping) or value.get("picture") not in PICTURES:
        return None
    name = _text(value.get("thing"))
    return None if name is None else Thing(name, value["picture"])


def _texts(value: Any) -> tuple[str, ...] | None:
    if not isinstance(value, list):
        return None
    found = tuple(_text(one) for one in value)
    return None if None in found else found


def _text(value: Any) -> str | None:
    """One line, or None for nothing and for what is no text."""
    return (_clean(value) or None) if isinstance(value, str) and len(value) <= _MOST else None


def _clean(value: str) -> str:
    # A lone half of a surrogate pair is no character, and no file of rows may hold one.
    return " ".join(value.encode("utf-8", "replace").decode().split())


def _nothing(words: str) -> str:
    return "" if words.casefold().rstrip(".") in ("none", "nothing", "n/a", "-", "无", "没有") else words
