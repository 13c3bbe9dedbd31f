"""From results on disk to a table: each number is kept as it comes, so that measuring, too, goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ...judge.judges import Judge
from ...judge.prompts import PairPictures, spoken
from ...judge.scores import Judgement
from ..metrics.similarity import Mean, Several, Undefined, Value, mean_of
from ..profiles.profile import Measured, Profile, Sample, Tools
from .generation import result_path
from .sessions import Session, Setting, Turn

UNREAD = Undefined("the judge's answer could not be read")
_MARKS = (("sc", "sc"), ("pq", "pq"), ("o", "overall"))


@dataclass(frozen=True)
class Table:
    """A benchmark's numbers.

    Attributes:
        profile: how they were measured; None where a judge alone marked.
        setting: how the benchmark was run.
        means: by metric; the judge's are "sc", "pq" and "o".
        by_task: the same within each task.
        measured, expected: results there are, and results there should be.
        missing: ids of the turns without a result.
        tools: what was measured with, with checksums.
        left_out: tools that were missing, by the metric that needs them.
    """

    profile: Profile | None
    setting: Setting
    means: dict[str, Mean]
    by_task: dict[str, dict[str, Mean]]
    measured: int
    expected: int
    tools: dict[str, str]
    left_out: dict[str, tuple[str, ...]]
    missing: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""

        def plain(means: dict[str, Mean]) -> dict[str, Any]:
            return {
                key: {"mean": one.value, "count": one.count, "skipped": dict(one.skipped)} for key, one in means.items()
            }

        return {
            "profile": None if self.profile is None else self.profile.name,
            "setting": self.setting,
            "means": plain(self.means),
            "by_task": {task: plain(means) for task, means in self.by_task.items()},
            "measured": self.measured,
            "expected": self.expected,
            "missing": list(self.missing),
            "tools": self.tools,
            "left_out": {key: list(needs) for key, needs in self.left_out.items()},
        }


def score_results(
    sessions: Sequence[Session],
    setting: Setting,
    folder: Path,
    profile: Profile | None,
    tools: Tools,
    judge: Judge | None = None,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Table:
    """Measures all results that there are.

    Args:
        folder: the one given to :func:`..generation.generate`.
        profile: None leaves the metrics out.
        judge: None leaves its marks out.

    Raises:
        EvaluationError: a picture cannot be read.
        ModelError: the judge cannot be reached.
    """
    turns = [turn for session in sessions for turn in session.measured(setting)]
    there = [turn for turn in turns if result_path(folder, setting, turn).is_file()]
    kept = _Kept(folder / f"scores-{setting}.jsonl", _stamp(profile, tools, judge))
    measured = []
    for done, turn in enumerate(there, 1):
        path = result_path(folder, setting, turn)
        values = kept.find(turn.id, path)
        if values is None:
            values = _measure(turn, path, profile, tools, judge)
            kept.add(turn.id, path, values)
        measured.append(Measured(values, turn.task))
        progress(done, len(there))
    tasks = sorted({one.task for one in measured})
    return Table(
        profile=profile,
        setting=setting,
        means=_means(profile, judge, measured),
        by_task={
            task: _means(profile, judge, [one for one in measured if one.task == task])
            for task in tasks
            if len(tasks) > 1
        },
        measured=len(measured),
        expected=len(turns),
        tools={**tools.describe(), **({} if judge is None else {"judge": f"{judge.name} ({judge.prompt})"})},
        left_out={} if profile is None else profile.missing(tools),
        missing=tuple(turn.id for turn in turns if not result_path(folder, setting, turn).is_file()),
    )


def make_sample(turn: Turn, result: Image.Image) -> Sample:
    """A turn and its result, with all pictures opened."""
    return Sample(
        result=result,
        source=None if turn.source is None else turn.source(),
        target=None if turn.target is None else turn.target(),
        mask=None if turn.mask is None else turn.mask(),
        instruction=turn.instruction,
        source_caption=turn.source_caption,
        target_caption=turn.target_caption,
        task=turn.task,
        references=tuple(load() for load in turn.references),
        lines=tuple((text, load()) for text, load in turn.lines),
    )


def _means(profile: Profile | None, judge: Judge | None, measured: Sequence[Measured]) -> dict[str, Mean]:
    means = {} if profile is None else profile.means(measured)
    if judge is not None:
        means |= {key: mean_of(one.values[key] for one in measured) for key, _ in _MARKS}
    return means


def _measure(turn: Turn, path: Path, profile: Profile | None, tools: Tools, judge: Judge | None) -> dict[str, Value]:
    with Image.open(path) as opened:
        sample = make_sample(turn, opened.convert("RGB"))
    values: dict[str, Value] = {} if profile is None else profile.measure(sample, tools)
    if judge is not None:
        words = spoken(sample.instruction, len(sample.references))
        values |= _marks(judge.judge(PairPictures(sample.source, sample.result, words, sample.references)))
    return values


def _marks(judgement: Judgement) -> dict[str, Value]:
    return {key: getattr(judgement, name) if judgement.scored else UNREAD for key, name in _MARKS}


def _stamp(profile: Profile | None, tools: Tools, judge: Judge | None) -> str:
    """Changes with everything that could change a number."""
    marked = None if judge is None else [judge.name, judge.prompt]
    values = [None if profile is None else profile.name, tools.describe(), marked]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


class _Kept:
    """Numbers by turn, as long as its result is the same file."""

    def __init__(self, path: Path, stamp: str) -> None:
        self._path, self._stamp = path, stamp
        self._known: dict[tuple[str, str], dict[str, Value]] = {}
        if path.is_file():
            for line in path.read_bytes().splitlines():
                try:
                    value = json.loads(line)
                    if value["stamp"] == stamp:
                        self._known[value["turn"], value["file"]] = {
                            key: _from_json(one) for key, one in value["values"].items()
                        }
                except (ValueError, KeyError, TypeError, AttributeError):
                    continue  # a line that a stop cut off

    def find(self, turn: str, path: Path) -> dict[str, Value] | None:
        return self._known.get((turn, _state(path)))

    def add(self, turn: str, path: Path, values: dict[str, Value]) -> None:
        line = {
            "turn": turn,
            "file": _state(path),
            "stamp": self._stamp,
            "values": {key: _to_json(value) for key, value in values.items()},
        }
        with open(self._path, "ab") as file:
            if file.tell() and not self._path.read_bytes().endswith(b"\n"):
                file.write(b"\n")
            file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")


def _state(path: Path) -> str:
    status = path.stat()
    return f"{status.st_size}-{status.st_mtime_ns}"


def _to_json(value: Value) -> Any:
    if isinstance(value, Undefined):
        return {"undefined": value.reason}
    return list(value.values) if isinstance(value, Several) else value


def _from_json(value: Any) -> Value:
    if isinstance(value, dict):
        return Undefined(value["undefined"])
    return Several(tuple(value)) if isinstance(value, list) else float(value)
