"""Small pictures of pairs, made once and kept in the dataset's hidden folder ``.thumbnails``."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from ...errors import DatasetError, UnknownPairError
from ..disk.files import make_folder, write_atomic
from ..disk.images import read_image, side_by_side
from ..disk.storage import safe_file
from ..intake.rejections import THUMBNAILS as REJECTED_THUMBNAILS
from ..intake.rejections import Rejection

FOLDER = ".thumbnails"
SIDE = 192  # pixels, longer side of each picture
_TYPE = b"\xff\xd8\xff"  # how a JPEG begins


def thumbnail(folder: Path, pair_id: str, source: str | None, target: str) -> bytes:
    """Source and result side by side, as a JPEG.

    Args:
        folder: of the dataset.
        pair_id: names the small picture.
        source, target: files, relative to the dataset; the small picture is made anew when they change.

    Raises:
        ImageError: a picture is missing or damaged.
        DatasetError: a file is a symbolic link.
    """
    paths = [None if name is None else safe_file(folder, name) for name in (source, target)]
    name = f"{FOLDER}/{pair_id}-{_key(paths)}.jpg"
    with contextlib.suppress(OSError, DatasetError):
        kept = safe_file(folder, name).read_bytes()
        if kept.startswith(_TYPE):
            return kept
    made = side_by_side([read_image(path).pixels for path in paths if path is not None], SIDE)
    with contextlib.suppress(OSError, DatasetError):  # a full or read-only disk, or a link: it is made anew each time
        make_folder(folder, FOLDER)
        write_atomic(safe_file(folder, name), made)
    return made


def rejected_thumbnail(folder: Path, rejection: Rejection) -> bytes:
    """The small picture that was kept of a rejected pair, as a JPEG.

    Raises:
        UnknownPairError: none was kept.
        DatasetError: it is a symbolic link.
    """
    name = rejection.thumbnail or ""
    room, _, file = name.partition("/")
    if room != REJECTED_THUMBNAILS or file != f"{rejection.content_hash[:16]}.jpg" or not file[:-4].isalnum():
        raise UnknownPairError("No picture of this rejected pair was kept.")
    try:
        data = safe_file(folder, name).read_bytes()
    except OSError as error:
        raise UnknownPairError("The picture of this rejected pair is gone.") from error
    if not data.startswith(_TYPE):
        raise UnknownPairError("The picture of this rejected pair is damaged.")
    return data


def _key(paths: list[Path | None]) -> str:
    """Changes when a file does; not when it is moved to ``removed/`` and back."""
    states = []
    for path in paths:
        try:
            status = None if path is None else path.stat()
        except OSError:
            status = None  # said when the picture is read
        states.append("-" if status is None else f"{status.st_size}:{status.st_mtime_ns}")
    return hashlib.sha256(" ".join(states).encode()).hexdigest()[:12]
