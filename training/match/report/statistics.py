"""Numbers of a run in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WIDE = 4096  # pictures; groups of chance are so large, and hardly others
_BINS = ((2, 2), (3, 3), (4, 4), (5, 8), (9, 16), (17, 32), (33, 64), (65, None))


def histogram(counts: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Sets by their size, in words."""
    sizes = {int(name.rpartition(" ")[2]): count for name, count in counts.items() if name.startswith("sets of ")}
    found = []
    for low, high in _BINS:
        total = sum(count for size, count in sizes.items() if size >= low and (high is None or size <= high))
        name = f"{low} pictures" if low == high else f"{low} or more" if high is None else f"{low} to {high}"
        found.append((name, total))
    return found


def in_words(counts: Mapping[str, Any], probe: Mapping[str, float] | None) -> dict[str, str]:
    """What an artist wants to know, by name."""
    possible = counts.get("possible pairs", 0)
    rows = {
        "pictures": f"{counts['files']:,} files, {counts['set aside']:,} set aside, {counts['copies']:,} copies of others"
        + (" (copies.txt says which)" if counts["copies"] else ""),
        "pairs that pass": f"{counts['linked pairs']:,}",
        "sets": f"{counts.get('sets', 0):,} with {counts.get('pictures', 0):,} pictures",
        "largest set": f"{counts.get('largest set', 0):,} pictures",
        "largest linked group": f"{counts.get('largest group', 0):,} pictures, before it was divided into sets"
        + (": probably too wide a window, try a higher --window" if counts.get("largest group", 0) > _WIDE else ""),
        "pairs in sets": f"{counts.get('pairs', 0):,}, each tested itself"
        + (f" ({counts['pairs'] / possible:.0%} of all that the sets have)" if possible else ""),
    }
    if passed := counts.get("passed", 0):
        apart = 1 - counts.get("pairs", 0) / passed
        rows["left between sets"] = f"{apart:.1%} of the pairs that pass, because their pictures are in different sets"
    rows |= _left_out(counts)
    if counts.get("compared"):
        rows["second turn"] = f"{counts['compared']:,} pairs compared" + (
            f", {counts['without look']:,} pictures without anything to compare" if counts.get("without look") else ""
        )
    if counts.get("divided groups"):
        rows["divided groups"] = f"{counts['divided groups']:,} too large for one machine"
    rows["lost at borders of clusters"] = "nothing: there are none"
    if probe is not None:
        by = f"by exact search for {probe['queries']:,} pictures, which have {probe['pairs']:,} pairs"
        rows["lost at borders of clusters"] = f"about {probe['lost']:.1%} of the pairs, {by}"
    return rows


def _left_out(counts: Mapping[str, Any]) -> dict[str, str]:
    """Linked pictures that are in no set for a reason that can be changed."""
    rows, full, most = {}, counts.get("full sets", 0), counts.get("largest allowed", 0)
    if full and "in smaller sets" in counts:  # the rest of a full set is lost only where its folder has no other one
        rows["left out by the limit"] = (
            f"{counts['beyond the limit']:,} pictures that pass with the middle of their folder's set, which takes no more "
            f"than {most:,} (a larger --set-size takes more)"
        )
    elif full:
        rows["full sets"] = f"{full:,} with {most:,}; what else passes with their middles is in further sets"
    if smaller := counts.get("in smaller sets"):
        rows["in smaller sets"] = f"{smaller:,} pictures left out, because of each folder only the largest set is kept"
    if few := counts.get("in too small sets"):
        rows["in too small sets"] = f"{few:,} pictures left out, because a set must have more (see --set-size)"
    return rows


def as_text(counts: Mapping[str, Any], probe: Mapping[str, float] | None) -> str:
    """For a terminal."""
    rows = in_words(counts, probe)
    width = max(map(len, rows))
    return "\n".join(f"{name:{width}}  {value}" for name, value in rows.items())
