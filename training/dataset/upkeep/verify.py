"""``dataset check``: every file, every row, every pairing, and a list of what is wrong.

A fault has a kind, so that ``repair`` knows what to do about it, and a message for people.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from ....ace.pictures.files.picture_folders import PICTURE_SUFFIXES
from ....ace.text_files import LOST_LETTER
from ...errors import DatasetError, ImageError, RowError
from ..disk.files import DROPPED_ROWS, ORPHANS, PART, TORN_LINES
from ..disk.images import (
    image_format,
    pixel_hash,
    read_image,
    read_mask,
)
from ..disk.rows import PairRow, caption_file
from ..disk.storage import METADATA, locked, pending_files, safe_file
from ..intake.checks import CheckSettings, run_checks
from ..intake.prepare import Pair, content_hash, prepare
from ..intake.wording import LOST_LETTERS, indicators
from ..provenance.provenance import WORKFLOWS, load_graph
from ..settings import DatasetSettings
from ..splits import split_groups

PAIR_FOLDER = re.compile(r"(target|(control|mask)(_([2-9]|10))?)\Z")
_CHUNK = 256
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with a dataset.

    Attributes:
        kind: a short code.
        place: line, file or pair.
        message: what is wrong and, where it is not plain, what to do.
    """

    kind: str
    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


@dataclass
class Verification:
    """What a check of a dataset has found.

    Attributes:
        pairs: number of rows that could be read.
        faults: what is wrong.
        notes: what is worth knowing, but nothing wrong.
    """

    pairs: int = 0
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


@dataclass
class Snapshot:
    """A dataset's rows and files at one moment.

    Attributes:
        rows: those that could be read.
        bad_lines: (number, line, reason) of each other line.
        files: relative names in the folders of pairs, without temporary files.
        parts: relative names of temporary files.
        pending: final names that an unfinished commit is about to fill.
        notes: what is worth knowing, but nothing wrong.
        link_faults: symbolic links among the files that the dataset itself writes to.
    """

    rows: list[PairRow]
    bad_lines: list[tuple[int, bytes, str]]
    files: set[str]
    parts: list[str]
    pending: set[str]
    notes: list[str]
    link_faults: list[Fault]


