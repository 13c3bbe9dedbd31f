"""Examples into a dataset. What is there already is found by its content, so a run that was stopped goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePath

import numpy as np

from ...dataset.store import Dataset, Pair
from ...errors import ImageError, PairError
from ..disk.columns import Columns
from ..disk.pictures import short_name
from ..embed.duplicates import runs
from ..errors import SetAside
from .examples import EmitSettings, Example, Scored, make_examples
from .pictures import cut_away, fit_to, load_whole

_PICTURES_KEPT = 32  # decoded, of the set at hand


@dataclass(frozen=True)
class WriteSettings:
    """How pairs are written.

    Attributes:
        instruction: words of all pairs; "" leaves them without, until they are labelled.
        tags: of all pairs.
        megapixels: larger pictures are scaled down.
        most_cut: share of a source that may be cut off to give it the target's shape.
        turns: what was compared in each turn, for the scores.
        origin: what all rows say of where they come from.
    """

    instruction: str = ""
    tags: tuple[str, ...] = ("match",)
    megapixels: float = 1.5
    most_cut: float = 0.25
    turns: tuple[str, ...] = ("features",)
    origin: dict[str, str] = field(default_factory=dict)


@dataclass
class Written:
    """What has become of the examples. reasons: why some were left out, with numbers."""

    stored: int = 0
    duplicates: int = 0
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, other: Written) -> None:
        self.stored += other.stored
        self.duplicates += other.duplicates
        self.rejected += other.rejected
        self.reasons.update(other.reasons)


def sets_of(sets: Columns, pairs: Columns) -> Iterator[tuple[int, dict[int, str], list[Scored]]]:
    """Every set as (name, path by key with the centre first, tested pairs), by name.

    Args:
        sets, pairs: tables as `refine` makes them.
    """
    order = np.lexsort((sets["place"], sets["set"]))
    pair_order = np.argsort(pairs["set"], kind="stable")
    pair_sets = pairs["set"][pair_order]
    for start, end in runs(sets["set"][order]):
        rows = order[start:end]
        name = int(sets["set"][rows[0]])
        chosen = pair_order[np.searchsorted(pair_sets, name, "left") : np.searchsorted(pair_sets, name, "right")]
        tested = [
            (min(one, other), max(one, other), tuple(scores))
            for one, other, scores in zip(
                pairs["one"][chosen].tolist(),
                pairs["other"][chosen].tolist(),
                pairs["scores"][chosen].tolist(),
                strict=True,
            )
        ]
        yield name, dict(zip(sets["key"][rows].tolist(), sets["path"][rows], strict=True)), tested


class Writer:
    """Appends the examples of sets to a dataset.

    An example that the dataset has already, by the pictures that its row names, is not made again.
    """

    def __init__(self, dataset: Dataset, emit: EmitSettings, settings: WriteSettings):
        self._dataset, self._emit, self._settings = dataset, emit, settings
        self._known = {row.origin.get("pictures"): row.id for row in dataset.rows() if row.origin.get("by") == "match"}
        self.written = Written()

    def write_set(self, name: int, paths: dict[int, str], tested: list[Scored]) -> None:
        """Makes the examples of one set and appends them.

        Args:
            paths: by key, the centre first. tested: its pairs.

        Raises:
            DatasetError: the dataset cannot be written to.
        """

        @lru_cache(maxsize=_PICTURES_KEPT)
        def picture(key: int) -> np.ndarray:
            return load_whole(paths[key], key, self._settings.megapixels)

        rounds: list[tuple[str, ...] | None] = []  # of each example the rounds up to it; None if it was not kept
        for example in make_examples(next(iter(paths)), tested, self._emit):
            before: tuple[str, ...] | None = () if example.follows is None else rounds[example.follows]
            if before is None:
                self.written.reasons["the round before was left out"] += 1
                rounds.append(None)
                continue
            kept = self._append(name, paths, example, before, picture)
            rounds.append(None if kept is None else (*before, kept))

    def _append(
        self,
        name: int,
        paths: dict[int, str],
        example: Example,
        history: tuple[str, ...],
        picture: Callable[[int], np.ndarray],
    ) -> str | None:
        """The id of an example's pair, None if it was not kept."""
        settings, written = self._settings, self.written
        pictures = " ".join([*history, *(set_name(key) for key in (*example.sources, example.target))])
        if pictures in self._known:
            written.duplicates += 1
            return self._known[pictures]
        try:
            target = picture(example.target)
            source, *references = (picture(key) for key in example.sources)
            if cut_away(source.shape[:2], target.shape[:2]) > settings.most_cut:
                raise SetAside(f"shapes too different (over {settings.most_cut:.0%} would be cut off)")
            names = [short_name(paths[key]) for key in (*example.sources, example.target)]
            pair = Pair(
                target=target,
                source=fit_to(source, target.shape[:2]),
                references=references,
                instruction=settings.instruction,
                unlabelled=not settings.instruction,
                history=history,
                tags=settings.tags,
                scores={"match": dict(zip(settings.turns, example.scores, strict=True))},
                group=f"set-{set_name(name)}",
                origin={
                    **settings.origin,
                    "by": "match",
                    "set": set_name(name),
                    "pictures": pictures,
                    "sources": " | ".join(names[:-1]),
                    "target": names[-1],
                },
                name=f"{PurePath(names[0]).stem}-{PurePath(names[-1]).stem}",
            )
            outcome = self._dataset.append(pair)
        except (SetAside, PairError, ImageError) as error:
            written.reasons[str(error)] += 1
            return None
        written.stored += outcome.status == "stored"
        written.duplicates += outcome.status == "duplicate"
        written.rejected += outcome.status == "rejected"
        for finding in outcome.findings:
            written.reasons[f"check {finding.check}"] += 1
        return outcome.id


def set_name(name: int) -> str:
    """A set's name for people and files: sixteen hexadecimal digits."""
    return f"{name & 0xFFFFFFFFFFFFFFFF:016x}"
