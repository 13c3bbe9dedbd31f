"""One line of ``metadata.jsonl`` and the file names that follow from a pair's id.

File names are never free text: they are derived from the id, and a row that names anything else is refused. So a row
cannot point outside its dataset, and cannot pair one picture with another's.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from numbers import Real
from typing import Any

from ...errors import RowError
from .names import is_reserved

MAX_IMAGES = 10  # {image} and {image1} … {image9}
MAX_ID = 80
_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\Z")
_HASH = re.compile(r"[0-9a-f]{64}\Z")
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False)
SPLITS = ("train", "validation")
UNLABELLED_ADVICE = (
    "Give them words first: by `comfyui-ace label`, on the page of datasets in ComfyUI (Shift+D), or write `instruction` "
    "into metadata.jsonl (and the caption into target/ID.txt), then run `comfyui-ace dataset repair --accept-changes`."
)


def check_id(pair_id: Any) -> str:
    """Checks that an id may name files: ASCII letters, digits and hyphens, no underscore and no dot.

    Returns:
        The id, unchanged.

    Raises:
        RowError: it may not.
    """
    if not isinstance(pair_id, str) or len(pair_id) > MAX_ID or not _ID.match(pair_id) or is_reserved(pair_id):
        raise RowError(
            f"{pair_id!r} is not a pair id: ids are letters, digits and hyphens (no underscore, no dot), "
            f"at most {MAX_ID} characters."
        )
    return pair_id


def target_file(pair_id: str) -> str:
    """File of the result."""
    return f"target/{pair_id}.png"


def caption_file(pair_id: str) -> str:
    """File of the plain-language prompt, beside the result."""
    return f"target/{pair_id}.txt"


def control_file(pair_id: str, index: int) -> str:
    """File of condition image ``index`` (0 = the source, 1… = the references)."""
    return f"{numbered_folder('control', index)}/{pair_id}.png"


def mask_file(pair_id: str, index: int) -> str:
    """File of the mask of condition image ``index``."""
    return f"{numbered_folder('mask', index)}/{pair_id}.png"


def numbered_folder(folder: str, index: int) -> str:
    """``control`` for 0, ``control_2`` for 1, and so on."""
    return folder if index == 0 else f"{folder}_{index + 1}"


@dataclass(frozen=True)
class PairRow:
    """One pair's metadata. ``FORMAT_KEYS`` are the format; ``OWN_KEYS`` are ours and may be empty.

    Attributes:
        id: names the pair's files.
        target_file_name: the result, relative to the dataset, as all file names.
        source_file_name: the first condition image, None for text-to-image.
        instruction: as ACE reads it, with ``{image}`` tokens.
        prompt: the same in plain words, which is also the caption.
        created: when the row was written, ISO 8601 in UTC.
        reference_file_names: the further condition images, in indicator order.
        mask_file_names: only the masks that exist; the folder's number says which image each belongs to.
        history: ids of the earlier rounds, oldest first.
        seed: the teacher's.
        scores: raw sub-scores by scorer.
        weight: of the pair in training, at least 0.
        split: "train" or "validation".
        workflow: SHA-256 of the graph under ``workflows/``.
        tags: words to select pairs by.
        content_hash: identifies the pair by its pixels and words.
        source_hash: identifies its source alone.
        fingerprint: the perceptual hash by which near-duplicates are found.
        teacher_seconds: time that the workflow took for this pair; None where nobody measured it or where a part of it
            came from a cache.
        teacher_memory: most bytes that the workflow had in use; None where nobody measured it.
        phrasings: further instructions that say the same; a trainer draws one of all.
        source_caption, target_caption: what the source and the result show, in plain words; empty where nobody said so.
        group: what the pair has in common with others that must not stand on the other side of the split, such as pictures
            of one set; "" for none.
        origin: where its pictures come from, numbers and texts by name.
        extra: keys of other programs, which are kept.
    """

    id: str
    target_file_name: str
    source_file_name: str | None
    instruction: str
    prompt: str
    created: str
    reference_file_names: tuple[str, ...] = ()
    mask_file_names: tuple[str, ...] = ()
    history: tuple[str, ...] = ()
    seed: int | None = None
    scores: Mapping[str, Any] = field(default_factory=dict)
    weight: float = 1.0
    split: str = "train"
    workflow: str | None = None
    tags: tuple[str, ...] = ()
    content_hash: str = ""
    source_hash: str = ""
    fingerprint: str = ""
    teacher_seconds: float | None = None
    teacher_memory: int | None = None
    phrasings: tuple[str, ...] = ()
    source_caption: str = ""
    target_caption: str = ""
    group: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def labelled(self) -> bool:
        """Whether it has words, without which it cannot be trained on."""
        return bool(self.instruction)

    @property
    def all_instructions(self) -> tuple[str, ...]:
        """The instruction and its further phrasings, each once."""
        return tuple(dict.fromkeys((self.instruction, *self.phrasings)))

    @property
    def image_files(self) -> tuple[str, ...]:
        """Condition images in indicator order, the source first."""
        return (() if self.source_file_name is None else (self.source_file_name,)) + self.reference_file_names

    @property
    def masks_by_index(self) -> dict[int, str]:
        """Mask file by the index of the condition image it belongs to."""
        return {
            index: name
            for index in range(len(self.image_files))
            if (name := mask_file(self.id, index)) in self.mask_file_names
        }

    @property
    def all_files(self) -> tuple[str, ...]:
        """Every file of the pair, relative to the dataset."""
        return (*self.image_files, *self.mask_file_names, caption_file(self.id), self.target_file_name)

    def to_json(self) -> str:
        """The row as one line, the same keys in the same order in every row, without the line break."""
        values = {name: getattr(self, name) for name in ROW_KEYS}
        return json.dumps({**values, **self.extra}, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, line: str | bytes) -> PairRow:
        """Parses and checks one line.

        Raises:
            RowError: it is no row of this format; the message says what is wrong with it.
        """
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise RowError(f"not JSON ({error})") from error
        if not isinstance(data, dict):
            raise RowError(f"a row is a JSON object, got {type(data).__name__}")
        missing = [key for key in FORMAT_KEYS if key not in data]
        if missing:
            raise RowError(f"keys missing: {', '.join(missing)}")
        values = {key: data[key] for key in ROW_KEYS if key in data}
        for key in ("reference_file_names", "mask_file_names", "history", "tags", "phrasings"):
            if key in values:
                values[key] = _strings(key, values[key])
        row = cls(**values, extra={key: value for key, value in data.items() if key not in ROW_KEYS})
        _check_row(row)
        _check_writable(data)
        return row


FORMAT_KEYS = (
    "id",
    "target_file_name",
    "source_file_name",
    "reference_file_names",
    "mask_file_names",
    "instruction",
    "prompt",
    "history",
    "seed",
    "scores",
    "weight",
    "split",
    "workflow",
    "created",
)
OWN_KEYS = (
    "tags",
    "content_hash",
    "source_hash",
    "fingerprint",
    "teacher_seconds",
    "teacher_memory",
    "phrasings",
    "source_caption",
    "target_caption",
    "group",
    "origin",
)
_TEXTS = (
    "instruction",
    "prompt",
    "created",
    "content_hash",
    "source_hash",
    "fingerprint",
    "source_caption",
    "target_caption",
    "group",
)
ROW_KEYS = FORMAT_KEYS + OWN_KEYS
assert {entry.name for entry in fields(PairRow)} == {*ROW_KEYS, "extra"}


def is_duration(value: Any) -> bool:
    """Whether a value can be a number of seconds."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def is_byte_count(value: Any) -> bool:
    """Whether a value can be a number of bytes."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _strings(key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise RowError(f"{key} is a list of texts, got {value!r:.80}")
    return tuple(value)


def _check_row(row: PairRow) -> None:
    check_id(row.id)
    for key in _TEXTS:
        if not isinstance(getattr(row, key), str):
            raise RowError(f"{key} is text, got {getattr(row, key)!r:.80}")
    for key in ("content_hash", "source_hash"):
        value = getattr(row, key)
        if value and not _HASH.match(value):
            raise RowError(f"{key} is a SHA-256 in hex, got {value!r:.80}")
    if row.seed is not None and (not isinstance(row.seed, int) or isinstance(row.seed, bool)):
        raise RowError(f"seed is a whole number or null, got {row.seed!r:.80}")
    if isinstance(row.weight, bool) or not isinstance(row.weight, (int, float)) or not math.isfinite(row.weight):
        raise RowError(f"weight is a number, got {row.weight!r:.80}")
    if row.weight < 0:
        raise RowError(f"weight is at least 0, got {row.weight}")
    if row.teacher_seconds is not None and not is_duration(row.teacher_seconds):
        raise RowError(f"teacher_seconds is a number of at least 0 or null, got {row.teacher_seconds!r:.80}")
    if row.teacher_memory is not None and not is_byte_count(row.teacher_memory):
        raise RowError(f"teacher_memory is a whole number of bytes or null, got {row.teacher_memory!r:.80}")
    if not isinstance(row.scores, dict):
        raise RowError(f"scores is an object, got {row.scores!r:.80}")
    if not isinstance(row.origin, dict):
        raise RowError(f"origin is an object, got {row.origin!r:.80}")
    if row.split not in SPLITS:
        raise RowError(f"split is one of {', '.join(SPLITS)}, got {row.split!r:.80}")
    if row.workflow is not None and not (isinstance(row.workflow, str) and _HASH.match(row.workflow)):
        raise RowError(f"workflow is a SHA-256 in hex or null, got {row.workflow!r:.80}")
    for earlier in row.history:
        check_id(earlier)
    _check_files(row)


def _check_writable(data: Mapping[str, Any]) -> None:
    """JSON can say what neither JSON nor a text file may hold; such a row could be read but never be written again."""
    try:
        _ENCODER.encode(data).encode()
    except RecursionError as error:
        raise RowError("it is nested too deep") from error
    except ValueError as error:
        if len(data) > 1:
            for key, value in data.items():  # which one it is
                _check_writable({key: value})
        [(key, value)] = data.items()
        what = (
            "half of a surrogate pair, which is no character" if isinstance(error, UnicodeError) else "NaN or infinity"
        )
        raise RowError(f"{key!a:.80} holds {what}: {value!a:.80}") from None


def _check_files(row: PairRow) -> None:
    """The file names must be those that follow from the id, no others."""
    if row.target_file_name != target_file(row.id):
        raise RowError(f"target_file_name is {row.target_file_name!r:.120}, expected {target_file(row.id)!r}")
    if row.source_file_name not in (None, control_file(row.id, 0)):
        raise RowError(f"source_file_name is {row.source_file_name!r:.120}, expected {control_file(row.id, 0)!r}")
    count = len(row.image_files)
    if count > MAX_IMAGES:
        raise RowError(f"{count} condition images, at most {MAX_IMAGES}")
    if row.source_file_name is None and row.reference_file_names:
        raise RowError("references without a source; the first image of a pair is its source")
    expected = tuple(control_file(row.id, index) for index in range(1, count))
    if row.reference_file_names != expected:
        raise RowError(f"reference_file_names are {list(row.reference_file_names)!r:.200}, expected {list(expected)}")
    allowed = [mask_file(row.id, index) for index in range(count)]
    if any(name not in allowed for name in row.mask_file_names) or len(set(row.mask_file_names)) < len(
        row.mask_file_names
    ):
        raise RowError(f"mask_file_names are {list(row.mask_file_names)!r:.200}, expected some of {allowed}")
