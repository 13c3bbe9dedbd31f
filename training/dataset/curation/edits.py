"""Words, weight, split and tags of stored pairs, changed by hand: all at once or not at all, and never unseen.

Who changes a pair says which version of it they saw. If another window or a process has changed it since, the change is
refused and nothing is overwritten.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real

from ...errors import PairError, StalePairError
from ..disk.changes import JOURNAL, Change, apply_change
from ..disk.rows import MAX_IMAGES, SPLITS, PairRow, caption_file
from ..disk.storage import as_write_error, delete_files, locked, stage
from ..intake.wording import check_instruction, check_phrasings, checked_line, checked_tags, one_line, plain_prompt
from ..rehash import rehashed
from ..splits import split_groups
from .catalogue import Catalogue, Entry
from .history import edit_line

LOCK_TIMEOUT = 20.0  # seconds; somebody waits in front of the page
_MAX_WEIGHT = 1000.0


@dataclass(frozen=True)
class PairEdit:
    """What is to change; None leaves a thing as it is.

    Attributes:
        instruction: as ACE reads it; the plain prompt and the caption follow it.
        weight: of the pair in training, at least 0.
        split: "train" or "validation"; pairs of the same source or group go along.
        tags: all of them.
        phrasings: all further instructions.
        source_caption, target_caption: what the pictures show.
        history: ids of the earlier rounds, oldest first.
        unlabelled: an empty instruction takes the words away again, as where a pair had none before.
    """

    instruction: str | None = None
    weight: float | None = None
    split: str | None = None
    tags: tuple[str, ...] | None = None
    phrasings: tuple[str, ...] | None = None
    source_caption: str | None = None
    target_caption: str | None = None
    history: tuple[str, ...] | None = None
    unlabelled: bool = False


def edit_pairs(catalogue: Catalogue, seen: Mapping[str, str], edit: PairEdit) -> dict[str, str]:
    """Changes pairs in the same way; see ``edit_each``."""
    return edit_each(catalogue, seen, dict.fromkeys(seen, edit))


def edit_each(catalogue: Catalogue, seen: Mapping[str, str], edits: Mapping[str, PairEdit]) -> dict[str, str]:
    """Changes pairs, all of them or none.

    Args:
        seen: digest of each pair's line, by id, as it was when the change was decided on.
        edits: what is to change, by id; of another split for all of them or for none.

    Returns:
        Digest before the change of each pair that changed, by id; also of those that went along to another split.

    Raises:
        UnknownPairError: a pair is not there any more.
        StalePairError: a pair was changed elsewhere.
        PairError: the change makes no sense, or would make two pairs the same.
        ImageError: a picture of a pair whose words change is damaged.
        WriteError: the disk refuses, or another process holds the dataset.
    """
    with locked(catalogue.folder, LOCK_TIMEOUT), catalogue.lock:
        catalogue.refresh()
        entries = check_seen(catalogue, seen)
        before = {entry.id: catalogue.row(entry.id) for entry in entries}
        splits = {edit.split for edit in edits.values()}
        if len(splits) > 1:
            raise PairError(f"Pairs that change together go to one split, got {sorted(map(str, splits))}.")
        along = PairEdit(split=splits.pop()) if splits else PairEdit()
        if along.split is not None:
            before.update((entry.id, catalogue.row(entry.id)) for entry in _companions(catalogue, entries, along.split))
        after = {
            pair_id: _edited(catalogue, row, edits.get(pair_id, along), pair_id in seen)
            for pair_id, row in before.items()
        }
        changed = {pair_id: catalogue.entry(pair_id).digest for pair_id, row in after.items() if row != before[pair_id]}
        _check_duplicates(catalogue, [after[pair_id] for pair_id in changed])
        if changed:
            _write(catalogue, [(before[pair_id], after[pair_id]) for pair_id in changed])
            catalogue.refresh()
    return changed


def check_seen(catalogue: Catalogue, seen: Mapping[str, str]) -> list[Entry]:
    """The pairs that somebody wants to change, if they are still those that were seen.

    Args:
        seen: digest of each pair's line by id.

    Raises:
        UnknownPairError: a pair is not there any more.
        StalePairError: a pair was changed elsewhere.
    """
    entries = [catalogue.entry(pair_id) for pair_id in seen]
    for entry in entries:
        if seen[entry.id] != entry.digest:
            raise StalePairError(
                f"The pair {entry.id} was changed elsewhere meanwhile; nothing was overwritten. Look at it again, then "
                "change it.",
                entry.id,
            )
    return entries


def _companions(catalogue: Catalogue, entries: Sequence[Entry], split: str) -> Iterable[Entry]:
    """Pairs that must not be divided from these, and would be."""
    groups = split_groups(catalogue)
    chosen = {entry.id for entry in entries}
    moved = {groups[pair_id] for pair_id in chosen}
    return [e for e in catalogue if e.id not in chosen and e.split != split and groups[e.id] in moved]


def _edited(catalogue: Catalogue, row: PairRow, edit: PairEdit, chosen: bool) -> PairRow:
    """The new row.

    Args:
        chosen: whether the pair itself is to change; others only follow to another split.
    """
    if edit.split is not None:
        if edit.split not in SPLITS:
            raise PairError(f"A pair is in {' or '.join(SPLITS)}, not in {edit.split!r:.80}.")
        row = replace(row, split=edit.split)
    if chosen and edit.weight is not None:
        row = replace(row, weight=_weight(edit.weight))
    if chosen and edit.tags is not None:
        row = replace(row, tags=checked_tags(edit.tags))
    if chosen and edit.source_caption is not None:
        row = replace(row, source_caption=checked_line(edit.source_caption, "source's caption"))
    if chosen and edit.target_caption is not None:
        row = replace(row, target_caption=checked_line(edit.target_caption, "result's caption"))
    if chosen:
        row = _reworded(catalogue, row, edit)
    return row


def _weight(weight: float) -> float:
    if isinstance(weight, bool) or not isinstance(weight, Real) or not math.isfinite(weight):
        raise PairError(f"A weight is a number, got {weight!r:.80}.")
    if not 0 <= weight <= _MAX_WEIGHT:
        raise PairError(f"A weight is between 0 (never trained on) and {_MAX_WEIGHT:.0f}, got {weight}.")
    return float(weight)


def _reworded(catalogue: Catalogue, row: PairRow, edit: PairEdit) -> PairRow:
    """The row with other words or earlier rounds, and all that follows from them."""
    words = row.instruction if edit.instruction is None else one_line(edit.instruction)
    history = row.history if edit.history is None else _history(catalogue, row, edit.history)
    if not words and row.labelled and not edit.unlabelled:
        raise PairError("A pair needs an instruction: say what was done to the picture.")
    count = len(row.image_files)
    # Rounds may speak of images of earlier rounds, so only single rounds can be judged by their number.
    most = MAX_IMAGES if history else count
    if edit.phrasings is not None or words != row.instruction:
        given = row.phrasings if edit.phrasings is None else edit.phrasings
        row = replace(row, phrasings=check_phrasings(given, words, most))
    if (words, history) == (row.instruction, row.history):
        return row
    check_instruction(words, most)
    if row.content_hash and rehashed(catalogue.folder, row).content_hash != row.content_hash:
        raise PairError(
            f"The pictures of {row.id} are not those that were stored: somebody has changed the files. To keep them as "
            "they are now, run `comfyui-ace dataset repair --accept-changes` on this dataset first."
        )
    prompt = row.prompt if words == row.instruction else plain_prompt(words, count)
    return rehashed(catalogue.folder, replace(row, instruction=words, prompt=prompt, history=history))


def _history(catalogue: Catalogue, row: PairRow, history: Sequence[str]) -> tuple[str, ...]:
    """Earlier rounds that are there, none of which goes on from this very pair."""
    for earlier in history:
        if earlier == row.id or row.id in catalogue.entry(earlier).history:
            raise PairError(f"{earlier} cannot be an earlier round of {row.id}: it goes on from it.")
    return tuple(history)


def _check_duplicates(catalogue: Catalogue, rows: Sequence[PairRow]) -> None:
    """No two stored pairs may have the same content."""
    changed = {row.id for row in rows}
    known = {entry.content_hash: entry.id for entry in catalogue if entry.content_hash and entry.id not in changed}
    for row in rows:
        same = known.setdefault(row.content_hash, row.id) if row.content_hash else row.id
        if same != row.id:
            raise PairError(
                f"With these words the pair would be the same as {same}, which is kept already. Delete one of the two, or "
                "say it otherwise."
            )


def _write(catalogue: Catalogue, rows: Sequence[tuple[PairRow, PairRow]]) -> None:
    """Writes rows and captions. The dataset's lock must be held."""
    folder = catalogue.folder
    staged: list[tuple[str, str]] = []
    try:
        for before, after in rows:
            if after.prompt != before.prompt:
                staged.append((_stage_caption(catalogue, after), caption_file(after.id)))
        change = Change(
            replaced=tuple((catalogue.entry(before.id).digest, after.to_json()) for before, after in rows),
            moves=tuple(staged),
            history=tuple(edit_line(before.id, before, after) for before, after in rows),
        )
        apply_change(folder, change)
    finally:
        if not (folder / JOURNAL).exists():  # else it still needs them
            delete_files(folder, [temporary for temporary, _ in staged])


def _stage_caption(catalogue: Catalogue, row: PairRow) -> str:
    try:
        return stage(catalogue.folder, caption_file(row.id), lambda file: file.write(row.prompt.encode()))
    except OSError as error:
        raise as_write_error(error, catalogue.folder) from error
