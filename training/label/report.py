"""What has become of a dataset's labels, in numbers."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ..dataset.store import Dataset
from .journal import ACCEPTED, REJECTED, LabelJournal, PairLabels


def summarise(dataset: Dataset) -> dict[str, Any]:
    """Counts over the rows that are there: what waits, what was accepted by whom, and why pairs have no text."""
    journal = LabelJournal(dataset.folder)
    states: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    tasks: Counter[str] = Counter()
    phrasings = rows = 0
    for row in dataset.rows():
        state = journal[row.id]
        rows += 1
        states[state_of(state)] += 1
        phrasings += len(row.all_instructions)
        if state.label is None:
            continue
        if state.label.reason:
            reasons[state.label.reason.split(":")[0]] += 1
        if state.label.task:
            tasks[state.label.task] += 1
        dropped.update(_kind(reason) for _text, reason in state.label.dropped)
    return {
        "pairs": rows,
        "states": dict(states),
        "unlabelled": dict(reasons.most_common()),
        "dropped": dict(dropped.most_common()),
        "tasks": dict(tasks.most_common()),
        "phrasings": phrasings / rows if rows else 0.0,
    }


def state_of(state: PairLabels) -> str:
    """One word for what has become of a pair's label."""
    if state.decision == ACCEPTED and state.writing is not None:
        return "edited" if state.writing.edited else f"accepted by {state.writing.by}"
    if state.decision == REJECTED:
        return REJECTED
    if state.label is None:
        return "never labelled"
    return "waiting" if state.waits else "without text"


def describe(found: dict[str, Any]) -> str:
    """The summary in words."""
    lines = [f"{found['pairs']} pairs, {found['phrasings']:.1f} instructions each"]
    titles = (
        ("states", ""),
        ("unlabelled", "Without text, because:"),
        ("dropped", "Texts that were not taken, because:"),
        ("tasks", "Told from the pixels:"),
    )
    for key, title in titles:
        if found[key]:
            lines += [*filter(None, [title]), *(f"  {count} {name}" for name, count in found[key].items())]
    return "\n".join(lines)


def _kind(reason: str) -> str:
    """A reason without the words that it is about."""
    if reason.startswith("its ") or reason.startswith("it says"):
        return "other colours, numbers or directions"
    if reason.startswith("it names") or reason.startswith("it does not name"):
        return "other things or pictures"
    if "not seen in" in reason or "not to be seen" in reason:
        return "names what is not there"
    return "too much like another one" if "like one" in reason else reason
