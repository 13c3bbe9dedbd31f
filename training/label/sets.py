"""Sets of pairs whose pictures belong together: what all of them share is told apart from what differs pair by pair.

A set is what matching has put into one group, or a list of ids. What the model says is shared goes into the questions
about each of its pairs, so that their instructions do not tell what is the same everywhere (Han et al. 2024, section 3.2:
differences and commonalities).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from PIL import Image

from ..dataset.disk.rows import PairRow
from ..dataset.store import Dataset
from ..vision_language.asking import ask_about, ask_readable
from ..vision_language.backend import Backend
from .analysis.answers import read_shared
from .analysis.prompts import REMINDER, shared_request
from .analysis.words import same_said

MOST_SHOWN = 6  # pictures in one question; models mix up more


def find_sets(rows: Iterable[PairRow]) -> dict[str, tuple[str, ...]]:
    """Ids by set, of the sets that have two pairs or more."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if group := row.group:
            found.setdefault(group, []).append(row.id)
    return {group: tuple(ids) for group, ids in found.items() if len(ids) > 1}


def sets_of(rows: Iterable[PairRow], ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The sets that have any of these pairs, with all of their pairs."""
    wanted = set(ids)
    return {name: pairs for name, pairs in find_sets(rows).items() if not wanted.isdisjoint(pairs)}


def questions_about(sets: Mapping[str, Sequence[str]]) -> int:
    """How many questions `shared_by_set` asks at most, if all answers can be read."""
    return sum(len(_handfuls(ids)) for ids in sets.values())


def shared_by_set(
    dataset: Dataset,
    backend: Backend,
    sets: Mapping[str, Sequence[str]],
    *,
    fail: Callable[[str, Exception], None] = lambda *_: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, tuple[str, ...]]:
    """What all pictures of each set share, by the id of every pair in it.

    Of large sets several handfuls are shown, and only what is said of each handful is shared. A set whose answers cannot
    be read shares nothing that is known.

    Args:
        sets: ids by set.
        fail: hears of sets that could not be asked about.

    Raises:
        ModelError: there is nobody to ask.
    """
    found: dict[str, tuple[str, ...]] = {}

    def take(name: str, shared: tuple[str, ...]) -> None:
        found.update(dict.fromkeys(sets[name], shared))

    ask_about(
        list(sets),
        lambda name: _shared(dataset, backend, sets[name]),
        parallel=backend.parallel,
        take=take,
        fail=fail,
        should_stop=should_stop,
    )
    return found


def _shared(dataset: Dataset, backend: Backend, ids: Sequence[str]) -> tuple[str, ...]:
    told: list[tuple[str, ...]] = []
    for handful in _handfuls(ids):
        pictures = [Image.fromarray(dataset.load(pair).target) for pair in handful]
        shared = ask_readable(backend, shared_request(pictures), read_shared, REMINDER).found
        if not shared:
            return ()
        told.append(shared)
    first, *others = told
    return tuple(text for text in first if all(any(same_said(text, one) for one in other) for other in others))


def _handfuls(ids: Sequence[str]) -> list[Sequence[str]]:
    """Every picture of a set is somebody's result, except perhaps the first one's source. One alone shares nothing."""
    handfuls = [ids[start : start + MOST_SHOWN] for start in range(0, len(ids), MOST_SHOWN)]
    return [handful for handful in handfuls if len(handful) > 1]
