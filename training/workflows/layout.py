"""Where the nodes of a graph go: in columns, read from left to right, no wire behind a node that it does not belong to.

A good place for every node is found by trying: nodes change columns and order, and what costs less is kept. No wire ever runs
backwards, unless wires make a circle. Graphs that are
laid out here are small, so a few thousand tries are enough, and the same graph is always laid out the same.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

COLUMN_GAP, ROW_GAP = 60, 70  # a title is 30 pixels high and stands above its node's corner
_TITLE = 30
_FRAME, _FRAME_HEAD = 30, 90  # pixels around the nodes in a frame, and above them for their titles and its own
_SLOT, _FIRST_SLOT = 20, 14  # height of a socket, and where the first one is, in pixels
_VIEW = (1500, 850)  # what a common screen shows beside the front end's own bars
_TRIES, _TRIES_PER_NODE, _STARTS = 2500, 250, 3  # at most so many; small graphs are soon done
_UP, _LEVEL, _BELOW = _MODES = ("up", "level", "below")  # of a node: as high as can be, or by what its wires come from
_T = np.linspace(0.0, 1.0, 41)[1:-1]
# How much each of a spline's four control points counts at points along it, (points, 4).
_SPLINE = np.stack([(1 - _T) ** 3, 3 * (1 - _T) ** 2 * _T, 3 * (1 - _T) * _T**2, _T**3], axis=1)
# What is to be avoided, in pixels of wire.
_BEHIND, _ZOOM = 6000.0, 3000.0


@dataclass(frozen=True)
class Wire:
    """A link, or an order in which two nodes are to be read.

    Attributes:
        source: node it leaves.
        target: node it enters.
        output: index of the source's socket.
        input: index of the target's.
        drawn: False for an order without a link.
    """

    source: str
    target: str
    output: int = 0
    input: int = 0
    drawn: bool = True


def lay_out(
    sizes: Mapping[str, tuple[int, int]], wires: Sequence[Wire], first: str | None = None
) -> dict[str, tuple[int, int]]:
    """The upper left corner of each node, below its title.

    Args:
        sizes: width and height of each, in pixels.
        wires: between them; a circle of wires cannot be read from left to right, but is laid out.
        first: a node that stands in the upper left corner, such as a note.
    """
    found = [_Search(sizes, wires, first, random.Random(seed)).run() for seed in range(_STARTS)]
    _, columns, modes = min(found, key=lambda one: one[0])
    corners = _corners(columns, modes, sizes, _Incoming(wires))
    return {name: (round(x), round(y)) for name, (x, y) in corners.items()}


def frame_around(boxes: Sequence[tuple[int, int, int, int]]) -> tuple[int, int, int, int]:
    """(x, y, width, height) of a frame around nodes, of which the same is given."""
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right = max(x + width for x, _, width, _ in boxes)
    bottom = max(y + height for _, y, _, height in boxes)
    return left - _FRAME, top - _FRAME_HEAD, right - left + 2 * _FRAME, bottom - top + _FRAME_HEAD + _FRAME


class _Incoming(dict):
    """By node: (source, how much lower the target's corner is than the source's where the wire is level) of drawn wires."""

    def __init__(self, wires: Sequence[Wire]):
        super().__init__()
        for wire in wires:
            if wire.drawn:
                self.setdefault(wire.target, []).append((wire.source, (wire.output - wire.input) * _SLOT))


def _corners(
    columns: Sequence[Sequence[str]],
    modes: Mapping[str, str],
    sizes: Mapping[str, tuple[int, int]],
    incoming: _Incoming,
) -> dict[str, tuple[float, float]]:
    """Columns side by side; in each, one node below the other, at the heights that ``modes`` ask for."""
    corners: dict[str, tuple[float, float]] = {}
    x = 0.0
    for column in columns:
        y = 0.0
        for name in column:
            sources = [(source, lower) for source, lower in incoming.get(name, ()) if source in corners]
            if modes[name] == _LEVEL:
                y = max([y, *(corners[source][1] + lower for source, lower in sources)])
            elif modes[name] == _BELOW:
                y = max([y, *(corners[source][1] + sizes[source][1] + ROW_GAP for source, _ in sources)])
            corners[name] = (x, y)
            y += sizes[name][1] + ROW_GAP
        x += max(sizes[name][0] for name in column) + COLUMN_GAP
    return corners


class _Search:
    """One search from one beginning."""

    def __init__(
        self, sizes: Mapping[str, tuple[int, int]], wires: Sequence[Wire], first: str | None, rng: random.Random
    ):
        self._sizes, self._wires, self._first, self._rng = sizes, wires, first, rng
        self._names, self._incoming = list(sizes), _Incoming(wires)
        index = {name: k for k, name in enumerate(self._names)}
        self._size = np.array([sizes[name] for name in self._names], dtype=float)
        self._ends = np.array([(index[w.source], index[w.target]) for w in wires], dtype=int).reshape(-1, 2)
        self._slots = np.array([(w.output, w.input) for w in wires], dtype=float).reshape(-1, 2)
        self._drawn = np.array([w.drawn for w in wires], dtype=bool)

    def run(self) -> tuple[float, list[list[str]], dict[str, str]]:
        """The least cost that was found, the columns that have it, and the heights."""
        columns, modes = self._by_distance(), dict.fromkeys(self._names, _LEVEL)
        cost, backward = self._cost(columns, modes), self._backward(columns)
        best = cost, columns, modes
        tries = min(_TRIES, _TRIES_PER_NODE * len(self._names))
        for number in range(tries):
            heat = 600.0 * (1.0 - number / tries) ** 2
            tried, tried_modes = self._changed(columns, modes)
            if self._backward(tried) > backward:
                continue
            # What costs more is taken with a chance that falls with the heat; it is drawn first, since most tries end there.
            most = cost - heat * math.log(1.0 - self._rng.random())
            new = self._cost(tried, tried_modes, most)
            if new <= most:
                columns, modes, cost = tried, tried_modes, new
                best = min(best, (cost, columns, modes), key=lambda one: one[0])
        return best

    def _by_distance(self) -> list[list[str]]:
        """Columns by the longest way from a node that nothing leads to."""
        depth = dict.fromkeys(self._names, 0)
        for _ in self._names:
            for wire in self._wires:
                depth[wire.target] = min(max(depth[wire.target], depth[wire.source] + 1), len(self._names) - 1)
        columns: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
        for name in self._names:
            columns[depth[name]].append(name)
        return [column for column in self._with_first(columns) if column]

    def _with_first(self, columns: list[list[str]]) -> list[list[str]]:
        if self._first is None:
            return columns
        others = [[name for name in column if name != self._first] for column in columns]
        return [[self._first, *others[0]], *others[1:]]

    def _changed(self, columns: list[list[str]], modes: dict[str, str]) -> tuple[list[list[str]], dict[str, str]]:
        """A node elsewhere, two nodes in each other's place, or a node at another height."""
        name, kind = self._rng.choice(self._names), self._rng.random()
        if kind < 0.25:
            return columns, {**modes, name: self._rng.choice(_MODES)}
        made = [list(column) for column in columns]
        if kind < 0.45:
            other = self._rng.choice(self._names)
            swap = {name: other, other: name}
            made = [[swap.get(one, one) for one in column] for column in made]
        else:
            made = [[one for one in column if one != name] for column in made]
            at = self._rng.randint(-1, len(made))
            if at in (-1, len(made)):
                made.insert(max(at, 0), [name])
            else:
                made[at].insert(self._rng.randint(0, len(made[at])), name)
        return [column for column in self._with_first([column for column in made if column]) if column], modes

    def _backward(self, columns: Sequence[Sequence[str]]) -> int:
        """How many wires do not lead to a column further right."""
        column = {name: number for number, one in enumerate(columns) for name in one}
        return sum(column[wire.source] >= column[wire.target] for wire in self._wires)

    def _cost(self, columns: Sequence[Sequence[str]], modes: Mapping[str, str], most: float = math.inf) -> float:
        """What there is to avoid; only a part of it, the rest being slow to find, where that is already above ``most``."""
        corners = _corners(columns, modes, self._sizes, self._incoming)
        corner = np.array([corners[name] for name in self._names])
        far = corner + self._size
        extent = far.max(axis=0) / _VIEW
        cost = _ZOOM * max(extent[0], extent[1], 0.8) + 100.0 * float(extent.sum())
        if not len(self._ends):
            return cost
        source, target = self._ends.T
        slots = _FIRST_SLOT + _SLOT * self._slots
        begin = np.stack([far[source, 0], corner[source, 1] + slots[:, 0]], axis=1)
        end = np.stack([corner[target, 0], corner[target, 1] + slots[:, 1]], axis=1)
        length = np.hypot(*(end - begin).T)
        cost += 0.5 * float(np.sum(length))
        if cost > most:
            return cost
        return cost + _BEHIND * self._wires_behind(begin, end, length, corner, far)

    def _wires_behind(
        self, begin: np.ndarray, end: np.ndarray, length: np.ndarray, corner: np.ndarray, far: np.ndarray
    ) -> int:
        """How often a drawn wire passes behind a node that it does not end at; wires are the front end's splines."""
        pull = np.stack([length * 0.25, np.zeros_like(length)], axis=1)
        control = np.stack([begin, begin + pull, end - pull, end], axis=2)  # (wires, 2, 4)
        x, y = (control[:, side] @ _SPLINE.T for side in (0, 1))  # (wires, points) each
        x, y = x[:, :, None], y[:, :, None]
        inside = (x > corner[:, 0]) & (x < far[:, 0]) & (y > corner[:, 1] - _TITLE) & (y < far[:, 1])
        behind = inside.any(axis=1)  # (wires, nodes)
        wires = np.arange(len(behind))
        behind[wires, self._ends[:, 0]] = False
        behind[wires, self._ends[:, 1]] = False
        return int(behind[self._drawn].sum())
