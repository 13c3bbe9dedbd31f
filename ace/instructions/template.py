"""What an instruction template is: a subtask, its slots, and phrasings that say the same in each language.

A phrasing is plain text with two kinds of marks that cannot be confused: ``{image}``, ``{image1}`` … are ACE's own
image indicators and reach the model as they are; ``[caption]``, ``[object]`` … are slots for the artist's words.
``[images]`` is no slot of the artist's: it stands for the list of the indicators of all connected images, in tasks
which take a varying number of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Generic, TypeVar

from ..lcu.indicators import INDICATORS

LANGUAGES = ("en", "zh")
MASK_FILLS = ("blank", "keep")
MIN_PHRASINGS = 6
MAX_TRAINED_IMAGES = 9  # condition images of one unit that the published models were trained with
ALL_IMAGES = "images"

SLOT = re.compile(r"\[([a-z_]+)\]")
INDICATOR = re.compile("|".join(re.escape(word) for word in INDICATORS))
_SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_STRAY_BRACKET = re.compile(r"[\[\]{}<>]")


T = TypeVar("T")


@dataclass(frozen=True)
class Localized(Generic[T]):
    """The same thing in each language of :data:`LANGUAGES`; ``localized["zh"]`` is the Chinese one.

    Attributes:
        en: in English.
        zh: in Chinese.
    """

    en: T
    zh: T

    def __getitem__(self, language: str) -> T:
        """The thing in one language.

        Raises:
            ValueError: there are no texts in it.
        """
        return getattr(self, check_language(language))


Text = Localized[str]
_EMPTY = Text("", "")


@dataclass(frozen=True)
class Slot:
    """A gap in a phrasing for the artist's words.

    Attributes:
        name: what stands between the brackets.
        description: what to write there.
        example: words that fit.
        default: what a form is filled with at first; empty where only the artist can know.
        spelled_out: letters are set apart by spaces in English, as the published models learned text to draw.
    """

    name: str
    description: Text
    example: Text
    default: Text = _EMPTY
    spelled_out: bool = False


@dataclass(frozen=True)
class Template:
    """One subtask: what has to be connected and the ways to say it.

    Attributes:
        family: ASCII slug; with the subtask's it forms :attr:`id`, which saved workflows contain.
        subtask: ASCII slug.
        title: name for menus.
        connect: one line on what to connect to which image, and where it comes from.
        phrasings: language -> sentences; sentence i says the same in each language. Saved seeds choose by position,
            so sentences may be appended and never reordered.
        slots: every slot that occurs in a phrasing.
        images: fewest condition images.
        max_images: most condition images; more than ``images`` where phrasings use ``[images]``.
        mask: None if no mask is needed, else the way to treat masked pixels: "blank" erases them, "keep" shows them
            to the model.

    Raises:
        ValueError: a phrasing that cannot be rendered, says different things in two languages, or leaves an optional
            slot without a sentence that uses it.
    """

    family: str
    subtask: str
    title: Text
    connect: Text
    phrasings: Localized[tuple[str, ...]]
    slots: tuple[Slot, ...] = ()
    images: int = 1
    max_images: int = 1
    mask: str | None = None

    def __post_init__(self) -> None:
        _check_template(self)

    @property
    def id(self) -> str:
        """Of the subtask among all families, as saved workflows have it."""
        return f"{self.family}-{self.subtask}"

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the slots without which there is no sentence, in the order of :attr:`slots`."""
        everywhere = set.intersection(*(slots_in(phrasing) for phrasing in self.phrasings["en"]))
        return tuple(slot.name for slot in self.slots if slot.name in everywhere)

    @property
    def optional(self) -> tuple[str, ...]:
        """Names of the slots that may stay empty."""
        return tuple(slot.name for slot in self.slots if slot.name not in self.required)

    def slot(self, name: str) -> Slot:
        """The slot of this name, which must be one of :attr:`slots`."""
        return next(slot for slot in self.slots if slot.name == name)


