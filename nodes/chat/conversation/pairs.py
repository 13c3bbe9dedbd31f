"""Turns as training pairs: pictures and instruction, the answer as the result, and the rounds that were sent as history."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ....ace.pictures.outpaint import outpaint, place_by_pixels
from ....training.dataset.provenance.provenance import save_graph
from ....training.dataset.store import Dataset, Pair
from .errors import ChatError
from .graph import turn_graph
from .images import read_marks, read_pixels
from .tree import Chat, Extension, Turn

_TAG = "chat"


@dataclass(frozen=True)
class Sent:
    """What became of turns.

    Attributes:
        stored: how many are new in the dataset.
        known: how many it had already.
        rejected: number of the turn and why, of those that a check rejected.
    """

    stored: int
    known: int
    rejected: tuple[tuple[int, str], ...]


def send_branch(chat: Chat, turn: Turn, folder: Path, dataset: Dataset) -> Sent:
    """Appends all turns up to one, oldest first, each with the rounds it sent as its history.

    A round that the dataset rejects is left out of the history of later ones, and so is what came before it.

    Args:
        chat: the conversation.
        turn: the last of the branch.
        folder: of the conversation, where its pictures are.
        dataset: to append to.

    Raises:
        ChatError: no turn of the branch has an answer.
        DatasetError, ImageError: a pair cannot be written, or a picture cannot be read.
    """
    path = [one for one in chat.path(turn.id) if one.answer]
    if not path:
        raise ChatError("This turn has no answer yet, so it makes no pair.")
    ids: dict[str, str | None] = {}
    stored, known, rejected = 0, 0, []
    for one in path:
        history: list[str] = []
        for earlier in chat.rounds(one):
            pair_id = ids.get(earlier.id)
            history = [] if pair_id is None else [*history, pair_id]
        result = dataset.append(_pair(chat, one, folder, tuple(history), dataset))
        ids[one.id] = result.id
        stored += result.status == "stored"
        known += result.status == "duplicate"
        if result.status == "rejected":
            rejected.append((one.number, result.reason))
    return Sent(stored, known, tuple(rejected))


def _pair(chat: Chat, turn: Turn, folder: Path, history: tuple[str, ...], dataset: Dataset) -> Pair:
    images = [read_pixels(folder, picture.file) for picture in turn.pictures]
    masks = [None if picture.mask is None else read_marks(folder, picture.mask) for picture in turn.pictures]
    if turn.extend is not None:
        images[0], masks[0] = _extended(images[0], turn.extend)
    return Pair(
        target=read_pixels(folder, turn.answer.file),
        source=images[0] if images else None,
        references=images[1:],
        masks=masks,
        instruction=turn.instruction,
        history=history,
        seed=turn.seed,
        tags=(_TAG,),
        workflow=save_graph(dataset.folder, turn_graph(chat, turn).prompt()).hash,
        teacher_seconds=turn.answer.seconds,
        name=chat.title,
    )


def _extended(pixels: np.ndarray, by: Extension) -> tuple[np.ndarray, np.ndarray]:
    """The picture on its larger canvas (H, W, 3), and what is new there (H, W), both uint8."""
    image = torch.from_numpy(pixels.astype(np.float32) / 255.0)[None]
    placement = place_by_pixels(*pixels.shape[:2], **by.model_dump())
    made = outpaint(image, placement)
    canvas = (made.canvas[0] * 255.0).round().to(torch.uint8).numpy()
    return canvas, (made.mask[0] * 255.0).round().to(torch.uint8).numpy()
