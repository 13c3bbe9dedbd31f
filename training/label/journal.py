"""``label/labels.jsonl``: everything that was proposed and decided, in the order in which it came, one line each.

A label is one line, so a stop at any moment leaves it whole or not there. What goes into rows is written down before it
goes there ("write") and after ("done"): what a dead process left between the two is finished by the next one.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..dataset.disk.files import append_line
from ..dataset.disk.line_tail import LineTail
from ..dataset.disk.storage import as_write_error, make_folder
from .labels import Label

FOLDER = "label"
LABELS = "labels.jsonl"
ACCEPTED, REJECTED, OPEN = "accepted", "rejected", "open"


@dataclass(frozen=True)
class Words:
    """All words of a row."""

    instruction: str
    phrasings: tuple[str, ...] = ()
    source_caption: str = ""
    target_caption: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Words:
        """From JSON."""
        return cls(**{**data, "phrasings": tuple(data.get("phrasings", ()))})


@dataclass(frozen=True)
class Writing:
    """Words on their way into a row.

    Attributes:
        before, after: of the row.
        decision: what the pair is when it is done: "accepted", or "open" where something is taken back.
        by: "person" or "checks".
        edited: somebody has changed the words by hand.
    """

    before: Words
    after: Words
    decision: str
    by: str
    edited: bool = False

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Writing:
        """From JSON."""
        words = {key: Words.from_dict(data[key]) for key in ("before", "after")}
        return cls(decision=str(data["decision"]), by=str(data["by"]), edited=bool(data["edited"]), **words)


@dataclass(frozen=True)
class PairLabels:
    """What is known of one pair.

    Attributes:
        label: the last one, if there is any, without its raw answers, which only the file keeps.
        decision: "open", "accepted" or "rejected".
        writing: what came into the row last.
        run: in which that was.
        decided: how many decisions there were; a label that began before the last of them changes none.
        rejected: texts that a person did not want.
    """

    label: Label | None = None
    decision: str = OPEN
    writing: Writing | None = None
    run: str = ""
    decided: int = 0
    rejected: tuple[str, ...] = ()

    @property
    def waits(self) -> bool:
        """Whether it has texts that nobody has decided on."""
        return self.label is not None and self.label.proposed and self.decision == OPEN


def new_run() -> str:
    """Names what is written, and taken back, together."""
    return uuid.uuid4().hex[:12]


@dataclass
class _State:
    pairs: dict[str, PairLabels] = field(default_factory=dict)
    pending: dict[str, dict[str, Writing]] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)


class LabelJournal:
    """The labels of one dataset. Safe to share between threads; other processes may add to the same file.

    Args:
        folder: of the dataset.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.path = self.folder / FOLDER / LABELS
        self._tail = LineTail(self.path)
        self._lock = threading.RLock()
        self._state = _State()
        self.refresh()

    def refresh(self) -> None:
        """Reads what was added since. Lines that say nothing of use are passed over."""
        with self._lock:
            restarted, lines = self._tail.read()
            if restarted:
                self._state = _State()
            for _, line in lines:
                try:
                    self._take(json.loads(line))
                except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                    continue  # from another version, or another hand

    @property
    def size(self) -> int:
        """Bytes of the file, which only grows: another number says that something was added."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def __getitem__(self, pair: str) -> PairLabels:
        """What is known of a pair; nothing of one that was never labelled."""
        with self._lock:
            return self._state.pairs.get(pair, PairLabels())

    def items(self) -> Iterator[tuple[str, PairLabels]]:
        """All pairs that anything is known of."""
        with self._lock:
            return iter(list(self._state.pairs.items()))

    @property
    def pending(self) -> dict[str, dict[str, Writing]]:
        """By run, what may be in the rows or not, because a process ended between."""
        with self._lock:
            return {run: dict(writings) for run, writings in self._state.pending.items()}

    @property
    def runs(self) -> list[str]:
        """Runs that wrote accepted words into rows, the last one last."""
        with self._lock:
            return list(self._state.runs)

    def add_label(self, label: Label, decided: int) -> None:
        """Proposes texts, unless somebody has decided on the pair meanwhile.

        Args:
            decided: of the pair, when the work on the label began.

        Raises:
            WriteError: the disk refuses.
        """
        self._append("label", label=label.as_dict(), decided=decided)

    def add_rejection(self, pair: str) -> None:
        """A person wants none of a label's texts. Raises `WriteError`."""
        self._append("reject", pair=pair)

    def add_reopening(self, pair: str) -> None:
        """A rejection is taken back. Raises `WriteError`."""
        self._append("reopen", pair=pair)

    def begin(self, writings: Mapping[str, Writing], run: str) -> None:
        """Writes down what goes into rows in a run, which `finish` closes. Raises `WriteError`."""
        self._append("write", run=run, pairs={pair: asdict(writing) for pair, writing in writings.items()})

    def finish(self, run: str, failed: Sequence[str] = ()) -> None:
        """The rows have what was begun, except those of some pairs. Raises `WriteError`."""
        self._append("done", run=run, failed=list(failed))

    def _append(self, event: str, **values: Any) -> None:
        time = datetime.now(timezone.utc).isoformat(timespec="microseconds")
        line = json.dumps({"event": event, "time": time, **values}, ensure_ascii=False, separators=(",", ":"))
        with self._lock:
            try:
                make_folder(self.folder, FOLDER)
                append_line(self.path, line.encode("utf-8", "replace"))
            except OSError as error:
                raise as_write_error(error, self.path) from error
            self.refresh()

    def _take(self, data: dict[str, Any]) -> None:
        event, state = data["event"], self._state
        if event == "label":
            # The raw answers are for the file: ten thousand pairs' worth of them would fill the memory.
            label = Label.from_dict({**data["label"], "time": data["time"], "answers": ()})
            self._propose(label, int(data.get("decided", 0)))
        elif event in ("reject", "reopen"):
            self._reject(str(data["pair"]), event == "reject")
        elif event == "write":
            writings = {pair: Writing.from_dict(value) for pair, value in data["pairs"].items()}
            state.pending.setdefault(str(data["run"]), {}).update(writings)
        elif event == "done":
            self._finish(str(data["run"]), set(data.get("failed", ())))

    def _propose(self, label: Label, decided: int) -> None:
        """A new label takes the place of what waits, and of a rejection that was known when its work began."""
        known = self._state.pairs.get(label.pair, PairLabels())
        if known.decision == ACCEPTED or (known.decision == REJECTED and known.decided != decided):
            return
        self._state.pairs[label.pair] = replace(known, label=label, decision=OPEN)

    def _reject(self, pair: str, rejected: bool) -> None:
        known = self._state.pairs[pair]
        texts = [] if known.label is None else [text.text for text in known.label.texts]
        others = [text for text in known.rejected if text not in texts]
        self._state.pairs[pair] = replace(
            known,
            decision=REJECTED if rejected else OPEN,
            decided=known.decided + 1,
            rejected=(*others, *texts) if rejected else tuple(others),
        )

    def _finish(self, run: str, failed: set[str]) -> None:
        state = self._state
        for pair, writing in state.pending.pop(run, {}).items():
            if pair in failed:
                continue
            known = state.pairs.get(pair, PairLabels())
            state.pairs[pair] = replace(
                known, decision=writing.decision, writing=writing, run=run, decided=known.decided + 1
            )
            if writing.decision == ACCEPTED and (not state.runs or state.runs[-1] != run):
                state.runs.append(run)
