"""Models for the tests of the labeller: they really look at drawn scenes, and some of them err as real ones do."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field

import numpy as np
from comfyui_ace.training.dataset.store import Pair
from comfyui_ace.training.label.analysis.changes import PLACES
from comfyui_ace.training.vision_language.answer import Answer, Usage

COLOURS = {"red": (220, 30, 30), "blue": (30, 50, 220), "green": (20, 160, 50), "yellow": (240, 220, 40)}
_OPPOSITE = {"left": "right", "right": "left"}
NEVER_DRAWN = ("dog", "cat", "moon", "hat")
SIDE = 96


def scene(colour: str | None, place: str = "left", seed: int = 0) -> np.ndarray:
    """(96, 96, 3) uint8: grey grain, and in one ninth of it a square of a colour."""
    grain = np.random.default_rng(seed).integers(100, 130, (SIDE, SIDE, 1), dtype=np.uint8).repeat(3, axis=2)
    if colour is not None:
        row, column = divmod(PLACES.index(place), 3)
        grain[row * 32 + 6 : row * 32 + 26, column * 32 + 6 : column * 32 + 26] = COLOURS[colour]
    return grain


def scene_pair(
    seed: int, /, before: str | None = "red", after: str | None = "blue", place: str = "left", **changes
) -> Pair:
    """The square gets another colour, comes or goes."""
    values = {
        "source": scene(before, place, seed),
        "target": scene(after, place, seed),
        "instruction": "{image} trigger",
    }
    return Pair(**{**values, "name": f"scene{seed}", **changes})


def seen(picture) -> tuple[str | None, str | None]:
    """Colour and place of the square in a picture, by its pixels."""
    pixels = np.asarray(picture.convert("RGB").resize((SIDE, SIDE)), dtype=np.int32)
    for name, colour in COLOURS.items():
        there = (np.abs(pixels - colour).sum(axis=2) < 90).nonzero()
        if len(there[0]) > 50:
            row, column = (int(np.median(axis)) // 32 for axis in there)
            return name, PLACES[3 * row + column]
    return None, None


@dataclass
class Looking:
    """Answers by what it sees. Switches make it err.

    Attributes:
        sides: "seen", or "fixed": says left whatever it sees, or "told": names the side of the unmirrored picture.
        order: whether it tells before from after.
        invents: sees a difference where there is none.
        adds: a thing that it names and that is not there.
        confident: of 10.
    """

    sides: str = "seen"
    order: bool = True
    invents: bool = False
    adds: str = ""
    confident: int = 9
    model: str = "eyes"
    address: str | None = "http://here"
    parallel: int = 3
    asked: list = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    rewrites: tuple[str, ...] = ()

    def ask(self, request) -> Answer:
        with self.lock:
            self.asked.append(request)
        fields = request.schema["properties"]
        if "differences" in fields:
            value = self.compare(*(image.picture for image in request.images[:2]))
        elif "instructions" in fields:
            value = self.compose(request)
        elif "absent" in fields:
            value = self.present(request)
        elif "caption" in fields:
            colour, place = seen(request.images[0].picture)
            value = {"caption": f"A {colour} square at the {place}." if colour else "Grey grain."}
        elif "shared" in fields:
            value = {"shared": ["grey grain", f"{len(request.images)} pictures of one kind"]}
        else:
            number = request.seed - 1
            value = {"instruction": self.rewrites[number] if number < len(self.rewrites) else "Do it."}
        return Answer(json.dumps(value), finish_reason="stop", usage=Usage(100, 10), model=self.model)

    def compare(self, before, after) -> dict:
        (old, place), (new, other) = seen(before), seen(after)
        place = place or other or "center"
        if self.sides == "fixed":
            place = "left"
        differences = []
        if old != new or self.invents:
            said = [f"a {colour} square on the {place}" if colour else "not there" for colour in (old, new)]
            if not self.order:
                said = ["a red square", "a blue square"]
            differences.append(
                {"what": "the square", "where": [place], "before": said[0], "after": said[1], "size": "small"}
            )
        return {
            "differences": differences,
            "commonalities": ["grey grain"],
            "same_subject": False,
            "orientation_words": [place] if "left" in place or "right" in place else [],
            "confidence": self.confident,
        }

    def compose(self, request) -> dict:
        words = request.parts[0]
        if "A picture was described" in words:
            caption = json.loads(words.split("described so:\n")[1].split("\n")[0])
            forms = request.schema["properties"]["instructions"]["required"]
            return {
                "instructions": {form: f"{form}: {caption}" for form in forms},
                "target_caption": caption,
                "things": [{"thing": "square", "picture": "after"}],
            }
        told = json.loads(words.split("wrote this down:\n")[1].split("\n")[0])["differences"][0]
        chinese = "Chinese" in words
        texts = {
            "imperative": f"Turn {told['before']} into {told['after']} in {{image}}",
            "short": f"{{image}} with {told['after']}",
            "long": f"Take {{image}}, find {told['before']} and paint it over until it is {told['after']}",
            "casual": f"hey, could {{image}} have {told['after']} please",
        }
        if chinese:
            texts = {form: f"把 {{image}} 里的方块换掉（{number}）" for number, form in enumerate(texts)}
        forms = request.schema["properties"]["instructions"]["required"]
        there = [key for key in ("before", "after") if told[key] != "not there"]
        things = [{"thing": told[key].split(" on ")[0], "picture": key} for key in there]
        if self.adds:
            things.append({"thing": self.adds, "picture": "after"})
        return {
            "instructions": {form: texts[form] for form in forms},
            "source_caption": f"Grey grain, {told['before']}",
            "target_caption": f"Grey grain, {told['after']}",
            "things": things,
        }

    def present(self, request) -> dict:
        pictures = [seen(image.picture)[0] for image in request.images]
        before, after = (pictures[0], pictures[1]) if len(pictures) == 2 else (None, pictures[0])
        names = json.loads(request.parts[-1].split("(Image 2): ")[1].split("]. Then")[0] + "]")
        there = lambda name, colour: bool(colour) and (colour in name or name == "square")  # noqa: E731
        sentences = request.parts[-1].split("about them:\n")[1].split("\nFor each of")[0].casefold()
        return {
            "things": [{"thing": name, "before": there(name, before), "after": there(name, after)} for name in names],
            "absent": ", ".join(f"a {name}" for name in NEVER_DRAWN if re.search(rf"\b{name}\b", sentences)),
        }
