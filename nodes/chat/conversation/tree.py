"""A conversation: a tree of turns. Each has an instruction, pictures and, once it has run, an answer.

The path from the first turn to one is what that turn knows of the conversation; two turns under one are two ways to go on.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ....ace.lcu.indicators import MAX_IMAGES
from .errors import ChatError, UnknownChatError
from .wording import instruction as instruction_of
from .wording import plain

SCHEMA = 1
MOST_TURNS = 10_000
MOST_CHARACTERS = 20_000  # of an instruction; a dataset takes no more
MAX_ROUNDS = MAX_IMAGES - 1
LONGEST_MESSAGE = 2_000  # characters
LARGEST_SEED = 2**53 - 1  # JavaScript counts no further
_TITLE = 80  # characters

Id = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
File = Annotated[str, Field(pattern=r"^[0-9a-f]{32}\.png$")]
Words = Annotated[str, Field(max_length=MOST_CHARACTERS)]
FileName = Annotated[str, Field(min_length=1, max_length=500)]
Size = Literal["as the model", "512 px model", "1024 px model", "exact size", "source size"]


class Record(BaseModel):
    """A part of a conversation, as it is written and sent. Never changed: a change makes another."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LoRA(Record):
    """A LoRA on the model.

    Attributes:
        name: of its file, in ComfyUI's folder of LoRAs.
        strength: of it.
    """

    name: FileName
    strength: float = Field(1.0, ge=-20, le=20)


class Settings(Record):
    """With what, and how, pictures are made.

    Attributes:
        bundle: a folder with a whole model; None for single files.
        model, text_encoder, vae: single files in place of a bundle.
        loras: on the model, in order.
        steps, cfg, guidance_rescale: of the sampler.
        negative: the negative prompt.
        size: at which the model works; "exact size" takes width and height.
        keep_detail: how much of the detail that the VAE took is given back, 0 to 2.
        depth: earlier rounds that the next turn sends, unless it says otherwise.
    """

    bundle: FileName | None = None
    model: FileName | None = None
    text_encoder: FileName | None = None
    vae: FileName | None = None
    loras: tuple[LoRA, ...] = Field((), max_length=20)
    steps: int = Field(20, ge=1, le=1000)
    cfg: float = Field(4.5, ge=0, le=30)
    guidance_rescale: float = Field(0.5, ge=0, le=1)
    negative: Words = ""
    size: Size = "as the model"
    width: int = Field(512, ge=16, le=8192, multiple_of=16)
    height: int = Field(512, ge=16, le=8192, multiple_of=16)
    keep_detail: float = Field(1.0, ge=0, le=2)
    depth: int = Field(4, ge=0, le=MAX_ROUNDS)

    @model_validator(mode="after")
    def _is_a_whole_model(self) -> Settings:
        if self.bundle is None and None in (self.model, self.text_encoder, self.vae):
            raise ValueError("choose a bundle, or a model, a text encoder and a VAE")
        return self


class Picture(Record):
    """A picture that a turn speaks of.

    Attributes:
        file: its file.
        mask: file of the same picture with a mask of what may change in its alpha channel; None for everything.
        fill: what the model sees under the mask: "keep" shows it the picture, "blank" black.
    """

    file: File
    mask: File | None = None
    fill: Literal["keep", "blank"] = "keep"


class Extension(Record):
    """How far the first picture is extended, in pixels of its own."""

    left: int = Field(0, ge=0, le=8192)
    top: int = Field(0, ge=0, le=8192)
    right: int = Field(0, ge=0, le=8192)
    bottom: int = Field(0, ge=0, le=8192)
    overlap: int = Field(0, ge=0, le=1024)


class Answer(Record):
    """What came of a turn.

    Attributes:
        file: its picture.
        width, height: of it, in pixels.
        finished: time.time() when it was stored.
        seconds: from the start of its prompt to the end; None where nobody knows.
    """

    file: File
    width: int
    height: int
    finished: float
    seconds: float | None = None


class Ask(Record):
    """What is asked in a turn.

    Attributes:
        parts: words, and numbers of ``pictures``.
        pictures: those it speaks of; the first is edited. Without one, a picture is made from the words.
        extend: of the first picture.
        seed: of the noise.
        depth: most earlier rounds that are sent.
    """

    parts: tuple[Annotated[int, Field(strict=True, ge=0, lt=MAX_IMAGES)] | Words, ...] = Field((), max_length=1000)
    pictures: tuple[Picture, ...] = Field((), max_length=MAX_IMAGES)
    extend: Extension | None = None
    seed: int = Field(0, ge=0, le=LARGEST_SEED)
    depth: int = Field(0, ge=0, le=MAX_ROUNDS)

    @model_validator(mode="after")
    def _makes_sense(self) -> Ask:
        if any(isinstance(part, int) and part >= len(self.pictures) for part in self.parts):
            raise ValueError("the instruction names a picture that the turn does not have")
        if sum(len(part) for part in self.parts if isinstance(part, str)) > MOST_CHARACTERS:
            raise ValueError(f"an instruction has at most {MOST_CHARACTERS} characters")
        if any("\ud800" <= letter <= "\udfff" for part in self.parts if isinstance(part, str) for letter in part):
            raise ValueError("the instruction holds half a letter (a lone surrogate), which no file can store")
        if self.extend is not None and (not self.pictures or self.pictures[0].mask is not None):
            raise ValueError("only a first picture without a mask can be extended")
        return self

    @property
    def instruction(self) -> str:
        """As ACE reads it."""
        return instruction_of(self.parts, len(self.pictures))


