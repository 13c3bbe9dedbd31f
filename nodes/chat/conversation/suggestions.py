"""Phrasings of the pack's instructions that fit what is being typed, in English or Chinese."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from ....ace.instructions import ALL_IMAGES, families, get_template, subtasks
from ....ace.lcu.indicators import indicator
from .wording import Part, parts_of

_WORD = re.compile(r"[a-z]+|[\u4e00-\u9fff]")
_COMMON = set(_WORD.findall("a an the in on of to it is this that and with for by at as into from 的了把将在中为使让"))
_MARKS = re.compile(r"\{image\d?\}|\[\w+\]")


@dataclass(frozen=True)
class Suggestion:
    """One way to say it.

    Attributes:
        title: of the task.
        parts: what goes into the instruction, in English; gaps for own words stand in brackets.
        reading: the same in the language that is typed.
    """

    title: str
    parts: tuple[Part, ...]
    reading: str


def suggest(text: str, pictures: int, masked: bool, language: str, most: int = 6) -> list[Suggestion]:
    """Phrasings that have the words of a text, the best first, one of each task.

    Args:
        text: what has been typed so far.
        pictures: how many the turn has.
        masked: whether what may change is marked.
        language: of titles and readings, "en" or "zh"; words of either are found.
        most: how many.
    """
    words = _words(text)
    if not words:
        return []
    ranked = []
    for index, (task, titles, phrasings) in enumerate(_tasks()):
        template = get_template(task)
        if not template.images <= pictures <= template.max_images or (template.mask is not None and not masked):
            continue
        title_words = set().union(*map(_words, titles))
        by_title = 0.5 * _score(words, title_words)
        best = max((_score(words, known) + by_title, -number) for number, (_, known) in enumerate(phrasings))
        if best[0] >= 0.5 * len(words):
            # Who has marked a place means that place.
            ranked.append((best[0] + 0.25 * (template.mask is not None), -index, task, -best[1]))
    ranked.sort(reverse=True)
    return [_suggestion(task, number, pictures, language) for _, _, task, number in ranked[:most]]


@cache
def _tasks() -> list[tuple[str, tuple[str, str], list[tuple[int, frozenset[str]]]]]:
    """Id, both titles and the words of each phrasing, of all tasks."""
    found = []
    for family in families():
        for task in subtasks(family):
            template = get_template(task)
            pairs = zip(template.phrasings["en"], template.phrasings["zh"], strict=True)
            known = [(number, frozenset(_words(f"{en} {zh}"))) for number, (en, zh) in enumerate(pairs)]
            found.append((task, (template.title["en"], template.title["zh"]), known))
    return found


def _words(text: str) -> set[str]:
    return set(_WORD.findall(_MARKS.sub(" ", text.lower()))) - _COMMON


def _score(words: set[str], known: set[str] | frozenset[str]) -> float:
    """How many of the words are there; a beginning of one, as it is being typed, counts less."""
    whole = words & known
    begun = {word for word in words - whole if len(word) > 2 and any(one.startswith(word) for one in known)}
    return len(whole) + 0.75 * len(begun)


def _suggestion(task: str, number: int, pictures: int, language: str) -> Suggestion:
    template = get_template(task)
    listed = ", ".join(indicator(index) for index in range(pictures))
    texts = {key: template.phrasings[key][number].replace(f"[{ALL_IMAGES}]", listed) for key in ("en", "zh")}
    return Suggestion(template.title[language], tuple(parts_of(texts["en"], pictures)), texts[language])
