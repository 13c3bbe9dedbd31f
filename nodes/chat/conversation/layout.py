"""Where the nodes of a conversation's graph stand: one block a round, from left to right, the sampler's row above the rest.

A conversation is a chain, so its graph has a place for everything, and need not be searched for a good one::

    models                              sampler
                                                 paste back   answer
              pictures   images  unit
                                         context
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from ....training.workflows.layout import COLUMN_GAP, ROW_GAP, frame_around

_BLOCK_GAP = 120  # pixels between rounds
_RISE = (
    300  # pixels that the models stand higher for each further sampler, so that wires to it pass above the ones before
)


class Column(IntEnum):
    """What a node is for, by which it stands in its round."""

    LOAD = 0
    IMAGE = 1
    UNIT = 2
    CONTEXT = 3
    SAMPLER = 4
    PASTE = 5
    ANSWER = 6


@dataclass(frozen=True)
class Place:
    """Where a node belongs.

    Attributes:
        round: index of its round; None for models.
        column: in the round.
    """

    round: int | None
    column: Column = Column.LOAD


@dataclass(frozen=True)
class Arrangement:
    """Corners and frames.

    Attributes:
        corners: (x, y) of each node's upper left corner, in pixels.
        frames: (x, y, width, height) around each round's nodes, by its index.
    """

    corners: Mapping[str, tuple[int, int]]
    frames: Mapping[int, tuple[int, int, int, int]]


def arrange(places: Mapping[str, Place], sizes: Mapping[str, tuple[int, int]], note: tuple[int, int]) -> Arrangement:
    """Places all nodes.

    Args:
        places: of all nodes but the note.
        sizes: (width, height) of each, in pixels.
        note: size of the note, which stands in the upper left corner under the name "note".
    """
    samplers = sum(place.column is Column.SAMPLER for place in places.values())
    top = _RISE * max(0, samplers - 1)
    corners = {"note": (0, 0)}
    models = [name for name, place in places.items() if place.round is None]
    x, y = note[0] + COLUMN_GAP, 0
    for name in models:
        corners[name] = (x, y)
        y += sizes[name][1] + ROW_GAP
    x += max((sizes[name][0] for name in models), default=0) + _BLOCK_GAP
    bands, frames = _bands(places, sizes, top), {}
    for number in sorted({place.round for place in places.values() if place.round is not None}):
        inside = {name: place.column for name, place in places.items() if place.round == number}
        x = _place_round(inside, sizes, bands, x, corners) + _BLOCK_GAP
        frames[number] = frame_around([(*corners[name], *sizes[name]) for name in inside])
    return Arrangement(corners, frames)


def _bands(places: Mapping[str, Place], sizes: Mapping[str, tuple[int, int]], top: int) -> dict[Column, int]:
    """Height at which each column begins, the same in all rounds."""

    def tallest(*columns: Column) -> int:
        heights: dict[tuple, int] = {}
        for name, place in places.items():
            if place.round is not None and place.column in columns:
                key = (place.round, place.column)
                heights[key] = heights.get(key, 0) + sizes[name][1] + ROW_GAP
        return max(heights.values(), default=0)

    below = top + tallest(Column.SAMPLER)
    inputs = below + (tallest(Column.PASTE, Column.ANSWER) if _chained(places) else 0)
    bottom = inputs + (tallest(Column.LOAD, Column.IMAGE, Column.UNIT) if _several(places) else 0)
    return {
        Column.LOAD: inputs,
        Column.IMAGE: inputs,
        Column.UNIT: inputs,
        Column.CONTEXT: bottom,
        Column.SAMPLER: top,
        Column.PASTE: below if _chained(places) else top,
        Column.ANSWER: below if _chained(places) else top,
    }


def _chained(places: Mapping[str, Place]) -> bool:
    """Whether answers lead on to further rounds, past the samplers there."""
    return sum(place.column is Column.SAMPLER for place in places.values()) > 1


def _several(places: Mapping[str, Place]) -> bool:
    """Whether contexts lead from round to round, past the pictures there."""
    return any(place.column is Column.CONTEXT for place in places.values())


def _place_round(
    inside: Mapping[str, Column],
    sizes: Mapping[str, tuple[int, int]],
    bands: Mapping[Column, int],
    x: int,
    corners: dict[str, tuple[int, int]],
) -> int:
    """Places one round's nodes from ``x`` on; returns where it ends."""
    for column in Column:
        names = [name for name, one in inside.items() if one is column]
        if not names:
            continue
        y = bands[column]
        for name in names:
            corners[name] = (x, y)
            y += sizes[name][1] + ROW_GAP
        x += max(sizes[name][0] for name in names) + COLUMN_GAP
    return x - COLUMN_GAP
