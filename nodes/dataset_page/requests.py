"""What the page may send: checked here, so that the handlers get what they expect or the page hears what was wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ...training.dataset.curation.catalogue import Order, Query
from ...training.dataset.curation.edits import PairEdit
from ..pages.requests import Strict, validated

MOST_PAIRS = 200  # in one answer
_MOST_CHANGED = 20_000  # in one request


class SeenPair(Strict):
    """A pair and the version of it that was seen."""

    id: str = Field(max_length=100)
    version: str = Field(max_length=64)


class Changes(Strict):
    """What is to change; what is left out stays."""

    instruction: str | None = Field(None, max_length=100_000)
    weight: float | None = None
    split: str | None = None
    tags: list[str] | None = Field(None, max_length=100)

    def edit(self) -> PairEdit:
        """As the dataset takes it."""
        return PairEdit(self.instruction, self.weight, self.split, None if self.tags is None else tuple(self.tags))


class EditRequest(Strict):
    """POST …/edit."""

    pairs: list[SeenPair] = Field(min_length=1, max_length=_MOST_CHANGED)
    changes: Changes


class LabelWords(Strict):
    """All words of a pair."""

    texts: list[str] = Field(max_length=100)
    source_caption: str = Field("", max_length=100_000)
    target_caption: str = Field("", max_length=100_000)


class LabelRequest(Strict):
    """POST …/label: what a person decides about the texts that were proposed for a pair.

    "accept" takes `words`; "reopen" takes back an acceptance with the words before it, and without any a rejection.
    """

    pair: SeenPair
    action: Literal["accept", "reject", "reopen"]
    words: LabelWords | None = None


class DeleteRequest(Strict):
    """POST …/delete."""

    pairs: list[SeenPair] = Field(min_length=1, max_length=_MOST_CHANGED)


class RestoreRequest(Strict):
    """POST …/restore."""

    keys: list[str] = Field(min_length=1, max_length=_MOST_CHANGED)


class ChoiceRequest(Strict):
    """POST …/comparison: two pairs, and the better one or None."""

    first: str = Field(max_length=100)
    second: str = Field(max_length=100)
    better: str | None = Field(max_length=100)


class ListRequest(BaseModel):
    """GET …/pairs; every value comes as text."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    text: str = Field("", max_length=1000)
    split: str | None = Field(None, pattern="^(train|validation)$")
    tag: str | None = None
    order: Order = "newest"
    show: str = Field("kept", pattern="^(kept|proposed|deleted|rejected)$")
    offset: int = Field(0, ge=0)
    limit: int = Field(60, ge=1, le=MOST_PAIRS)

    def query(self) -> Query:
        """As the catalogue takes it."""
        return Query(self.text, self.split, self.tag, self.order)


def seen_digests(pairs: list[SeenPair]) -> dict[str, str]:
    """Version of each pair by its id."""
    return {pair.id: pair.version for pair in pairs}


def read_query(values: Mapping[str, str]) -> ListRequest:
    """The list that is asked for; empty values count as left out.

    Raises:
        BadRequestError: a value is none that there is.
    """
    return validated(ListRequest, {key: value for key, value in values.items() if value != ""})
