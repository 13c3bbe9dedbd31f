"""A run: pictures, features, links, groups, sets, a report, and datasets."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .descriptors.base import Descriptor
from .descriptors.registry import make_descriptor
from .disk.columns import Tables
from .disk.places import Place, is_address
from .emit.writing import Written
from .engines.base import Counts, Engine
from .errors import MatchError
from .report.page import write_pages
from .settings import MatchSettings, describe
from .steps.clusters import divide, probe_borders
from .steps.copies import find_copies
from .steps.embedding import embed, list_pictures
from .steps.emitting import Choices, DatasetPlace, EmitTask, emit_sets
from .steps.grouping import GroupSettings, group
from .steps.linking import label, link
from .steps.work import OnProgress, Shards, Work

_SUMMARY = "summary.json"


@dataclass(frozen=True)
class Found:
    """What was found.

    Attributes:
        counts: numbers by name.
        sets, pairs: tables by bucket, see ``sets.refine``.
        shards: all pictures, those set aside with the reason among them.
        digest: of all that decides the sets; choices hold for one digest.
        probe: what was lost at borders of clusters, None where there are none.
        facts: about the run, for people.
    """

    counts: dict[str, Any]
    sets: Tables
    pairs: Tables
    shards: Shards
    digest: str
    probe: dict[str, float] | None
    facts: dict[str, str] = field(default_factory=dict)


def find_sets(settings: MatchSettings, engine: Engine, on_progress: OnProgress, device: str = "cpu") -> Found:
    """Looks for sets. Whatever an earlier run has done with the same pictures and settings is used again.

    Raises:
        MatchError: it cannot be done; the message says why.
    """
    place = Place.of(settings.output)
    if place.local is None and not engine.parquet:
        raise MatchError(
            "The local engine keeps its tables on this machine: give --output a folder, or use --engine ray."
        )
    work = Work(place, engine, on_progress)
    descriptor = make_descriptor(settings.descriptor, device)
    listing, names = list_pictures(
        work, settings.folders, settings.shard_pictures, [settings.output, *settings.exclude]
    )
    shards, counts = embed(work, listing, names, _absolute(settings.descriptor), descriptor.identity)
    if counts["embedded"] < 2:
        raise MatchError(
            f"Of {counts['files']} pictures {counts['set aside']} were set aside, and fewer than two are left. "
            f"The reasons are in {write_aside(shards, place)}."
        )
    return search(work, shards, counts, settings, descriptor)


def search(work: Work, shards: Shards, counts: Counts, settings: MatchSettings, descriptor: Descriptor) -> Found:
    """`find_sets` from embedded pictures on, wherever their features come from.

    Args:
        counts: files, set aside, embedded.
    """
    shards, digest, copies = find_copies(
        work, shards, counts["embedded"], settings.near_copies, settings.most_in_memory
    )
    pictures = counts["embedded"] - copies
    places = divide(
        work,
        shards,
        pictures,
        digest=digest,
        by_folder=settings.within_folders,
        exact_up_to=settings.exact_up_to,
        clusters=settings.clusters,
        memberships=settings.memberships,
    )
    window = settings.first_window
    links, linked = link(work, shards, places, pictures, 2 * descriptor.dimension, window)
    labels, labelled = label(work, shards, links, linked, settings.most_in_memory)
    chosen = GroupSettings(
        window=window,
        similarity=None if settings.similarity is None else _absolute(settings.similarity),
        second_window=settings.second_window,
        most_compared=settings.most_compared,
        limits=settings.limits,
        keep_largest=settings.keep_largest,
        most_together=settings.most_together,
    )
    sets, pairs, digest, grouped = group(work, shards, places, labels, labelled.get("linked", 0), chosen)
    return Found(
        {**counts, "copies": copies, "kept": pictures, "linked pairs": linked.get("pairs", 0), **grouped},
        sets,
        pairs,
        shards,
        digest,
        probe_borders(work, shards, places, pictures, window),
        _facts(settings, descriptor, places),
    )


def report(found: Found, settings: MatchSettings, on_progress: OnProgress) -> Path | None:
    """Writes the pages, the lists of files that were set aside and of copies, and ``summary.json``.

    Returns:
        The first page; None where the run's folder is not on this machine.
    """
    place = Place.of(settings.output)
    summary = {"digest": found.digest, "counts": found.counts, "probe": found.probe, "facts": found.facts}
    place.write(_SUMMARY, json.dumps(summary, indent=2, ensure_ascii=False).encode())
    write_aside(found.shards, place)
    copies = "".join(f"{path}\t{of}\n" for path, of in found.shards.copies())
    place.write("copies.txt", copies.encode("utf-8", "backslashreplace"))
    if place.local is None:
        return None
    return write_pages(place.local / "report", found, on_progress)


def write_aside(shards: Shards, place: Place) -> str:
    """Writes down which files were set aside and why. Returns where."""
    lines = []
    for name in shards.names:
        reasons = shards.embedded.read(name, ("reason",))["reason"]
        if len(rows := (reasons != "").nonzero()[0]):
            paths = shards.embedded.read(name, ("path",))["path"]
            lines += [f"{paths[row]}\t{reasons[row]}" for row in rows]
    place.write("set-aside.txt", "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))
    return place.path("set-aside.txt")


def emit(
    found: Found,
    settings: MatchSettings,
    engine: Engine,
    dataset: DatasetPlace,
    on_progress: OnProgress,
    choices: Choices,
) -> Written:
    """Writes the sets into datasets.

    Args:
        choices: what was struck out; ``report.choices`` finds and reads such.

    Raises:
        MatchError, DatasetError: it cannot be done.
    """
    turns = ("features",) if settings.similarity is None else ("features", settings.similarity.partition(":")[0])
    origin = {**settings.write.origin, "run": found.digest[:16], "descriptor": found.facts["descriptor"]}
    write = replace(settings.write, turns=turns, origin={**origin, "window": str(settings.first_window)})
    total = found.counts.get("sets", 0)
    on_set = (lambda done: on_progress("writing the dataset", done, total)) if engine.name == "local" else None
    task = EmitTask(found.sets, found.pairs, dataset, settings.emit, write, choices, on_set)
    return emit_sets(Work(Place.of(settings.output), engine, on_progress), task)


def _facts(settings: MatchSettings, descriptor: Descriptor, places) -> dict[str, str]:
    kinds = {"all": "all with all", "folder": "within folders", "clusters": f"in {places.count} clusters"}
    own = {"descriptor": descriptor.name, "what it sees": descriptor.sees, "compared": kinds[places.kind]}
    size = f"{settings.limits.smallest} to {settings.limits.largest} pictures"
    return {**describe(settings), **own, "policy": settings.emit.policy, "size of a set": size}


def _absolute(text: str) -> str:
    """Paths in the name of a descriptor or similarity, as other processes find them."""
    kind, colon, rest = text.partition(":")
    if colon and kind == "faces":
        return kind + colon + ",".join(str(Path(part).absolute()) for part in rest.split(","))
    if colon and kind == "object":
        return kind + colon + _absolute(rest)
    if is_address(text) or not Path(text).exists():
        return text
    return str(Path(text).absolute())
