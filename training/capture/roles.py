"""What roles there are in a capture: what loads the pictures, where the result is seen, what the seed is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .errors import AmbiguousRoleError
from .workflow.graph import Link, Prompt
from .workflow.markers import MarkerSettings

Ask = Callable[[AmbiguousRoleError], int]


@dataclass(frozen=True)
class RoleChoices:
    """What the caller names. Nodes are given by number, title or type.

    Attributes:
        sources: loaders of the pictures, in indicator order. Where a picture is marked, this says only which loader gets
            the input files; the pair has what the marker sees.
        masks: loaders of the masks, in the order of ``mask_folders``.
        result: the node that shows, makes or marks the result.
        seeds: "NODE.INPUT" each.
        folders: number of input folders.
        mask_folders: indices of the input folders that have a folder of masks.
    """

    sources: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    result: str | None = None
    seeds: tuple[str, ...] = ()
    folders: int = 1
    mask_folders: tuple[int, ...] = ()


@dataclass(frozen=True)
class PictureRole:
    """One condition image.

    Attributes:
        link: where it is seen.
        loader: the node that loads the input files; None for a picture that is the same for all.
        mask_link: where its mask is seen; None where it has none.
        mask_loader: the node that loads its masks; the picture's own loader where they lie in the picture's file.
    """

    link: Link
    loader: str | None = None
    mask_link: Link | None = None
    mask_loader: str | None = None


@dataclass(frozen=True)
class Roles:
    """Which node has which role in a capture.

    Attributes:
        prompt: the workflow without markers.
        pictures: the condition images, in indicator order.
        result: where the result is seen.
        seeds: (node, input) of those that vary.
        marker_settings: what the result's marker says of the pairs.
        seed_limit: seeds are below it.
        notes: what was decided when the file was read.
    """

    prompt: Prompt
    pictures: tuple[PictureRole, ...]
    result: Link
    seeds: tuple[tuple[str, str], ...]
    marker_settings: MarkerSettings = field(default_factory=MarkerSettings)
    seed_limit: int = 2**48
    notes: tuple[str, ...] = field(default_factory=tuple)


def never_ask(question: AmbiguousRoleError) -> int:
    """For callers who cannot ask anybody: raises the question."""
    raise question