def task(
    family: str,
    subtask: str,
    title: tuple[str, str],
    connect: tuple[str, str],
    phrasings: Iterable[tuple[str, str]],
    *,
    slots: tuple[Slot, ...] = (),
    images: int | tuple[int, int] = 1,
    mask: str | None = None,
) -> Template:
    """Builds a :class:`Template`; its texts are (English, Chinese) pairs.

    Args:
        family: see :class:`Template`, as for all others.
        subtask: its slug.
        title: name for menus.
        connect: what to connect.
        phrasings: a pair for each sentence.
        slots: every slot that occurs.
        images: how many condition images, or (fewest, most).
        mask: None, "blank" or "keep".
    """
    english, chinese = zip(*phrasings, strict=True)
    fewest, most = (images, images) if isinstance(images, int) else images
    return Template(
        family=family,
        subtask=subtask,
        title=Text(*title),
        connect=Text(*connect),
        phrasings=Localized(english, chinese),
        slots=slots,
        images=fewest,
        max_images=most,
        mask=mask,
    )


def check_language(language: str) -> str:
    """The language itself, if there are texts in it.

    Raises:
        ValueError: there are none.
    """
    if language not in LANGUAGES:
        raise ValueError(f"no instructions in language {language!r}; choose one of {', '.join(LANGUAGES)}")
    return language


def slots_in(phrasing: str) -> set[str]:
    """Names of the artist's slots in a phrasing."""
    return set(SLOT.findall(phrasing)) - {ALL_IMAGES}


def _check_template(template: Template) -> None:
    """Rejects a template that could not be rendered for every allowed choice of slots and images."""

    def fail(problem: str) -> None:
        raise ValueError(f"instruction template {template.id!r}: {problem}")

    for slug in (template.family, template.subtask):
        if not _SLUG.fullmatch(slug):
            fail(f"{slug!r} is no slug; use lower-case ASCII words joined by hyphens")
    if template.mask is not None and template.mask not in MASK_FILLS:
        fail(f"mask is {template.mask!r}; use None or one of {', '.join(MASK_FILLS)}")
    if not 0 <= template.images <= template.max_images <= MAX_TRAINED_IMAGES:
        fail(f"takes {template.images} to {template.max_images} images; counts lie within 0 and {MAX_TRAINED_IMAGES}")
    counts = {language: len(template.phrasings[language]) for language in LANGUAGES}
    if len(set(counts.values())) > 1 or min(counts.values()) < MIN_PHRASINGS:
        fail(f"has {counts} phrasings; each language needs the same number, at least {MIN_PHRASINGS}")
    for sentences in zip(*(template.phrasings[language] for language in LANGUAGES), strict=True):
        if len({frozenset(slots_in(sentence)) for sentence in sentences}) > 1:
            fail(f"the translations {sentences} differ in their slots")
        for sentence in sentences:
            _check_phrasing(template, sentence, fail)
    _check_slots(template, fail)


def _check_phrasing(template: Template, sentence: str, fail: Callable[[str], None]) -> None:
    if _STRAY_BRACKET.search(INDICATOR.sub("", SLOT.sub("", sentence))):
        fail(f"{sentence!r} contains a bracket that is neither a [slot] nor an image indicator")
    found = tuple(dict.fromkeys(INDICATOR.findall(sentence)))
    lists_all = f"[{ALL_IMAGES}]" in sentence
    if lists_all != (template.images < template.max_images) or (lists_all and found):
        fail(f"{sentence!r}: [images] is for tasks with a varying number of images, and the only mark of them there")
    if not lists_all and found != INDICATORS[: template.images]:
        fail(f"{sentence!r} mentions {found}; expected {INDICATORS[: template.images]}, in this order")


def _check_slots(template: Template, fail: Callable[[str], None]) -> None:
    declared = [slot.name for slot in template.slots]
    uses = [slots_in(sentence) for sentence in template.phrasings["en"]]
    if set(declared) != set.union(*uses) or len(set(declared)) != len(declared):
        fail(f"declares slots {declared}, but the phrasings use {sorted(set.union(*uses))}")
    for count in range(len(template.optional) + 1):
        for chosen in combinations(template.optional, count):
            if {*template.required, *chosen} not in uses:
                fail(f"no phrasing uses exactly the slots {sorted({*template.required, *chosen})}")