def verify(
    folder: str | os.PathLike,
    *,
    strict: CheckSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Checks a dataset. Nothing is changed, except that a commit interrupted by a crash is completed first.

    Args:
        folder: of the dataset.
        strict: quality checks to run on every stored pair, too.
        progress: called with (pairs done, pairs in all).

    Raises:
        DatasetError: there is no dataset.
    """
    base = Path(folder)
    result = Verification()
    result.faults += check_settings(base)
    snapshot = take_snapshot(base)
    result.pairs = len(snapshot.rows)
    result.notes += snapshot.notes
    result.faults += [
        Fault("row", f"{METADATA} line {number}", f"{reason}. `repair` moves it to {ORPHANS}/.")
        for number, _, reason in snapshot.bad_lines
    ]
    result.faults += snapshot.link_faults
    result.faults += check_rows(snapshot.rows)
    if bare := sum(not row.labelled for row in snapshot.rows):
        result.notes.append(f"{bare} pair(s) have no instruction yet; until they have one they are not trained on")
    result.faults += check_workflows(base, snapshot.rows)
    for done, faults in enumerate(parallel_map(lambda row: check_pair(base, row, strict), snapshot.rows), 1):
        result.faults += faults
        if progress is not None:
            progress(done, len(snapshot.rows))
    result.faults += check_orphans(snapshot)
    return result


def take_snapshot(folder: Path) -> Snapshot:
    """Rows and files while no writer is between two of its steps; without the lock where the folder is read-only.

    Raises:
        DatasetError: there is no dataset.
    """
    if not (folder / METADATA).is_file():
        raise DatasetError(f"{folder} is not a dataset: it has no {METADATA}.")
    try:
        with locked(folder):
            return read_snapshot(folder)
    except DatasetError as error:
        snapshot = read_snapshot(folder)
        snapshot.notes.append(f"read without the writers' lock ({error})")
        return snapshot


def read_snapshot(folder: Path) -> Snapshot:
    """``take_snapshot`` for callers that hold the lock."""
    notes: list[str] = []
    pending = pending_files(folder)
    files, parts = _list_files(folder)
    rows, bad = _parse_lines((folder / METADATA).read_bytes())
    if parts:
        notes.append(f"{len(parts)} unfinished file(s) of interrupted or running writers; `repair` moves old ones away")
    if pending:
        notes.append("one commit is unfinished; the next writer or `repair` completes it")
    return Snapshot(rows, bad, files, parts, pending, notes, _find_links(folder))


def _find_links(folder: Path) -> list[Fault]:
    """Symbolic links among what the dataset itself writes to: they lead the writing to another place."""
    names = [entry.name for entry in os.scandir(folder) if entry.is_symlink()]
    names += [f"{ORPHANS}/{name}" for name in (TORN_LINES, DROPPED_ROWS) if (folder / ORPHANS / name).is_symlink()]
    message = "is a symbolic link. Datasets keep real files: copy what it points to, or remove it"
    return [Fault("link", name, message) for name in sorted(names)]


def _parse_lines(data: bytes) -> tuple[list[PairRow], list[tuple[int, bytes, str]]]:
    """Rows, and lines that are none with number and reason."""
    rows: list[PairRow] = []
    bad: list[tuple[int, bytes, str]] = []
    for number, line in enumerate(data.splitlines(keepends=True), 1):
        if not line.strip():
            continue
        try:
            rows.append(PairRow.from_json(line))
        except RowError as error:
            torn = "" if line.endswith(b"\n") else "torn (the file ends in the middle of it); "
            bad.append((number, line, f"{torn}{error}"))
    return rows, bad


def _list_files(folder: Path) -> tuple[set[str], list[str]]:
    files: set[str] = set()
    parts: list[str] = []
    for entry in os.scandir(folder):
        if entry.name.endswith(PART):
            parts.append(entry.name)
        elif entry.is_dir(follow_symlinks=False) and (PAIR_FOLDER.match(entry.name) or entry.name == WORKFLOWS):
            for inner in os.scandir(entry.path):
                name = f"{entry.name}/{inner.name}"
                (parts.append if inner.name.endswith(PART) else files.add)(name)
    return files, sorted(parts)


def check_settings(folder: Path) -> list[Fault]:
    """Whether ``dataset.json`` can be read."""
    try:
        DatasetSettings.read(folder)
    except DatasetError as error:
        return [Fault("settings", "dataset.json", str(error))]
    return []


def check_rows(rows: list[PairRow]) -> list[Fault]:
    """Faults that no row shows alone: ids and contents twice, broken histories, sources and groups in both splits."""
    faults = []
    by_id: dict[str, PairRow] = {}
    by_content: dict[str, str] = {}
    first_of_group: dict[str, PairRow] = {}
    groups = split_groups(rows)
    for row in rows:
        if row.id in by_id:
            faults.append(Fault("duplicate_id", row.id, "this id has more than one row"))
            continue
        first = by_content.setdefault(row.content_hash, row.id) if row.content_hash else row.id
        if first != row.id:
            faults.append(Fault("duplicate_content", row.id, f"the same pair as {first}"))
        missing = [earlier for earlier in row.history if earlier not in by_id]
        if missing:
            faults.append(Fault("history", row.id, f"earlier rounds {', '.join(missing)} have no row before this one"))
        by_id[row.id] = row
        first_row = first_of_group.setdefault(groups[row.id], row)
        if first_row.split != row.split:
            message = f"in {row.split}, but {first_row.id} with the same source or group is in {first_row.split}"
            faults.append(Fault("split", row.id, message))
    return faults


def check_workflows(folder: Path, rows: list[PairRow]) -> list[Fault]:
    """Whether every graph that a row names is there and unchanged."""
    faults = []
    for digest in sorted({row.workflow for row in rows if row.workflow}):
        try:
            load_graph(folder, digest)
        except (DatasetError, ValueError) as error:
            faults.append(Fault("workflow", f"{WORKFLOWS}/{digest}.json", str(error)))
    return faults


def check_orphans(snapshot: Snapshot) -> list[Fault]:
    """Pictures and captions in the pairs' folders that belong to no row: trainers would read them all the same."""
    owned = {name for row in snapshot.rows for name in row.all_files} | snapshot.pending
    faults = []
    for name in sorted(snapshot.files - owned):
        folder, _, file = name.partition("/")
        if folder != WORKFLOWS and file.lower().endswith((*PICTURE_SUFFIXES, ".txt")):
            faults.append(Fault("orphan", name, f"belongs to no row. `repair` moves it to {ORPHANS}/."))
    return faults


def check_pair(folder: Path, row: PairRow, strict: CheckSettings | None = None) -> list[Fault]:
    """Everything about one pair: its files, their format and size, and that they are those the row was written for.

    Args:
        folder: of the dataset.
        strict: quality checks to run, too, if nothing else is wrong.
    """
    faults: list[Fault] = []
    images = [_picture(folder, name, "RGB", faults) for name in row.image_files]
    masks = {index: _picture(folder, name, "L", faults) for index, name in row.masks_by_index.items()}
    target = _picture(folder, row.target_file_name, "RGB", faults)
    faults += _caption(folder, row)
    faults += _indicators(row)
    faults += _letters(row)
    if any(pixels is None for pixels in (target, *images, *masks.values())):
        return faults
    for index, mask in masks.items():
        if mask.shape != images[index].shape[:2]:
            size, wanted = f"{mask.shape[1]}x{mask.shape[0]}", f"{images[index].shape[1]}x{images[index].shape[0]}"
            faults.append(Fault("mask_size", row.masks_by_index[index], f"is {size}, its picture is {wanted}"))
    faults += _content(row, images, masks, target)
    if strict is not None and not faults:
        faults += _check_quality(row, images, masks, target, strict)
    return faults


def _picture(folder: Path, name: str, mode: str, faults: list[Fault]) -> np.ndarray | None:
    try:
        path = safe_file(folder, name)
        if not path.exists():
            faults.append(Fault("missing", name, "the file is missing"))
            return None
        kind = image_format(path)
        loaded = read_image(path) if mode == "RGB" else read_mask(path)
    except (ImageError, OSError) as error:
        faults.append(Fault("damaged", name, str(error)))
        return None
    except DatasetError as error:
        faults.append(Fault("link", name, str(error)))
        return None
    if kind != f"PNG {mode}" or loaded.notes:
        faults.append(Fault("format", name, f"is {kind}{''.join(f', {n}' for n in loaded.notes)}; expected PNG {mode}"))
        return None
    return loaded.pixels


def _caption(folder: Path, row: PairRow) -> list[Fault]:
    name = caption_file(row.id)
    try:
        text = safe_file(folder, name).read_bytes().decode()
    except FileNotFoundError:
        return [Fault("caption", name, "the caption is missing")]
    except UnicodeDecodeError:
        return [Fault("caption", name, "the caption is not UTF-8 text")]
    except OSError as error:
        return [Fault("caption", name, f"the caption cannot be read: {error.strerror or error}")]
    except DatasetError as error:
        return [Fault("link", name, str(error))]
    if text != row.prompt:
        return [Fault("caption", name, f"says {text!r:.60}, the row's prompt is {row.prompt!r:.60}")]
    return []


def _indicators(row: PairRow) -> list[Fault]:
    missing = sorted(index for index in indicators(row.instruction) if index >= max(len(row.image_files), 1))
    if not missing or row.history:
        return []
    count = len(row.image_files)
    return [Fault("instruction", row.id, f"names image {missing[0] + 1}, the pair has {count} condition image(s)")]


def _letters(row: PairRow) -> list[Fault]:
    words = {
        "instruction": row.instruction,
        "prompt": row.prompt,
        **{f"phrasing {number}": words for number, words in enumerate(row.phrasings, 1)},
        "source's caption": row.source_caption,
        "result's caption": row.target_caption,
        **{f"tag {number}": tag for number, tag in enumerate(row.tags, 1)},
    }
    lost = [name for name, text in words.items() if LOST_LETTER in text]
    if not lost:
        return []
    if LOST_LETTER in row.instruction + row.prompt:
        advice = f"Correct {caption_file(row.id)} and run `repair --accept-changes`; else `repair` sets the pair aside."
    else:
        advice = "Correct it on the dataset page; else `repair` leaves it out."
    return [Fault("letters", row.id, f"its {' and '.join(lost)} {LOST_LETTERS} {advice}")]


def _content(row: PairRow, images: list[np.ndarray], masks: dict[int, np.ndarray], target: np.ndarray) -> list[Fault]:
    """The pictures are those that the row was written for: no file was swapped, edited or re-encoded with loss."""
    if not row.content_hash:
        return []
    hashes = [pixel_hash(image) for image in images]
    mask_hashes = [pixel_hash(masks[index]) if index in masks else "" for index in range(len(images))]
    found = content_hash(hashes, mask_hashes, pixel_hash(target), row.instruction, row.history)
    if found == row.content_hash:
        return []
    what = row.source_file_name if hashes and row.source_hash not in ("", hashes[0]) else "a file"
    message = f"the pictures or the instruction are not those that were stored together ({what} was changed)"
    return [Fault("changed", row.id, message)]


def _check_quality(row: PairRow, images: list, masks: dict, target: np.ndarray, settings: CheckSettings) -> list[Fault]:
    pair = Pair(
        target=target,
        source=images[0] if images else None,
        references=images[1:],
        masks=[masks.get(index) for index in range(len(images))],
        instruction=row.instruction,
        prompt=row.prompt,
        history=row.history,
        unlabelled=not row.labelled,
    )
    return [Fault(f"check_{f.check}", row.id, f.message) for f in run_checks(prepare(pair), settings)]


def parallel_map(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """``map`` on threads (decoding releases the interpreter's lock), in order, with a bounded number under way."""
    source = iter(items)
    with ThreadPoolExecutor(max_workers=min(8, (os.cpu_count() or 1) + 1)) as pool:
        while chunk := list(islice(source, _CHUNK)):
            yield from pool.map(work, chunk)
