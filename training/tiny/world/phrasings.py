"""The sentences that ask for each task; ``[colour]`` and ``[caption]`` are slots."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from ....ace.instructions import get_template

_SLOT = re.compile(r"\[[a-z]+\]")


def _published(subtask: str, captioned: bool = False) -> tuple[str, ...]:
    """The pack's own English sentences for a task: those with a caption, or those without any slot."""
    slots = {"[caption]"} if captioned else set()
    sentences = get_template(subtask).phrasings["en"]
    return tuple(sentence for sentence in sentences if set(_SLOT.findall(sentence)) == slots)


PHRASINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "invert": (
            "invert the colors of {image}",
            "{image} turn it into a negative",
            "make a photographic negative of {image}",
            "swap light and dark in {image}, every color becomes its opposite",
            "negative of {image}",
            "show {image} with inverted colors",
        ),
        "grayscale": (
            "make {image} black and white",
            "remove the color from {image}",
            "{image} convert it to grayscale",
            "desaturate {image} completely",
            "{image} as a gray picture without color",
            "a monochrome version of {image}",
        ),
        "edges": (
            "find the edges of {image}",
            "{image} show only its outlines, white on black",
            "edge map of {image}",
            "trace the contours of {image} as bright lines on black",
            "detect edges in {image}",
            "turn {image} into an edge drawing",
        ),
        "blur": (
            "blur {image}",
            "make {image} soft and out of focus",
            "{image} smooth away the details",
            "apply a gaussian blur to {image}",
            "{image} as seen through a foggy window",
            "defocus {image}",
        ),
        "deblur": (
            "remove the blur from {image}",
            "{image} remove the blur",
            "deblur {image} and bring the details back",
            "make the out of focus {image} crisp",
            "{image} restore a sharp picture",
            "focus {image} again",
        ),
        "sharpen": (
            "sharpen {image}",
            "{image} make it sharper",
            "give {image} crisp edges",
            "{image} with strong, crisp details",
            "make the details of {image} stand out",
            "apply an unsharp mask to {image}",
        ),
        "warm": (
            "give {image} warmer colors",
            "{image} make it warm like evening light",
            "shift {image} toward orange and red",
            "warm up the tones of {image}",
            "{image} in golden light",
        ),
        "cool": (
            "give {image} cooler colors",
            "{image} make it cold like moonlight",
            "shift {image} toward blue",
            "cool down the tones of {image}",
            "{image} in bluish light",
        ),
        "brighten": (
            "brighten {image}",
            "{image} make it lighter",
            "raise the exposure of {image}",
            "{image} needs more light",
            "lift the shadows of {image} and make it bright",
            "make {image} brighter",
            "lighten {image}",
        ),
        "darken": (
            "darken {image}",
            "{image} make it darker",
            "lower the exposure of {image}",
            "{image} with much less light",
            "turn down the brightness of {image}",
        ),
        "flip_horizontally": (
            "mirror {image}",
            "flip {image} horizontally",
            "{image} swap left and right",
            "{image} as seen in a mirror",
            "a mirror image of {image}",
        ),
        "flip_vertically": (
            "turn {image} upside down",
            "flip {image} vertically",
            "{image} swap top and bottom",
            "{image} as reflected in water",
            "put {image} on its head",
        ),
        "fill": (
            "fill the marked part of {image} with [colour]",
            "paint the masked area of {image} [colour]",
            "{image} put [colour] inside the mask",
            "cover the selected region of {image} in plain [colour]",
            "{image} replace what is masked by a [colour] patch",
            "color the selection in {image} [colour]",
        ),
        "paste": (
            "fill the marked part of {image} with {image1}",
            "paste {image1} into the masked area of {image}",
            "{image} show {image1} inside the mask",
            "put what is in {image1} where {image} is selected",
            "copy {image1} over the masked region of {image}",
            "combine {image} and {image1}, the second one inside the mask",
        ),
        "posterise": (
            "posterize {image}",
            "{image} reduce it to a few flat colors",
            "{image} as a screen print with few tones",
            "limit the tones of {image} to four levels",
            "give {image} a poster look",
        ),
        "sepia": (
            "make {image} sepia",
            "{image} tint it brown like an old photograph",
            "give {image} the brown tone of an antique print",
            "a sepia version of {image}",
            "age {image} with sepia toning",
        ),
        "mosaic": (
            "pixelate {image}",
            "turn {image} into a mosaic of squares",
            "{image} in big square pixels",
            "make {image} blocky",
            "{image} as a coarse mosaic",
        ),
        "undo": (
            "undo the last change to {image}",
            "{image} go back to how it was before",
            "revert {image} to the earlier picture",
            "{image} take back the previous edit",
            "restore what {image} looked like before",
        ),
        "inpaint": (
            *_published("repainting-inpaint"),
            "fill the hole in {image}",
            "inpaint {image}",
            "remove what is marked in {image}",
            "{image} continue the picture into the mask",
            "{image} paint what is missing",
        ),
        "outpaint": (
            *_published("repainting-outpaint"),
            "{image} continue the picture into the new border",
            "outpaint {image}",
            "make {image} wider",
            "{image} extend the canvas",
            "extend {image} beyond its edges",
        ),
        "from_edges": (
            *_published("control-edge"),
            "{image} colour this edge drawing",
            "color the outlines {image}",
            "{image} make a picture of these edges",
        ),
        "from_colours": (
            *_published("control-color-map"),
            *_published("control-mosaic"),
            "{image} paint a picture over these patches of color",
            "turn the color patches {image} into a picture",
        ),
    }
)

# Tasks whose sentence names what the picture shall show.
CAPTIONED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "words": ("[caption]",) * 4 + _published("generation-text-to-image", True),
        "from_edges": (
            *_published("control-edge", True),
            "{image} colour this edge drawing as [caption]",
            "color the outlines {image} as [caption]",
            "{image} make a picture of these edges: [caption]",
        ),
        "from_colours": (
            *_published("control-color-map", True),
            "{image} paint over these patches of color: [caption]",
            "turn the color patches {image} into [caption]",
        ),
    }
)

_UNDER_MASK = (
    "the marked part of {image}",
    "only the marked part of {image}",
    "the masked area of {image}",
    "the masked region of {image}",
    "the selection in {image}",
)
_IN_MASK = (" inside the mask", " only where it is marked", " in the selected region and leave the rest")
_MORE_MASKED = {
    "invert": (
        "{image} negative inside the mask",
        "swap the colors to their opposites in the masked area of {image}",
        "{image} invert the selected region and leave the rest",
        "make a negative of the selection in {image}",
    )
}


def under_mask(edit: str) -> tuple[str, ...]:
    """The sentences that ask for an edit of what a mask marks, from those that ask for it everywhere."""
    sentences: list[str] = []
    for number, phrasing in enumerate(PHRASINGS[edit]):
        if phrasing.startswith("{image} "):
            sentences += [phrasing + where for where in _IN_MASK]
        else:
            sentences += [phrasing.replace("{image}", part) for part in _UNDER_MASK[number % 2 :: 2]]
    if edit == "invert":
        sentences.append("invert only the marked part of {image}")
    return tuple(dict.fromkeys((*sentences, *_MORE_MASKED.get(edit, ()))))
