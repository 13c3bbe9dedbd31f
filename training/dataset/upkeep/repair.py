"""``dataset repair``: makes a dataset consistent again without deleting anything.

What cannot stay goes to the folder ``orphans/``: lines that are no rows, rows whose pictures are gone or damaged,
files without a row, old temporary files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from ....ace.lcu.indicators import indicator
from ....ace.text_files import LOST_LETTER, TextEncodingError, read_text
from ...errors import DatasetError, PairError
from ..disk.files import DROPPED_ROWS, ORPHANS, TORN_LINES, append_lines, make_folder, write_atomic
from ..disk.rows import MAX_IMAGES, PairRow, caption_file
from ..disk.storage import METADATA, as_write_error, locked, move_to_orphans
from ..intake.wording import check_instruction, indicators, instruction_of_caption, one_line, plain_prompt
from ..rehash import rehashed
from ..settings import SETTINGS, DatasetSettings
from ..splits import split_groups
from .verify import (
    Fault,
    Snapshot,
    check_orphans,
    check_pair,
    check_rows,
    check_settings,
    check_workflows,
    parallel_map,
    read_snapshot,
)

STALE_SECONDS = 3600.0
_UNUSABLE = {"missing", "damaged", "format", "link", "mask_size", "instruction"}


@dataclass
class RepairResult:
    """What was done, or would be in a dry run.

    Attributes:
        actions: each in words.
        kept: number of rows that stay.
        set_aside: number of rows that went to ``orphans/``.
    """

    actions: list[str] = field(default_factory=list)
    kept: int = 0
    set_aside: int = 0


def repair(
    folder: str | os.PathLike,
    *,
    accept_changes: bool = False,
    dry_run: bool = False,
    stale_seconds: float = STALE_SECONDS,
    progress: Callable[[int, int], None] | None = None,
) -> RepairResult:
    """Repairs a dataset; afterwards ``verify`` finds no fault.

    Args:
        folder: of the dataset.
        accept_changes: pictures and captions that somebody edited on purpose stay, and the rows follow them, their
            instructions too; otherwise changed pairs are set aside and captions are written anew.
        dry_run: only say what would be done.
        stale_seconds: temporary files younger than this may belong to a running writer and are left alone.
        progress: called with (pairs done, pairs in all).

    Raises:
        DatasetError: there is no dataset, or the disk refuses.
    """
    base = Path(folder)
    if not (base / METADATA).is_file():
        raise DatasetError(f"{base} is not a dataset: it has no {METADATA}.")
    with locked(base):  # all the time: a repair against a moving dataset would undo what others do
        snapshot = read_snapshot(base)
        work = _Repairer(base, snapshot, accept_changes, dry_run)
        examined = parallel_map(lambda row: check_pair(base, row), snapshot.rows)
        for done, (row, faults) in enumerate(zip(snapshot.rows, examined, strict=True), 1):
            work.decide(row, faults)
            if progress is not None:
                progress(done, len(snapshot.rows))
        try:
            work.finish(stale_seconds)
        except OSError as error:
            raise as_write_error(error, base) from error
    return work.result


class _Repairer:
    """Collects a decision for each row, then carries all of them out. The lock is held throughout."""

    def __init__(self, folder: Path, snapshot: Snapshot, accept_changes: bool, dry_run: bool):
        self.folder, self.snapshot = folder, snapshot
        self.accept_changes, self.dry_run = accept_changes, dry_run
        self.result = RepairResult()
        self._kept: list[PairRow] = []
        self._dropped: list[PairRow] = []
        self._captions: list[PairRow] = []

    def decide(self, row: PairRow, faults: list[Fault]) -> None:
        """Decides on one row by the faults of its files."""
        kinds = {fault.kind for fault in faults}
        changed = "changed" in kinds
        if kinds & _UNUSABLE or (changed and not self.accept_changes):
            reasons = "; ".join(str(fault) for fault in faults if fault.kind != "caption")
            self._drop(row, reasons)
            return
        given = row
        if self.accept_changes and changed and self._is_of_old_words(row):
            row = self._follow_instruction(row, keep_prompt="caption" in kinds)
        elif "caption" in kinds and self.accept_changes:
            row = self._accept_caption(row)
        row = self._without_lost_letters(row)
        if LOST_LETTER in row.prompt and LOST_LETTER not in row.instruction:
            row = replace(row, prompt=plain_prompt(row.instruction, len(row.image_files)))
            self._say(f"{row.id}: the row's prompt is made of its instruction anew")
        if LOST_LETTER in row.instruction:
            self._drop(row, next(fault.message for fault in faults if fault.kind == "letters"))
            return
        if changed:
            self._say(f"{row.id}: changed pictures or instruction accepted")
            if row.prompt != plain_prompt(row.instruction, len(row.image_files)):
                self._say(f"{row.id}: its prompt has words of its own; see whether they still are right")
        if changed or row.instruction != given.instruction:
            row = rehashed(self.folder, row)
        if "caption" in kinds or row.prompt != given.prompt:
            self._captions.append(row)
        self._kept.append(row)

    def finish(self, stale_seconds: float) -> None:
        """Carries out what was decided, and repairs everything that is not about a single row."""
        self._replace_links()
        self._repair_across_rows()
        self._workflows()
        self._settings()
        self._write_rows()
        for row in self._captions:
            self._write_caption(row)
        self._orphans()
        self._parts(stale_seconds)
        self.result.kept = len(self._kept)
        self.result.set_aside = len(self._dropped)

    def _say(self, action: str) -> None:
        self.result.actions.append(action)

    def _drop(self, row: PairRow, reason: str) -> None:
        self._dropped.append(row)
        self._say(f"{row.id}: row and files to {ORPHANS}/ ({reason})")

    def _accept_caption(self, row: PairRow) -> PairRow:
        """The row with the words of its caption, if that can be one; else the row as it is."""
        name = caption_file(row.id)
        path = self.folder / name
        if not path.is_file():
            return row
        images = len(row.image_files)
        try:
            caption = one_line(read_text(path))
            instruction = instruction_of_caption(caption, row.instruction, images)
            check_instruction(instruction, MAX_IMAGES if row.history else images)
        except (TextEncodingError, PairError) as error:
            self._say(f"{name}: not accepted, the row's words stay ({error})")
            return row
        self._say(f"{row.id}: the row's instruction and prompt now say what the caption says")
        prompt = plain_prompt(caption, images) if indicators(caption) else caption
        return replace(row, instruction=instruction, prompt=prompt)

    def _is_of_old_words(self, row: PairRow) -> bool:
        """Whether the caption still says what the instruction said when the pair was stored.

        With that instruction the hash of the row's content is right: then the pictures are the same and it is the
        instruction in the row that somebody has corrected.
        """
        try:
            caption = one_line(read_text(self.folder / caption_file(row.id)))
            images = len(row.image_files)
            opened = [f"{indicator(0)} {caption}", f"{indicator(0)}, {caption}"] if images else []
            olds = {caption, instruction_of_caption(caption, row.instruction, images), *opened} - {row.instruction}
            return any(
                rehashed(self.folder, replace(row, instruction=old)).content_hash == row.content_hash for old in olds
            )
        except (OSError, TextEncodingError, PairError):
            return False

    def _follow_instruction(self, row: PairRow, keep_prompt: bool) -> PairRow:
        """The row with a prompt of its corrected instruction, if that can be one; its caption follows.

        Args:
            keep_prompt: it was corrected, too.
        """
        images = len(row.image_files)
        try:
            check_instruction(row.instruction, MAX_IMAGES if row.history else images)
        except PairError as error:
            self._say(f"{row.id}: the row's instruction cannot be one ({error})")
            return row
        if keep_prompt:
            self._say(f"{row.id}: the caption now says what the row's prompt says")
            return row
        self._say(f"{row.id}: the row's prompt and caption now say what its instruction says")
        return replace(row, prompt=plain_prompt(row.instruction, images))

    def _without_lost_letters(self, row: PairRow) -> PairRow:
        """The row without the further words that have lost letters; it is as good without them."""
        kept = replace(
            row,
            phrasings=tuple(words for words in row.phrasings if LOST_LETTER not in words),
            tags=tuple(tag for tag in row.tags if LOST_LETTER not in tag),
            source_caption="" if LOST_LETTER in row.source_caption else row.source_caption,
            target_caption="" if LOST_LETTER in row.target_caption else row.target_caption,
        )
        if kept != row:
            self._say(f"{row.id}: captions, phrasings or tags with lost letters are left out")
        return kept

    def _replace_links(self) -> None:
        """Replaces symbolic links among the dataset's own files; first of all, because what follows writes to them."""
        for fault in self.snapshot.link_faults:
            if fault.place in (METADATA, SETTINGS) and (self.folder / fault.place).is_file():
                self._say(f"{fault.place}: what the symbolic link leads to is copied into its place")
                if not self.dry_run:
                    write_atomic(self.folder / fault.place, (self.folder / fault.place).read_bytes())
            else:
                self._move_to_orphans(fault.place, fault.message)

    def _repair_across_rows(self) -> None:
        """Sets aside second copies and rounds without their history, then lets variants of a source follow the first."""
        kept: dict[str, PairRow] = {}
        for row in self._kept:
            if row.id in kept:
                self._drop(row, "this id has more than one row; the first keeps the files")
            else:
                kept[row.id] = row
        while faults := [f for f in check_rows(list(kept.values())) if f.kind in ("duplicate_content", "history")]:
            for fault in faults:
                if fault.place in kept:  # one row can have two faults
                    self._drop(kept.pop(fault.place), fault.message)
        self._kept = list(kept.values())
        groups = split_groups(self._kept)
        splits: dict[str, str] = {}
        for number, row in enumerate(self._kept):
            split = splits.setdefault(groups[row.id], row.split)
            if split != row.split:
                self._kept[number] = replace(row, split=split)
                self._say(f"{row.id}: moved to {split}, where its source already is")

    def _workflows(self) -> None:
        faults = check_workflows(self.folder, self._kept)
        lost = {Path(fault.place).stem for fault in faults}
        for number, row in enumerate(self._kept):
            if row.workflow in lost:
                self._kept[number] = replace(row, workflow=None)
                self._say(f"{row.id}: its graph {row.workflow[:12]}… is lost; the row no longer names it")
        for fault in faults:
            if (self.folder / fault.place).exists():
                self._move_to_orphans(fault.place, "the graph's file was changed")

    def _settings(self) -> None:
        if check_settings(self.folder):
            self._move_to_orphans(SETTINGS, "it cannot be read")
            if not self.dry_run:
                write_atomic(self.folder / SETTINGS, DatasetSettings().to_json())

    def _write_rows(self) -> None:
        for number, _, reason in self.snapshot.bad_lines:
            self._say(f"{METADATA} line {number}: to {ORPHANS}/{TORN_LINES} ({reason})")
        if self.dry_run:
            return
        if not self.snapshot.bad_lines and self.snapshot.rows == self._kept:
            return
        side = make_folder(self.folder, ORPHANS)
        append_lines(side / TORN_LINES, [line.rstrip(b"\r\n") for _, line, _ in self.snapshot.bad_lines])
        append_lines(side / DROPPED_ROWS, [row.to_json().encode() for row in self._dropped])
        write_atomic(self.folder / METADATA, b"".join(row.to_json().encode() + b"\n" for row in self._kept))

    def _write_caption(self, row: PairRow) -> None:
        name = caption_file(row.id)
        path = self.folder / name
        if path.is_file() and path.read_bytes() == row.prompt.encode():
            return
        if path.exists() or path.is_symlink():
            self._move_to_orphans(name, "it differs from the row's prompt")
        self._say(f"{name}: written from the row")
        if not self.dry_run:
            write_atomic(path, row.prompt.encode())

    def _orphans(self) -> None:
        snapshot = replace(self.snapshot, rows=self._kept)
        for fault in check_orphans(snapshot):
            if os.path.lexists(self.folder / fault.place):
                self._move_to_orphans(fault.place, "it belongs to no row")

    def _parts(self, stale_seconds: float) -> None:
        young = 0
        for name in self.snapshot.parts:
            try:
                age = time.time() - os.lstat(self.folder / name).st_mtime
            except FileNotFoundError:
                continue  # its writer has finished
            if age >= stale_seconds:
                self._move_to_orphans(name, "an unfinished file")
            else:
                young += 1
        if young:
            self._say(f"{young} unfinished file(s) left alone: younger than {stale_seconds:.0f} s, perhaps in use")

    def _move_to_orphans(self, name: str, reason: str) -> None:
        self._say(f"{name}: to {ORPHANS}/ ({reason})")
        if not self.dry_run:
            move_to_orphans(self.folder, name)
