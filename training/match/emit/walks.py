"""Walks through a set in which every step is a tested pair."""

from __future__ import annotations

from collections.abc import Mapping

Links = Mapping[int, Mapping[int, float]]


def links_of(pairs: list[tuple[int, int, float]]) -> dict[int, dict[int, float]]:
    """For each picture those it passed with, and their scores."""
    links: dict[int, dict[int, float]] = {}
    for one, other, score in pairs:
        links.setdefault(one, {})[other] = score
        links.setdefault(other, {})[one] = score
    return links


def walks(links: Links, most: int) -> list[list[int]]:
    """Disjoint walks of two to `most` pictures, each on to the nearest that is not used yet.

    A walk begins where there are the fewest ways on, so that the ends of a chain are its ends. Equals go by number.
    """
    left = set(links)
    found = []
    while left:
        here = min(left, key=lambda node: (sum(other in left for other in links[node]), node))
        walk = [here]
        left.discard(here)
        while len(walk) < most:
            ways = [(-score, node) for node, score in links[here].items() if node in left]
            if not ways:
                break
            here = min(ways)[1]
            walk.append(here)
            left.discard(here)
        if len(walk) > 1:
            found.append(walk)
    return found
