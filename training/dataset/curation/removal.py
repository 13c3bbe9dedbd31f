"""Deleting pairs, and bringing them back: the files go to ``removed/``, where no trainer looks for them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...errors import DatasetError, PairError
from ..disk.changes import Change, apply_change
from ..disk.rows import PairRow, caption_file
from ..disk.storage import locked
from ..splits import split_groups
from .catalogue import Catalogue
from .edits import LOCK_TIMEOUT, check_seen
from .history import REMOVED, RemovedPair, delete_line, restore_line


def delete_pairs(catalogue: Catalogue, seen: Mapping[str, str]) -> list[RemovedPair]:
    """Takes pairs out of a dataset, all of them or none; ``restore_pairs`` brings them back.

    Args:
        seen: digest of each pair's line, by id, as it was when this was decided on.

    Returns:
        The deleted pairs, in the order of ``seen``.

    Raises:
        UnknownPairError: a pair is not there any more.
        StalePairError: a pair was changed elsewhere.
        PairError: other pairs are later rounds of one that is to go.
        WriteError: the disk refuses, or another process holds the dataset.
    """
    with locked(catalogue.folder, LOCK_TIMEOUT), catalogue.lock:
        catalogue.refresh()
        entries = check_seen(catalogue, seen)
        later = [entry.id for entry in catalogue if entry.id not in seen and not seen.keys().isdisjoint(entry.history)]
        if later:
            raise PairError(
                f"{', '.join(later[:3])}{' and others' if len(later) > 3 else ''} goes on from a pair that you want to "
                "delete, as a later round of it. Delete the later rounds, too."
            )
        rows = [catalogue.row(entry.id) for entry in sorted(entries, key=lambda entry: entry.offset)]
        pairs = [RemovedPair(_free_key(catalogue, row.id), row, "") for row in rows]
        change = Change(
            replaced=tuple((entry.digest, None) for entry in entries),
            # The result goes first: a trainer that lists that folder must not find it without its source.
            moves=tuple((name, pair.file(name)) for pair in pairs for name in _files(pair.row)),
            history=tuple(delete_line(pair.key, pair.row) for pair in pairs),
        )
        apply_change(catalogue.folder, change)
        catalogue.refresh()
        keys = {pair.row.id: pair.key for pair in pairs}
        return [catalogue.removed_pair(keys[pair_id]) for pair_id in seen]


def restore_pairs(catalogue: Catalogue, keys: Sequence[str]) -> list[str]:
    """Brings deleted pairs back, all of them or none; those that were deleted together stand as they stood.

    Args:
        keys: of the deleted pairs, in any order.

    Returns:
        Their ids, in the order in which they stand now.

    Raises:
        UnknownPairError: a deleted pair is not there any more.
        PairError: the dataset has the same pair again, or lacks the earlier rounds.
        DatasetError: a picture is gone.
        WriteError: the disk refuses, or another process holds the dataset.
    """
    with locked(catalogue.folder, LOCK_TIMEOUT), catalogue.lock:
        catalogue.refresh()
        pairs = _in_order(catalogue, [catalogue.removed_pair(key) for key in dict.fromkeys(keys)])
        contents = {entry.content_hash: entry.id for entry in catalogue if entry.content_hash}
        groups = split_groups([*catalogue, *(pair.row for pair in pairs)])
        splits = {groups[entry.id]: entry.split for entry in reversed(list(catalogue))}
        rows: dict[str, PairRow] = {}
        for pair in pairs:
            _check_restorable(catalogue, pair, contents, rows)
            # Where pairs that it must not be divided from are by now, else where it was.
            split = splits.setdefault(groups[pair.row.id], pair.row.split)
            rows[pair.row.id] = replace(pair.row, split=split)
            contents[pair.row.content_hash or pair.row.id] = pair.row.id
        change = Change(
            added=tuple(row.to_json() for row in rows.values()),
            # The result comes last: a trainer that lists that folder then finds its source already there.
            arrivals=tuple((pair.file(name), name) for pair in pairs for name in reversed(_files(pair.row))),
            history=tuple(restore_line(pair.key, pair.row) for pair in pairs),
        )
        apply_change(catalogue.folder, change)
        catalogue.refresh()
        for pair in pairs:
            with contextlib.suppress(OSError):  # other people's files in it stay
                (catalogue.folder / REMOVED / pair.key).rmdir()
        return list(rows)


def _in_order(catalogue: Catalogue, pairs: Sequence[RemovedPair]) -> list[RemovedPair]:
    """As they were deleted, which is as they stood, but none before one that it goes on from."""
    order = {key: place for place, key in enumerate(catalogue.history.removed)}
    places = {pair.row.id: order[pair.key] for pair in pairs}

    def place(pair: RemovedPair) -> tuple[int, int]:
        rounds = (pair.row.id, *pair.row.history)
        return max(places[one] for one in rounds if one in places), len(pair.row.history)

    return sorted(pairs, key=place)


def _files(row: PairRow) -> list[str]:
    """A pair's files, the result first."""
    return [row.target_file_name, caption_file(row.id), *row.image_files, *row.mask_file_names]


def _free_key(catalogue: Catalogue, pair_id: str) -> str:
    """Names a deleted pair; a number follows where the same id was deleted before."""
    key, number = pair_id, 1
    while key in catalogue.history.removed or os.path.lexists(catalogue.folder / REMOVED / key):
        number += 1
        key = f"{pair_id}.{number}"
    return key


def _check_restorable(
    catalogue: Catalogue, pair: RemovedPair, contents: Mapping[str, str], coming: Mapping[str, PairRow]
) -> None:
    row = pair.row
    same = contents.get(row.content_hash) if row.content_hash else None
    if same is not None:
        raise PairError(f"The same pair is in {catalogue.folder.name!r} again, as {same}: there is nothing to restore.")
    if row.id in catalogue or row.id in coming:
        raise PairError(f"Another pair has the id {row.id} now. Delete that one first, then restore this one.")
    missing = [earlier for earlier in row.history if earlier not in catalogue and earlier not in coming]
    if missing:
        raise PairError(f"The pair goes on from {', '.join(missing)}, deleted too. Restore the earlier rounds with it.")
    for name in _files(row):
        if not (catalogue.folder / pair.file(name)).is_file():
            raise DatasetError(f"{catalogue.folder / pair.file(name)} is gone, so the pair cannot be restored whole.")
        if os.path.lexists(catalogue.folder / name):
            raise DatasetError(f"{catalogue.folder / name} is in the way. Move that file to another place first.")
