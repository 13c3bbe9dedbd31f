"""What a dataset answers: what became of a pair, and how many pairs there are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .intake.checks import Finding


@dataclass(frozen=True)
class AppendResult:
    """What became of a pair.

    Attributes:
        status: "stored", "duplicate" (the same pair is there already) or "rejected".
        id: of the stored pair, or of the one that it duplicates; None for a rejected one.
        reason: why it is a duplicate or was rejected, in words.
        findings: of the checks that rejected it.
        notes: what was converted on the way in (16 bits, transparency, rotation).
        split: "train" or "validation", for a stored pair.
    """

    status: Literal["stored", "duplicate", "rejected"]
    id: str | None = None
    reason: str = ""
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    split: str | None = None

    @property
    def stored(self) -> bool:
        """Whether the pair is new in the dataset."""
        return self.status == "stored"


@dataclass(frozen=True)
class DatasetCounts:
    """Numbers for a status line.

    Attributes:
        pairs, train, validation: stored pairs, and those of each split.
        rejected: pairs that were rejected.
        by_check: rejections by the check that rejected them.
        by_tag: stored pairs by tag.
    """

    pairs: int
    train: int
    validation: int
    rejected: int
    by_check: dict[str, int] = field(default_factory=dict)
    by_tag: dict[str, int] = field(default_factory=dict)
