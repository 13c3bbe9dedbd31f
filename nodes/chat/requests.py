"""What the page may send; conversations themselves say what a turn and settings may be."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from .conversation.tree import MAX_ROUNDS, Ask, Id, Settings

_Title = Annotated[str, Field(max_length=200)]
_Language = Annotated[str, Field(pattern=r"^(en|zh)$")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CreateRequest(_Body):
    """POST /ace/chats."""

    settings: Settings
    title: _Title = ""


class EditRequest(_Body):
    """POST …/edit; what is left out stays, of the settings, too: another window may have chosen the rest."""

    title: _Title | None = None
    settings: dict[str, Any] | None = None
    head: Id | None = None
    beginning: bool = False


class AskRequest(_Body):
    """POST …/turns."""

    ask: Ask
    parent: Id | None = None


class SheetRequest(AskRequest):
    """POST …/sheet; turn: the one that was sent like this, with the settings of its time; else it is about the next one."""

    turn: Id | None = None


class SeedRequest(_Body):
    """POST …/retry; a seed of one's own, or any."""

    seed: int | None = Field(None, ge=0, le=2**53 - 1)


class DatasetRequest(_Body):
    """POST …/dataset."""

    name: Annotated[str, Field(max_length=200)]


class ProvideRequest(_Body):
    """POST …/provide: what the Load Images of a workflow name."""

    names: tuple[Annotated[str, Field(max_length=1000)], ...] = Field(max_length=10_000)


class EmptyRequest(_Body):
    """What says all by its address."""


class RewriteRequest(_Body):
    """POST /ace/chats/rewrite."""

    address: Annotated[str, Field(min_length=1, max_length=500)]
    model: Annotated[str, Field(max_length=200)] = ""
    parts: tuple[Annotated[int, Field(ge=0, le=MAX_ROUNDS)] | Annotated[str, Field(max_length=5000)], ...]
    pictures: int = Field(0, ge=0, le=MAX_ROUNDS + 1)


class SuggestRequest(BaseModel):
    """GET /ace/chats/suggestions; every value comes as text."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    text: str = Field("", max_length=2000)
    pictures: int = Field(0, ge=0, le=MAX_ROUNDS + 1)
    masked: bool = False
    language: _Language = "en"