class Turn(Ask):
    """One turn.

    Attributes:
        id: of it.
        parent: the turn before; None for a first one.
        number: by which people call it, counted over the conversation from 1.
        created: time.time().
        settings: those it was asked with.
        prompt: id of its prompt in ComfyUI's queue, the last one where it was queued again.
        answer: once it has one.
        ended: how it ended without one, noted because the queue's own memory is cleared or ends with the server.
        message: why it failed.
    """

    id: Id
    parent: Id | None = None
    number: int = Field(ge=1)
    created: float
    settings: Settings
    prompt: Annotated[str, Field(max_length=100)]
    answer: Answer | None = None
    ended: Literal["failed", "stopped"] | None = None
    message: Annotated[str, Field(max_length=LONGEST_MESSAGE)] = ""


class Chat(Record):
    """A conversation.

    Attributes:
        schema_version: of the file.
        id: of it.
        title: as people call it; made from the first instruction until somebody names it.
        named: whether somebody did.
        created, changed: time.time().
        settings: of the next turn.
        head: where it was last gone on from; None for its beginning.
        turns: in the order in which they were asked.
    """

    schema_version: int = SCHEMA
    id: Id
    title: Annotated[str, Field(max_length=200)] = ""
    named: bool = False
    created: float
    changed: float
    settings: Settings
    head: Id | None = None
    turns: tuple[Turn, ...] = ()

    def turn(self, turn_id: str | None) -> Turn:
        """The turn of this id. Raises UnknownChatError."""
        for turn in self.turns:
            if turn.id == turn_id:
                return turn
        raise UnknownChatError("There is no such turn in this conversation.")

    def path(self, turn_id: str | None) -> list[Turn]:
        """All turns from the first to this one; empty for None. Raises UnknownChatError."""
        by_id = {turn.id: turn for turn in self.turns}
        found: list[Turn] = []
        while turn_id is not None:
            if turn_id not in by_id or len(found) > len(self.turns):
                raise UnknownChatError("There is no such turn in this conversation.")
            found.append(by_id[turn_id])
            turn_id = found[-1].parent
        return found[::-1]

    def rounds(self, turn: Turn) -> list[Turn]:
        """The earlier turns that this one sends along, oldest first.

        Those with an answer and with pictures, as many as its depth says and as ACE takes. A picture that is made from
        words alone has none.
        """
        if not turn.pictures:
            return []
        earlier = [one for one in self.path(turn.parent) if one.answer and one.pictures]
        kept = earlier[-turn.depth :] if turn.depth else []
        while sum(len(one.pictures) for one in (*kept, turn)) > MAX_IMAGES:
            kept = kept[1:]
        return kept

    def answered(self, turn_id: str | None) -> str | None:
        """The nearest turn with an answer, from this one towards the beginning."""
        return next((turn.id for turn in reversed(self.path(turn_id)) if turn.answer), None)

    def with_turn(self, ask: Ask, parent: str | None, settings: Settings, **changes: Any) -> tuple[Chat, Turn]:
        """A new turn after another, or after the nearest before it that has an answer; it becomes the head."""
        if len(self.turns) >= MOST_TURNS:
            raise ChatError("This conversation is full. Begin a new one: drag the last answer into it.")
        values = {name: getattr(ask, name) for name in Ask.model_fields}
        turn = Turn(
            **values,
            id=uuid.uuid4().hex,
            parent=self.answered(parent),
            number=max((one.number for one in self.turns), default=0) + 1,
            created=time.time(),
            settings=settings,
            prompt=str(uuid.uuid4()),
        )
        title = self.title if self.named or self.turns else plain(ask.parts)[:_TITLE]
        return self.changed_by(turns=(*self.turns, turn), head=turn.id, title=title, **changes), turn

    def with_changed(self, turn_id: str, **changes: Any) -> Chat:
        """One turn with other values."""
        changed = self.turn(turn_id).model_copy(update=changes)
        return self.changed_by(turns=tuple(changed if turn.id == turn_id else turn for turn in self.turns))

    def changed_by(self, **changes: Any) -> Chat:
        """With other values, changed now."""
        return self.model_copy(update={"changed": time.time(), **changes})

    def files(self) -> Iterator[str]:
        """Names of all files of pictures that turns speak of or gave."""
        for turn in self.turns:
            for picture in turn.pictures:
                yield picture.file
                if picture.mask is not None:
                    yield picture.mask
            if turn.answer is not None:
                yield turn.answer.file


def new_chat(settings: Settings, title: str = "") -> Chat:
    """A conversation without turns."""
    now = time.time()
    return Chat(id=uuid.uuid4().hex, title=title, named=bool(title), created=now, changed=now, settings=settings)


def new_seed() -> int:
    """Any seed."""
    return secrets.randbelow(2**48)
