"""From scores to λ, the importance of a pair in training (OmniEdit §3.3), and back again.

λ is decided from what judges wrote into the rows, so it can be formed anew in another way at any time. Before a change
the old weights go into the dataset's folder ``judge``, from where :func:`undo` brings them back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from ..dataset.disk.files import make_folder, write_atomic
from ..dataset.disk.rows import PairRow
from ..dataset.disk.storage import locked
from ..dataset.store import Dataset
from ..errors import DatasetError
from .pixels import JUDGE
from .ranking import FOLDER
from .scores import overall_of
from .scoring import task_of

Mode = Literal["threshold", "top", "rank"]
_BEFORE = "weights-before-"


@dataclass(frozen=True)
class WeightSettings:
    """How scores become weights.

    Attributes:
        judge: whose scores.
        mode: "threshold" keeps what reaches ``threshold`` (the paper's λ); "top" keeps the best ``share`` of every task;
            "rank" keeps all and weighs each by its rank in its task to the power ``power``, with a mean of 1, so that
            the learning rate means what it meant.
        threshold: O from 0 to 10. No two judges mean the same by it: one gives 9 to nothing, another 8 to a third.
        share: 0 … 1.
        power: 0 weighs all alike.
        gate: also leave out what the pixels show to be broken: the score of the judge without a model is under this.
        unscored: weight of pairs without a score; 0 leaves them out.
        split: weigh these alone; None weighs all.
    """

    judge: str
    mode: Mode = "threshold"
    threshold: float = 9.0
    share: float = 0.3
    power: float = 1.0
    gate: float = 0.0
    unscored: float = 0.0
    split: str | None = None

    def __post_init__(self) -> None:
        if self.mode not in ("threshold", "top", "rank"):
            raise ValueError(f"weights are made by threshold, top or rank; got {self.mode!r}")
        limits = {"threshold": (0, 10), "share": (0, 1), "power": (0, 16), "gate": (0, 10), "unscored": (0, 100)}
        for name, (least, most) in limits.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} is from {least} to {most}, got {getattr(self, name)}")


@dataclass(frozen=True)
class Weighing:
    """What the weights would be.

    Attributes:
        weights: by id.
        scores: O by id; None for unscored pairs.
        tasks: by id.
        unscored: ids without a score.
        gated: ids that the gate left out.
        settings: how.
    """

    weights: Mapping[str, float]
    scores: Mapping[str, float | None]
    tasks: Mapping[str, str]
    unscored: tuple[str, ...]
    gated: tuple[str, ...]
    settings: WeightSettings

    @property
    def kept(self) -> tuple[str, ...]:
        return tuple(pair for pair, weight in self.weights.items() if weight > 0)


def weigh(rows: Sequence[PairRow], settings: WeightSettings) -> Weighing:
    """Forms weights, and changes nothing.

    Raises:
        DatasetError: the judge has scored none of the pairs, or no pair would be left.
    """
    rows = [row for row in rows if settings.split in (None, row.split)]
    scores = {row.id: overall_of(row.scores, settings.judge) for row in rows}
    tasks = {row.id: task_of(row) for row in rows}
    scored = {pair: score for pair, score in scores.items() if score is not None}
    if not scored:
        known = sorted({name for row in rows for name in row.scores})
        raise DatasetError(
            f"{settings.judge!r} has scored none of these {len(rows)} pairs; scores are there of "
            f"{', '.join(known) or 'nobody'}. Judge them first: `comfyui-ace judge score DATASET`"
        )
    gated = tuple(row.id for row in rows if _broken(row, settings.gate))
    weights = _weigh({pair: score for pair, score in scored.items() if pair not in gated}, tasks, settings)
    weights |= dict.fromkeys((pair for pair, score in scores.items() if score is None), settings.unscored)
    weights |= dict.fromkeys(gated, 0.0)
    weighing = Weighing(
        {row.id: weights[row.id] for row in rows},
        scores,
        tasks,
        tuple(pair for pair, score in scores.items() if score is None),
        gated,
        settings,
    )
    if not weighing.kept:
        best = max(scored.values())
        raise DatasetError(
            f"no pair would be left: the best score of {settings.judge!r} is {best:.2f}. A fixed number means something "
            "else with every judge; keep the best share of each task instead (--mode top --share 0.3)"
        )
    return weighing


def apply(dataset: Dataset, weighing: Weighing) -> int:
    """Writes the weights into the rows, and the old ones to where :func:`undo` finds them. Returns the rows changed.

    Raises:
        DatasetError: it cannot be written; nothing was changed then.
    """
    old = {row.id: row.weight for row in dataset.rows() if row.id in weighing.weights}
    if all(old[pair] == weighing.weights[pair] for pair in old):
        return 0
    now = datetime.now(timezone.utc)
    content = {
        "created": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "settings": asdict(weighing.settings),
        "before": old,
    }
    with locked(dataset.folder):
        folder = make_folder(dataset.folder, FOLDER)
        numbers = [_number(path) for path in _kept_states(dataset)]
        write_atomic(folder / f"{_BEFORE}{max(numbers, default=0) + 1:04}.json", json.dumps(content).encode())
    return dataset.rewrite(_set_to(weighing.weights))


def undo(dataset: Dataset) -> tuple[int, dict[str, Any]]:
    """Brings back the weights from before the last change that was not undone.

    Returns:
        How many rows changed, and the settings that were undone.

    Raises:
        DatasetError: there is nothing to undo, or the file with the old weights is damaged.
    """
    states = _kept_states(dataset)
    if not states:
        raise DatasetError(
            f"the weights of {dataset.name!r} were never changed here, or all changes are undone already"
        )
    path = states[-1]
    try:
        content = json.loads(path.read_bytes())
        before = {pair: float(weight) for pair, weight in content["before"].items()}
        settings = dict(content["settings"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{path} with the old weights cannot be read ({error!r}); delete it to go further back"
        ) from error
    changed = dataset.rewrite(_set_to(before))
    path.unlink()
    return changed, settings


def restore(dataset: Dataset) -> int:
    """Undoes all changes. Returns the rows changed, 0 if there was none. Raises as :func:`undo` does."""
    changed = 0
    while _kept_states(dataset):
        changed += undo(dataset)[0]
    return changed


def _weigh(scored: Mapping[str, float], tasks: Mapping[str, str], settings: WeightSettings) -> dict[str, float]:
    if settings.mode == "threshold":
        return {pair: float(score >= settings.threshold) for pair, score in scored.items()}
    weights: dict[str, float] = {}
    groups: dict[str, dict[str, float]] = {}
    for pair, score in scored.items():
        groups.setdefault(tasks[pair], {})[pair] = score
    for group in groups.values():
        weights |= _best(group, settings.share) if settings.mode == "top" else _by_rank(group, settings.power)
    return {pair: weights[pair] for pair in scored}


def _best(scores: Mapping[str, float], share: float) -> dict[str, float]:
    """1 for the best ``share``, at least one pair; those level with the last of them are kept, too: order is no merit."""
    if share == 0:
        return dict.fromkeys(scores, 0.0)
    ordered = sorted(scores.values(), reverse=True)
    limit = ordered[max(1, round(share * len(ordered))) - 1]
    return {pair: float(score >= limit) for pair, score in scores.items()}


def _by_rank(scores: Mapping[str, float], power: float) -> dict[str, float]:
    from scipy.stats import rankdata

    ranks = rankdata(list(scores.values())) / len(scores)  # 1 is the best; pairs that are level share a rank
    raw = ranks**power
    return dict(zip(scores, (float(value) for value in raw / raw.mean()), strict=True))


def _broken(row: PairRow, gate: float) -> bool:
    score = overall_of(row.scores, JUDGE) if gate else None
    return score is not None and score < gate


def _set_to(weights: Mapping[str, float]) -> Callable[[PairRow], PairRow]:
    return lambda row: replace(row, weight=weights[row.id]) if row.id in weights else row


def _kept_states(dataset: Dataset) -> list[Path]:
    """Oldest first."""
    found = [path for path in (dataset.folder / FOLDER).glob(f"{_BEFORE}*.json") if path.stem[len(_BEFORE) :].isdigit()]
    return sorted(found, key=_number)


def _number(path: Path) -> int:
    return int(path.stem[len(_BEFORE) :])
