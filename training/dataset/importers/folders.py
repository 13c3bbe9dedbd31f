"""Folders of pictures: before/after, ai-toolkit's and musubi's, by file stem; and pairs in one folder by suffix."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ...errors import DatasetError
from ...listing import listed
from ..intake.prepare import Pair
from .base import ImportOptions, Item, Note, PictureFolder, Problem, read_caption

SOURCE_FOLDERS = ("before", "source", "sources", "control", "control_1", "control1", "input", "inputs", "original")
TARGET_FOLDERS = ("after", "target", "targets", "result", "results", "output", "outputs", "edited", "image", "images")
MASK_FOLDERS = ("mask", "masks")
_NAMED = 10  # pairs in a note, before "and N more"
REFERENCE_FOLDERS = ("reference", "references", "reference_1", "control_2", "control2")
# (source suffix, target suffix) of tools that keep pairs in one folder.
SUFFIXES = (
    ("_before", "_after"),
    ("_start", "_end"),
    ("_input", "_target"),
    ("_source", "_target"),
    ("_R", "_T"),
)


def read_folders(base: Path, options: ImportOptions) -> Iterator[Item | Problem | Note]:
    """Pairs from subfolders with the same stems, or from one folder with suffixes such as ``_before`` and ``_after``.

    Raises:
        DatasetError: the folder has neither.
    """
    if not base.is_dir():
        raise DatasetError(f"{base} is not a folder.")
    target = _subfolder(base, options.target, TARGET_FOLDERS)
    source = _subfolder(base, options.source, SOURCE_FOLDERS)
    if target is None or source is None:
        if options.target or options.source:
            raise DatasetError(f"{base} needs both a folder of sources and one of results; see --source and --target.")
        yield from _by_suffix(base, options)
        return
    references = [_named(base, name) for name in options.references] or _reference_folders(base)
    mask = _subfolder(base, options.mask, MASK_FOLDERS)
    yield from pair_folders(target, [source, *references], mask, options)


def pair_folders(
    target: Path, controls: list[Path], mask: Path | None, options: ImportOptions, extension: str = ".txt"
) -> Iterator[Item | Problem | Note]:
    """Pairs by stem: a target, its first control, those further controls that there are, a mask of the source.

    What lies in any of the folders and belongs to no pair is a problem, since it was meant for one.

    Args:
        target: folder of the results.
        controls: folders of the condition images, the source's first.
        mask: folder of the source's masks.
        extension: of the captions beside the pictures.
    """
    folders = [PictureFolder(folder, options, extension) for folder in (target, *controls)]
    targets, *pictures = [folder.pictures for folder in folders]
    masks: dict[str, Path] = {}
    if mask is not None:
        folders.append(PictureFolder(mask, options, extension))
        masks = folders[-1].pictures
    for folder in folders:
        yield from folder.notes
    bare: list[str] = []
    for stem, path in targets.items():
        present = [found.get(stem) for found in pictures]
        gap = next((number for number, found in enumerate(present) if found is None and any(present[number:])), None)
        if present[0] is None:
            yield Problem(path.name, f"no picture named {stem!r} in {controls[0]}")
        elif gap is not None:
            yield Problem(path.name, f"no picture named {stem!r} in {controls[gap]}, but in a folder after it")
        else:
            if mask is not None and stem not in masks:
                bare.append(path.name)
            yield _item(path, [found for found in present if found], masks.get(stem), options, extension)
    for folder, found in [*zip(controls, pictures, strict=True), *([(mask, masks)] if mask is not None else [])]:
        for stem in sorted(found.keys() - targets.keys()):
            yield Problem(found[stem].name, f"in {folder}, but no picture named {stem!r} in {target}")
    if bare:
        yield Note(f"{len(bare)} pair(s) have no mask in {mask} and come without one: {listed(bare, _NAMED)}")


def build_pair(
    target: Path, sources: list[Path], mask: Path | None, instruction: str, name: str, options: ImportOptions
) -> Pair:
    """Decodes the files of one pair.

    Args:
        sources: the condition images, the source first.
        instruction: of the pair.
        name: a hint from which the id is made.

    Raises:
        ImageError: a picture cannot be read.
    """
    images = [options.picture(path) for path in sources]
    return Pair(
        target=options.picture(target),
        source=images[0] if images else None,
        references=tuple(images[1:]),
        masks=() if mask is None else (options.mask_picture(mask),),
        instruction=instruction,
        name=name,
    )


def _item(target: Path, sources: list[Path], mask: Path | None, options: ImportOptions, extension: str) -> Item:
    def build() -> Pair:
        instruction = read_caption(options, target, *sources, extension=extension) or options.instruction
        return build_pair(target, sources, mask, instruction, target.stem, options)

    return Item(target.name, build)


def _by_suffix(base: Path, options: ImportOptions) -> Iterator[Item | Problem | Note]:
    folder = PictureFolder(base, options)
    pictures = folder.pictures
    for before, after in SUFFIXES:
        stems = [stem.removesuffix(after) for stem in pictures if stem.endswith(after)]
        if any(stem + before in pictures for stem in stems):
            break
    else:
        raise DatasetError(
            f"{base} has neither a folder of sources ({', '.join(SOURCE_FOLDERS[:4])} …) and one of results "
            f"({', '.join(TARGET_FOLDERS[:4])} …), nor pictures in pairs such as x_before.png and x_after.png. "
            f"Name the folders with --source and --target. {folder.inventory}"
        )
    yield from folder.notes
    for stem, path in pictures.items():
        name = stem.removesuffix(before).removesuffix(after)
        if stem.endswith(after) and name + before in pictures:
            source, mask = pictures[name + before], pictures.get(f"{name}_mask")
            plain = path.with_name(f"{path.stem.removesuffix(after)}.txt")
            instruction = read_caption(options, path, source, plain) or options.instruction
            files = (path, [source], mask, instruction, name, options)
            yield Item(path.name, lambda files=files: build_pair(*files))
        elif stem.endswith("_mask"):
            if not {stem.removesuffix("_mask") + part for part in (before, after)} <= pictures.keys():
                yield Problem(path.name, "is a mask, but belongs to no pair")
        elif not (stem.endswith(before) and name + after in pictures):
            yield Problem(path.name, "has no partner")


def _subfolder(base: Path, name: str | None, usual: tuple[str, ...]) -> Path | None:
    if name is not None:
        return _named(base, name)
    by_name = {path.name.lower(): path for path in base.iterdir() if path.is_dir()}
    return next((by_name[candidate] for candidate in usual if candidate in by_name), None)


def _named(base: Path, name: str) -> Path:
    folder = base / name
    if not folder.is_dir():
        raise DatasetError(f"{base} has no folder {name!r}.")
    return folder


def _reference_folders(base: Path) -> list[Path]:
    """``control_2``, ``control_3`` … or ``reference``, ``reference_2`` …, in the order of their numbers."""
    found = []
    for path in base.iterdir():
        match = re.fullmatch(r"(?:control|references?)_?(\d*)", path.name.lower())
        if path.is_dir() and match and path.name.lower() not in SOURCE_FOLDERS:
            found.append((int(match.group(1) or 1), path))
    return [path for _, path in sorted(found)]
