"""The sentences that the text encoder learns from, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from ...ace.instructions import get_template, subtasks
from ...ace.lcu.indicators import SPECIAL_TOKENS
from .world.colours import COLOURS
from .world.examples import all_instructions
from .world.figures import FIGURES
from .world.landscapes import GROUNDS, SIDES, SKIES, Landscape, draw_landscape
from .world.language import filled
from .world.phrasings import CAPTIONED
from .world.scenes import PLACES, SIZES, Scene, draw_scene
from .world.shapes import SHAPES

UNSAID = -100  # the label of what a sentence does not speak of
_COLOURS, _SIDES = tuple(COLOURS), tuple(SIDES)
_THING = {"shape": SHAPES, "colour": _COLOURS, "place": tuple(PLACES)}
_ITEM = {"kind": tuple(FIGURES), "colour": _COLOURS, "side": _SIDES}
LABELS: Mapping[str, Sequence[Any]] = MappingProxyType(
    {
        "scene": (False, True),
        "things": (0, 1, 2),
        "size": tuple(SIZES),
        "background": _COLOURS,
        **{f"{name} {k}": values for k in (1, 2) for name, values in _THING.items()},
        "sky": tuple(SKIES),
        "ground": tuple(GROUNDS),
        "light": (False, True),
        "mountains": (False, True),
        **{f"item {name} {k}": values for k in (1, 2) for name, values in _ITEM.items()},
    }
)
"""What can be asked of a description, and the answers there are."""


@dataclass(frozen=True)
class Corpus:
    """Sentences with the number of what they mean; those of the same number ask for the same."""

    sentences: tuple[str, ...]
    meanings: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many meanings there are."""
        return 1 + max(self.meanings)


def corpus() -> Corpus:
    """All instructions of the edits, ACE's published tasks with example words in their slots, and the special words."""
    groups: list[Sequence[str]] = list(all_instructions().values())
    for subtask in subtasks():
        template = get_template(subtask)
        groups.append([_with_examples(phrasing, template) for phrasing in template.phrasings["en"]])
    groups += [[token] for token in SPECIAL_TOKENS]
    groups.append(["", "a picture", "a photograph"])
    return Corpus(
        tuple(spelling for group in groups for sentence in group for spelling in _spellings(sentence)),
        tuple(number for number, group in enumerate(groups) for sentence in group for _ in _spellings(sentence)),
    )


@dataclass(frozen=True)
class Description:
    """A sentence that says what a picture shows, and for each of ``LABELS`` the number of the answer, or ``UNSAID``."""

    sentence: str
    labels: tuple[int, ...]


def describe(rng: np.random.Generator, held_out: bool = False) -> Description:
    """A description, alone or in a sentence that asks for such a picture.

    Args:
        held_out: of the scenes that training never sees.
    """
    shown = draw_scene(rng, held_out) if held_out or rng.random() < 0.55 else draw_landscape(rng)
    caption = shown.describe(rng)
    answers = _of_scene(shown) if isinstance(shown, Scene) else _of_landscape(shown, caption)
    task = str(rng.choice(("words", "words", "from_edges", "from_colours")))
    sentence = filled(str(rng.choice(CAPTIONED[task])), {"caption": caption})
    if rng.random() < 0.2:
        sentence = sentence[:1].upper() + sentence[1:]
    labels = (values.index(answers[name]) if name in answers else UNSAID for name, values in LABELS.items())
    return Description(sentence, tuple(labels))


def _of_scene(scene: Scene) -> dict[str, Any]:
    answers: dict[str, Any] = {"scene": True, "things": len(scene.things), "background": scene.background}
    if len(scene.things) == 1:
        answers["size"] = scene.things[0].size
    for number, thing in enumerate(scene.things, 1):
        answers |= {f"{name} {number}": getattr(thing, name) for name in _THING}
    return answers


def _of_landscape(scene: Landscape, caption: str) -> dict[str, Any]:
    answers: dict[str, Any] = {"scene": False, "sky": scene.sky}
    if caption in SKIES[scene.sky].brief:
        return answers
    answers |= {"things": len(scene.items), "ground": scene.ground, "light": scene.light, "mountains": scene.mountains}
    for number, item in enumerate(scene.items, 1):
        answers |= {f"item {name} {number}": getattr(item, "place" if name == "side" else name) for name in _ITEM}
    return answers


def _spellings(sentence: str) -> list[str]:
    """As it is, and with a capital where people begin with one."""
    return list(dict.fromkeys((sentence, sentence[:1].upper() + sentence[1:])))


def _with_examples(phrasing: str, template: Any) -> str:
    for slot in template.slots:
        phrasing = phrasing.replace(f"[{slot.name}]", slot.example["en"])
    return phrasing.replace("[images]", "{image}, {image1}")
