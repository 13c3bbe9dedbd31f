"""WebDataset: tar shards in which the files of a pair follow each other under one key."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

from ..disk.rows import PairRow
from ..disk.storage import safe_file
from .base import Export, iter_shards

_FIELDS = {
    "source.png": "first condition image",
    "reference1.png": "further condition images, numbered",
    "mask0.png": "mask of condition image 0 (the source), 1 …; white = may change",
    "target.png": "the result",
    "txt": "plain-language prompt",
    "json": "the row of metadata.jsonl",
}


def write(export: Export) -> None:
    """Writes a dataset as WebDataset reads it."""
    shards: dict[str, list[dict[str, Any]]] = {}
    for split, number, _, rows in iter_shards(export.rows, export.options.shard_pairs):
        name = f"{split}-{number:06d}.tar"
        export.building.mkdir(parents=True, exist_ok=True)
        with tarfile.open(export.building / name, "x", format=tarfile.USTAR_FORMAT) as archive:
            for row in rows:
                _add_pair(export, archive, row)
        size = (export.building / name).stat().st_size
        shards.setdefault(split, []).append({"url": name, "nsamples": len(rows), "filesize": size})
    urls = {split: _braces(split, len(entries)) for split, entries in shards.items()}
    index = {"name": export.dataset.name, "urls": urls, "shards": shards, "fields": _FIELDS}
    export.write("dataset.json", json.dumps(index, indent=2, ensure_ascii=False) + "\n", config=True)
    export.write("load.py", _example(urls), config=True)
    export.notes.insert(0, "Read with webdataset: load.py shows how; dataset.json lists the shards and their fields.")


def _add_pair(export: Export, archive: tarfile.TarFile, row: PairRow) -> None:
    for index, name in enumerate(row.image_files):
        _add(export, archive, row, "source.png" if index == 0 else f"reference{index}.png", name)
    for index, name in row.masks_by_index.items():
        _add(export, archive, row, f"mask{index}.png", name)
    _add(export, archive, row, "target.png", row.target_file_name)
    _add_bytes(archive, f"{row.id}.txt", row.prompt.encode())
    _add_bytes(archive, f"{row.id}.json", row.to_json().encode())


def _add(export: Export, archive: tarfile.TarFile, row: PairRow, field: str, name: str) -> None:
    _add_bytes(archive, f"{row.id}.{field}", safe_file(export.dataset.folder, name).read_bytes())


def _add_bytes(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    # No times and no owners: the same dataset gives the same shards.
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def _braces(split: str, count: int) -> str:
    return f"{split}-{{000000..{count - 1:06d}}}.tar" if count > 1 else f"{split}-000000.tar"


def _example(urls: dict[str, str]) -> str:
    return (
        '"""Reads this export: pip install webdataset pillow"""\n\n'
        "import pathlib\n\nimport webdataset\n\n"
        "here = pathlib.Path(__file__).parent\n"
        f"urls = {json.dumps(urls)}\n"
        "for split, pattern in urls.items():\n"
        "    dataset = webdataset.WebDataset(str(here / pattern), shardshuffle=False).decode('pil')\n"
        "    for sample in dataset:\n"
        "        print(split, sample['__key__'], sample['target.png'].size, sample['txt'])\n"
    )
