"""Folders of pictures: before/after, ai-toolkit's and musubi's, by file stem; and pairs in one folder by suffix."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import DatasetError
from ..images import read_image, read_mask
from ..prepare import Pair
from .base import ImportOptions, Item, Problem, caption_beside, pictures_in

SOURCE_FOLDERS = ("before", "source", "sources", "control", "control_1", "control1", "input", "inputs", "original")
TARGET_FOLDERS = ("after", "target", "targets", "result", "results", "output", "outputs", "edited", "image", "images")
MASK_FOLDERS = ("mask", "masks")
REFERENCE_FOLDERS = ("reference", "references", "reference_1", "control_2", "control2")
# (source suffix, target suffix) of tools that keep pairs in one folder.
SUFFIXES = (
    ("_before", "_after"),
    ("_start", "_end"),
    ("_input", "_target"),
    ("_source", "_target"),
    ("_R", "_T"),
)


def read_folders(base: Path, options: ImportOptions) -> Iterator[Item | Problem]:
    """Pairs from subfolders with the same stems, or from one folder with suffixes such as `_before` and `_after`."""
    if not base.is_dir():
        raise DatasetError(f"{base} is no folder.")
    target = _subfolder(base, options.target, TARGET_FOLDERS)
    source = _subfolder(base, options.source, SOURCE_FOLDERS)
    if target is None or source is None:
        if options.target or options.source:
            raise DatasetError(f"{base} needs both a folder of sources and one of results; see --source and --target.")
        yield from _by_suffix(base, options)
        return
    references = [_named(base, name) for name in options.references] or _reference_folders(base)
    mask = _subfolder(base, options.mask, MASK_FOLDERS)
    yield from from_folders(target, [source, *references], mask, options.instruction)


def from_folders(
    target: Path, controls: list[Path], mask: Path | None, instruction: str, extension: str = ".txt"
) -> Iterator[Item | Problem]:
    """Pairs by stem: a target, its first control, those further controls that there are, a mask of the source."""
    targets, pictures = pictures_in(target), [pictures_in(folder) for folder in controls]
    masks = pictures_in(mask) if mask is not None else {}
    for stem, path in targets.items():
        present = [found.get(stem) for found in pictures]
        gap = next((number for number, found in enumerate(present) if found is None and any(present[number:])), None)
        if present[0] is None:
            yield Problem(path.name, f"no picture named {stem!r} in {controls[0]}")
        elif gap is not None:
            yield Problem(path.name, f"no picture named {stem!r} in {controls[gap]}, but in a folder after it")
        else:
            yield _item(path, [found for found in present if found], masks.get(stem), instruction, extension)
    for number, found in enumerate(pictures):
        for stem in found.keys() - targets.keys():
            yield Problem(found[stem].name, f"in {controls[number]}, but no picture named {stem!r} in {target}")


def build_pair(target: Path, sources: list[Path], mask: Path | None, words: str, name: str) -> Pair:
    """Decode the files of one pair."""
    images = [read_image(path).pixels for path in sources]
    return Pair(
        target=read_image(target).pixels,
        source=images[0] if images else None,
        references=tuple(images[1:]),
        masks=() if mask is None else (read_mask(mask).pixels,),
        instruction=words,
        name=name,
    )


def _item(target: Path, sources: list[Path], mask: Path | None, instruction: str, extension: str) -> Item:
    def build() -> Pair:
        words = caption_beside(target, *sources, extension=extension) or instruction
        return build_pair(target, sources, mask, words, target.stem)

    return Item(target.name, build)


def _by_suffix(base: Path, options: ImportOptions) -> Iterator[Item | Problem]:
    pictures = pictures_in(base)
    for before, after in SUFFIXES:
        stems = [stem.removesuffix(after) for stem in pictures if stem.endswith(after)]
        if any(stem + before in pictures for stem in stems):
            break
    else:
        raise DatasetError(
            f"{base} has neither a folder of sources ({', '.join(SOURCE_FOLDERS[:4])} …) and one of results "
            f"({', '.join(TARGET_FOLDERS[:4])} …), nor pictures in pairs such as x_before.png and x_after.png. "
            "Name the folders with --source and --target."
        )
    for stem, path in pictures.items():
        name = stem.removesuffix(before).removesuffix(after)
        if stem.endswith(after) and name + before in pictures:
            source, mask = pictures[name + before], pictures.get(f"{name}_mask")
            words = caption_beside(path, source, path.with_name(f"{name}.txt")) or options.instruction
            yield Item(path.name, lambda p=path, s=source, m=mask, w=words, n=name: build_pair(p, [s], m, w, n))
        elif not (stem.endswith(before) and name + after in pictures) and not stem.endswith("_mask"):
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
    """`control_2`, `control_3` … or `reference`, `reference_2` …, in the order of their numbers."""
    found = []
    for path in base.iterdir():
        match = re.fullmatch(r"(?:control|references?)_?(\d*)", path.name.lower())
        if path.is_dir() and match and path.name.lower() not in SOURCE_FOLDERS:
            found.append((int(match.group(1) or 1), path))
    return [path for _, path in sorted(found)]
