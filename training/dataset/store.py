"""The store: datasets of training pairs on disk, written by several processes at once and never half.

dataset = Dataset.open_or_create(root, "portraits")
result = dataset.append(Pair(source=before, target=after, instruction="{image} as an oil painting"))
for row in dataset.rows("train"):
    pair = dataset.load(row)
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path

from ..errors import DatasetError, ImageError, PairError, RowError
from .disk.files import write_atomic
from .disk.images import AlphaPolicy
from .disk.index import PairIndex
from .disk.names import resolve_dataset
from .disk.rows import PairRow
from .disk.storage import METADATA, as_write_error, commit, delete_unless_pending, locked
from .intake.checks import CheckSettings, Finding, find_near_duplicate, run_checks
from .intake.prepare import Pair, PreparedPair, prepare
from .intake.rejections import Rejection, RejectionList
from .reader import load_pair
from .results import AppendResult, DatasetCounts
from .settings import SETTINGS, DatasetSettings, make_dataset
from .splits import choose_validation, split_groups, split_of
from .writer import final_name, make_row, stage_pair

__all__ = ["AppendResult", "Dataset", "DatasetCounts", "DatasetSettings", "Pair", "PairRow"]

_log = logging.getLogger(__name__)


class Dataset:
    """One folder of pairs. Safe to share between threads; other processes may write to the same folder.

    Attributes:
        folder: where it is.
        settings: what it decides once for all its pairs.
        checks: the quality checks that ``append`` runs.
        alpha: what stands behind transparent pixels.
    """

    def __init__(self, folder: str | os.PathLike, *, checks: CheckSettings | None = None, alpha: AlphaPolicy = "white"):
        """Opens the folder of an existing dataset. ``open`` and ``create`` take names that strangers chose.

        Args:
            checks: the quality checks, all on by default.
            alpha: what stands behind transparent pixels.

        Raises:
            DatasetError: there is no dataset, or its settings cannot be read.
        """
        self.folder = Path(folder)
        if not (self.folder / METADATA).is_file():
            raise DatasetError(f"{self.folder} is not a dataset: it has no {METADATA}.")
        self.settings = DatasetSettings.read(self.folder)
        self.checks = CheckSettings() if checks is None else checks
        self.alpha = alpha
        self._mutex = threading.RLock()
        self._index = PairIndex(self.folder)
        self._rejections = RejectionList(self.folder)

    @classmethod
    def create(
        cls,
        root: str | os.PathLike,
        name: str,
        *,
        settings: DatasetSettings | None = None,
        checks: CheckSettings | None = None,
        alpha: AlphaPolicy = "white",
    ) -> Dataset:
        """Makes an empty dataset ``name`` in the folder ``root`` and opens it.

        Raises:
            DatasetNameError: the name is unsafe as a folder name.
            DatasetError: something is there already, or the disk refuses.
        """
        folder = resolve_dataset(root, name)
        make_dataset(folder, settings or DatasetSettings())
        return cls(folder, checks=checks, alpha=alpha)

    @classmethod
    def open(
        cls,
        root: str | os.PathLike,
        name: str,
        *,
        checks: CheckSettings | None = None,
        alpha: AlphaPolicy = "white",
    ) -> Dataset:
        """Opens the dataset ``name`` in the folder ``root``.

        Raises:
            DatasetNameError: the name is unsafe as a folder name.
            DatasetError: there is no such dataset.
        """
        return cls(resolve_dataset(root, name), checks=checks, alpha=alpha)

    @classmethod
    def open_or_create(
        cls,
        root: str | os.PathLike,
        name: str,
        *,
        settings: DatasetSettings | None = None,
        checks: CheckSettings | None = None,
        alpha: AlphaPolicy = "white",
    ) -> Dataset:
        """Opens the dataset ``name``, making it first if it is not there; several processes may do so at once.

        Raises:
            DatasetNameError: the name is unsafe as a folder name.
            DatasetError: something else than a dataset is there, or the disk refuses.
        """
        folder = resolve_dataset(root, name)
        if not folder.exists():
            try:
                make_dataset(folder, settings or DatasetSettings())
            except DatasetError:
                if not (folder / METADATA).is_file():  # else another process was faster
                    raise
        return cls(folder, checks=checks, alpha=alpha)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    def __len__(self) -> int:
        with self._mutex:
            self._index.refresh()
            return len(self._index)

    def __contains__(self, pair_id: object) -> bool:
        with self._mutex:
            self._index.refresh()
            return pair_id in self._index

    def __iter__(self) -> Iterator[Pair]:
        """Every pair with its pictures, one at a time."""
        return (self.load(row) for row in self.rows())

    def rows(self, split: str | None = None) -> Iterator[PairRow]:
        """The metadata in the order of writing. Lines that are no rows are skipped and logged.

        Args:
            split: "train" or "validation"; None gives both.
        """
        with open(self.folder / METADATA, "rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n") or not line.strip():
                    continue  # being written by another process, or torn
                try:
                    row = PairRow.from_json(line)
                except RowError as error:
                    _log.warning("%s line %d skipped: %s", self.folder / METADATA, number, error)
                    continue
                if split in (None, row.split):
                    yield row

    def ids(self) -> list[str]:
        """Of all pairs, in the order of writing."""
        return [row.id for row in self.rows()]

    def row(self, pair_id: str) -> PairRow:
        """The metadata of one pair.

        Raises:
            DatasetError: there is no such pair.
        """
        with self._mutex:
            self._index.refresh()
            return self._index.row(pair_id)

    def load(self, pair: str | PairRow) -> Pair:
        """A pair with its pictures as (H, W, 3) uint8 arrays, masks as (H, W) uint8 or None.

        Args:
            pair: an id, or a row of this dataset.

        Raises:
            ImageError: a file is missing or damaged.
            DatasetError: there is no such pair, or a file is a symbolic link.
        """
        return load_pair(self.folder, self.row(pair) if isinstance(pair, str) else pair)

    def digest(self) -> str:
        """SHA-256 of what is in the dataset, whatever the order of writing: what a trained model can name."""
        contents = sorted(row.content_hash or row.id for row in self.rows())
        return hashlib.sha256("\n".join(contents).encode()).hexdigest()

    def rejected(self) -> Iterator[Rejection]:
        """The rejected pairs, oldest first."""
        return iter(self._rejections)

    def counts(self) -> DatasetCounts:
        """How many pairs there are and how many were rejected."""
        with self._mutex:
            self._index.refresh()
            self._rejections.refresh()
            return DatasetCounts(
                pairs=len(self._index),
                train=self._index.splits["train"],
                validation=self._index.splits["validation"],
                rejected=len(self._rejections),
                by_check=dict(self._rejections.by_check),
                by_tag=dict(self._index.tags),
            )

    def append(self, pair: Pair, *, checks: CheckSettings | None = None) -> AppendResult:
        """Checks a pair and stores it, or says why not.

        Args:
            checks: in place of the dataset's own.

        Raises:
            PairError, ImageError: the pair makes no sense; see ``reject``.
            DatasetError: it cannot be written, and nothing of it is left in the dataset.
        """
        prepared = prepare(pair, alpha=self.alpha)
        settings = self.checks if checks is None else checks
        self._check_links(prepared)
        with self._mutex:
            self._index.refresh()
            known = self._known(prepared)
        if known is not None:
            return known
        findings = run_checks(prepared, settings)
        with self._mutex:
            seen = self._index.version
            if not findings and settings.near_duplicate:
                findings = tuple(find_near_duplicate(prepared, settings, self._index))
        if findings:
            with self._mutex, locked(self.folder):
                self._index.refresh()  # what looks like it may be this very pair, stored by another just now
                return self._known(prepared) or self._add_rejection(prepared, findings)
        staged = stage_pair(self.folder, prepared)
        try:
            with self._mutex, locked(self.folder):
                return self._commit(prepared, settings, staged, seen)
        finally:
            # What was renamed is no longer there; what is left is of a pair that was not kept.
            delete_unless_pending(self.folder, list(staged.values()))

    def reject(self, pair: Pair, error: PairError | ImageError) -> AppendResult:
        """Lists a pair that ``append`` raised an error for as rejected, with the error as the reason.

        Raises:
            DatasetError: the list of rejections cannot be written.
        """
        with self._mutex, locked(self.folder):
            try:
                entry = self._rejections.add_invalid(pair, error)
            except OSError as problem:
                raise as_write_error(problem, self.folder) from problem
        return AppendResult("rejected", None, entry.reason)

    def rewrite(self, change: Callable[[PairRow], PairRow | None]) -> int:
        """Replaces all rows at once. Lines that are no rows stay as they are, and no other file is changed.

        Args:
            change: gives the new row for an old one, None to drop it.

        Returns:
            How many rows changed.

        Raises:
            DatasetError: the rows cannot be written; the old ones are all still there.
        """
        with self._mutex, locked(self.folder):
            return self._rewrite(change)

    def split(self, fraction: float, seed: int = 0, first: Collection[str] = frozenset()) -> DatasetCounts:
        """Divides the pairs anew into train and validation.

        Variants of a source and rounds of a history stay together; later pairs follow the same fraction and seed.

        Args:
            fraction: share of the sources that goes to validation, 0 to 1.
            seed: which sources.
            first: groups, see :func:`split_groups`, that go to validation before any other.

        Raises:
            DatasetError: the fraction is out of range, or the disk refuses.
        """
        settings = DatasetSettings(fraction, seed)
        with self._mutex, locked(self.folder):
            groups = split_groups(self.rows())
            held_out = choose_validation(groups.values(), fraction, seed, first)
            self._write(SETTINGS, settings.to_json())
            self.settings = settings
            self._rewrite(lambda row: replace(row, split="validation" if groups[row.id] in held_out else "train"))
        return self.counts()

    def save_settings(self, settings: DatasetSettings) -> None:
        """Changes what is decided for later pairs; rows that exist keep their split.

        Raises:
            DatasetError: the settings cannot be written.
        """
        with self._mutex, locked(self.folder):
            self._write(SETTINGS, settings.to_json())
            self.settings = settings

    def _rewrite(self, change: Callable[[PairRow], PairRow | None]) -> int:
        """``rewrite`` for callers that hold the lock."""
        changed = 0
        lines: list[bytes] = []
        for line in (self.folder / METADATA).read_bytes().splitlines(keepends=True):
            try:
                row = PairRow.from_json(line)
            except RowError:
                lines.append(line)
                continue
            new = change(row)
            changed += new != row
            if new is not None:
                lines.append(new.to_json().encode() + b"\n")
        if changed:
            self._write(METADATA, b"".join(lines))
        return changed

    def _write(self, name: str, data: bytes) -> None:
        try:
            write_atomic(self.folder / name, data)
        except OSError as error:
            raise as_write_error(error, self.folder) from error

    def _known(self, pair: PreparedPair) -> AppendResult | None:
        kept = self._index.duplicate_of(pair.content_hash)
        if kept is None:
            return None
        return AppendResult("duplicate", kept, f"the same pair is kept as {kept}", notes=pair.notes)

    def _check_links(self, pair: PreparedPair) -> None:
        """Earlier rounds and the graph that a pair names must be there, else ``PairError``."""
        with self._mutex:
            self._index.refresh()
            missing = [earlier for earlier in pair.history if earlier not in self._index]
        if missing:
            raise PairError(
                f"history names pairs that are not in {self.name!r}: {', '.join(missing)}. Store them first."
            )
        if pair.workflow is not None and not (self.folder / "workflows" / f"{pair.workflow}.json").is_file():
            raise PairError(f"workflow {pair.workflow!r:.80} is not stored. Save the graph with save_graph first.")

    def _add_rejection(self, pair: PreparedPair, findings: tuple[Finding, ...]) -> AppendResult:
        """Lists a pair as rejected. The lock must be held."""
        try:
            entry = self._rejections.add(pair, findings)
        except OSError as error:
            raise as_write_error(error, self.folder) from error
        return AppendResult("rejected", None, entry.reason, findings, pair.notes)

    def _commit(self, pair: PreparedPair, settings: CheckSettings, staged: dict[str, str], seen: int) -> AppendResult:
        """Checks for duplicates again (another process may have been faster), then makes the pair visible.

        The lock must be held.

        Args:
            seen: version of the index when duplicates were looked for before.
        """
        self._index.refresh()
        known = self._known(pair)
        if known is not None:
            return known
        if settings.near_duplicate and self._index.version != seen:
            findings = tuple(find_near_duplicate(pair, settings, self._index))
            if findings:
                return self._add_rejection(pair, findings)
        pair_id = self._free_id(pair, list(staged))
        split = self._index.split_for(pair.source_hash, pair.history, pair.group) or split_of(
            pair.group or pair.source_hash, self.settings.validation_fraction, self.settings.split_seed
        )
        moves = [(temporary, final_name(name, pair_id)) for name, temporary in staged.items()]
        commit(self.folder, moves, make_row(pair, pair_id, split))
        self._index.refresh()
        return AppendResult("stored", pair_id, notes=pair.notes, split=split)

    def _free_id(self, pair: PreparedPair, names: list[str]) -> str:
        """An id from the name and the content, longer where a row or a stray file already has it."""
        for digits in range(12, 65, 4):
            pair_id = f"{pair.name}-{pair.content_hash[:digits]}"[:80].rstrip("-")
            taken = any(os.path.lexists(self.folder / final_name(name, pair_id)) for name in names)
            if pair_id not in self._index and not taken:
                return pair_id
        raise DatasetError(f"No free id for a pair like {pair_id} in {self.folder}: clean up with `dataset repair`.")
