"""The sentences that ask for each edit; ``[colour]`` and the like are slots."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

COLOURS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "red": (220, 30, 30),
        "orange": (245, 140, 20),
        "yellow": (245, 225, 40),
        "green": (40, 160, 50),
        "cyan": (40, 210, 215),
        "blue": (35, 60, 215),
        "purple": (130, 40, 170),
        "pink": (250, 150, 190),
        "brown": (120, 75, 35),
        "white": (250, 250, 250),
        "gray": (128, 128, 128),
        "black": (8, 8, 8),
    }
)

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
            "sharpen {image}",
            "{image} remove the blur",
            "deblur {image} and bring the details back",
            "make the out of focus {image} crisp",
            "{image} restore a sharp picture",
            "focus {image} again",
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
        "masked_invert": (
            "invert only the marked part of {image}",
            "{image} negative inside the mask",
            "swap the colors to their opposites in the masked area of {image}",
            "{image} invert the selected region and leave the rest",
            "make a negative of the selection in {image}",
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
            "restore what {image} looked like at first",
        ),
    }
)
