"""Renders instructions: a subtask, the artist's words and a seed -> one sentence."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping

from ..lcu.indicators import INDICATORS, mentioned_images
from ..notices import Notify, silent
from .registry import LANGUAGE_NOTE, get_template
from .template import ALL_IMAGES, INDICATOR, SLOT, Template, check_language, slots_in

_SEPARATOR = {"en": ", ", "zh": "、"}


def render(
    subtask_id: str,
    slots: Mapping[str, str],
    *,
    seed: int,
    language: str = "en",
    images: int | None = None,
    notify: Notify = silent,
) -> str:
    """Renders one instruction for a subtask, with the artist's words in its slots.

    The phrasing is drawn by ``seed`` among those that use exactly the slots which are filled, so nothing the artist
    wrote is dropped. The draw is a hash: it is the same on every machine and Python version, and a phrasing added
    later changes the choice of few seeds.

    Args:
        subtask_id: as listed by :func:`ace.instructions.registry.subtasks`.
        slots: slot name -> words. Empty words count as missing; image indicators and brackets in words are kept.
        seed: any integer.
        language: "en" is what the published models understand; "zh" is for people.
        images: number of connected condition images, for tasks with a varying number; default: the fewest allowed.
        notify: told, in words an artist understands, about anything the model will not read as meant.

    Raises:
        ValueError: unknown subtask, slot or language; a slot that every phrasing needs is missing; the number of images
            does not fit the task; or words name an image that cannot exist.
    """
    check_language(language)
    template, values, index = _choose(subtask_id, slots, seed)
    count = _image_count(template, images)
    if language == "en":
        _warn_unreadable(values, notify)
    else:
        notify(LANGUAGE_NOTE[language])
    _warn_missing_images(values, count, notify)
    return _fill(template, index, values, count, language)


def render_bilingual(
    subtask_id: str,
    slots: Mapping[str, str],
    seed: int,
    *,
    images: int | None = None,
    notify: Notify = silent,
) -> tuple[str, str]:
    """Renders the instruction for the model and the same phrasing for the artist to read.

    Words in slots are not translated: they go into both as written. Arguments and errors are those of :func:`render`.

    Returns:
        (English, Chinese).
    """
    english = render(subtask_id, slots, seed=seed, images=images, notify=notify)
    template, values, index = _choose(subtask_id, slots, seed)
    return english, _fill(template, index, values, _image_count(template, images), "zh")


def _choose(subtask_id: str, slots: Mapping[str, str], seed: int) -> tuple[Template, dict[str, str], int]:
    """The template, the cleaned words, and the index of the phrasing."""
    if not isinstance(seed, int):
        raise ValueError(f"seed is {seed!r}; give an integer")
    template = get_template(subtask_id)
    values = _clean(template, slots)
    for name in template.required:
        if name not in values:
            example = template.slot(name).example["en"]
            raise ValueError(f"subtask {subtask_id!r} needs words for [{name}]; for example: {name} = {example!r}")
    usable = [i for i, phrasing in enumerate(template.phrasings["en"]) if slots_in(phrasing) == set(values)]

    # Rendezvous hashing: the phrasing of the highest weight wins, so one more phrasing takes only the seeds it wins.
    def weight(index: int) -> bytes:
        return hashlib.sha256(f"{subtask_id}\n{seed}\n{index}".encode()).digest()

    return template, values, max(usable, key=weight)


def _clean(template: Template, slots: Mapping[str, str]) -> dict[str, str]:
    """The words that are not empty, each on one line."""
    values = {}
    for name, words in slots.items():
        if not isinstance(words, str):
            raise ValueError(f"slot [{name}] of {template.id!r} got {type(words).__name__}; give text")
        if words := " ".join(words.split()):
            values[name] = words
    known = [slot.name for slot in template.slots]
    unknown = [name for name in values if name not in known]
    if unknown:
        listed = ", ".join(f"[{name}]" for name in known) or "none"
        raise ValueError(f"subtask {template.id!r} has no slot {unknown[0]!r}; its slots: {listed}")
    return values


def _image_count(template: Template, images: int | None) -> int:
    if images is None:
        return template.images
    if not template.images <= images <= template.max_images:
        fewest, most = template.images, template.max_images
        wanted = str(fewest) if fewest == most else f"{fewest} to {most}"
        raise ValueError(
            f"subtask {template.id!r} takes {wanted} condition image{'s' * (most != 1)}, got {images}; "
            "connect as many as that or choose another subtask"
        )
    return images


def _fill(template: Template, index: int, values: Mapping[str, str], count: int, language: str) -> str:
    words = {ALL_IMAGES: _SEPARATOR[language].join(INDICATORS[:count]), **values}
    if language == "en":
        for name in values:
            if template.slot(name).spelled_out:
                words[name] = _spell_out(values[name])
    # Splitting once leaves brackets in the artist's words as they are. Odd pieces are slot names.
    pieces = SLOT.split(template.phrasings[language][index])
    pieces[1::2] = [words[name] for name in pieces[1::2]]
    return "".join(pieces) if language == "en" else _join_chinese(pieces)


def _join_chinese(pieces: list[str]) -> str:
    """Joins Chinese text and inserted words, with a space where letters of two scripts would touch."""
    joined = ""
    for piece in filter(None, pieces):
        touching = joined[-1:].isalnum() and piece[0].isalnum()
        joined += f" {piece}" if touching and (joined[-1].isascii() or piece[0].isascii()) else piece
    return joined


def _spell_out(words: str) -> str:
    """Sets letters apart by spaces (``CAT`` -> ``C A T``), accents and image indicators kept whole."""
    letters: list[str] = []
    end = 0
    for match in [*INDICATOR.finditer(words), None]:
        for letter in words[end : match.start() if match else None]:
            if letters and unicodedata.combining(letter):
                letters[-1] += letter
            elif not letter.isspace():
                letters.append(letter)
        if match:
            letters.append(match[0])
            end = match.end()
    return " ".join(letters)


def unreadable_letters(text: str) -> str:
    """The letters that T5's vocabulary lacks, each once.

    It has Latin letters; of other scripts it knows next to nothing (measured: no Chinese at all).
    """
    return "".join(
        dict.fromkeys(
            letter
            for letter in unicodedata.normalize("NFKC", text)
            if letter.isalpha() and not unicodedata.name(letter, "").startswith("LATIN ")
        )
    )


def _warn_unreadable(values: Mapping[str, str], notify: Notify) -> None:
    for name, words in values.items():
        if letters := unreadable_letters(words):
            notify(
                f"[{name}] contains letters that the text encoder of the published models cannot read "
                f"({letters[:12]}): write it in English"
            )


def _warn_missing_images(values: Mapping[str, str], count: int, notify: Notify) -> None:
    for name, words in values.items():
        for number in mentioned_images(words):
            if number >= count:
                made_for = "1 condition image" if count == 1 else f"{count} condition images"
                notify(f"[{name}] names {INDICATORS[number]}, but this task is for {made_for}: connect that one too")
