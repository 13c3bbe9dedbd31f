"""Questions and right answers as a set that a smaller model is fine-tuned on.

Two formats: LLaMA-Factory (ShareGPT messages with ``<image>`` in the text, and ``dataset_info.json``) and ms-swift
(messages and ``images``, JSON lines). A student gets the very questions that are asked here.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ...ace.files import atomic_write
from ..dataset.disk.storage import safe_file
from ..errors import DatasetError
from .request import LabelledImage, Request, schema_in_words

Format = Literal["llama-factory", "ms-swift"]
FORMATS: tuple[Format, ...] = ("llama-factory", "ms-swift")


@dataclass(frozen=True)
class Example:
    """One question with its right answer.

    Attributes:
        request: as it is asked.
        answer: the JSON that is right, or words.
        pictures: the files of the pictures in the question, in order, and the names that they get in the set.
    """

    request: Request
    answer: Mapping[str, Any] | str
    pictures: tuple[tuple[Path, str], ...]


def write_examples(folder: Path, name: str, examples: Iterable[Example], style: Format) -> int:
    """Writes a fine-tuning set.

    Args:
        folder: a new one; pictures are copied into it, so that it can go to another machine.
        name: of the set's file and of its entry in the configuration.
        examples: taken one after the other.

    Returns:
        How many there were.

    Raises:
        DatasetError: there is no such format, or the folder is there or cannot be written.
    """
    if style not in FORMATS:
        raise DatasetError(f"fine-tuning sets are written as {' or '.join(FORMATS)}, got {style!r}")
    if folder.exists():
        raise DatasetError(f"{folder} is there already; choose a new folder")
    try:
        (folder / "images").mkdir(parents=True)
        records = list(_records(examples, folder))
        _write(folder, name, records, style)
    except OSError as error:
        raise DatasetError(f"{folder} cannot be written: {error.strerror or error}") from error
    return len(records)


def pictures_in_set(folder: Path, names: Iterable[str]) -> tuple[tuple[Path, str], ...]:
    """Files of a dataset for an `Example`, named by where they lie in the dataset."""
    return tuple((safe_file(folder, name), name.replace("/", "-")) for name in names)


def _records(examples: Iterable[Example], folder: Path) -> Iterator[dict[str, Any]]:
    for example in examples:
        names = [_copy(path, name, folder) for path, name in example.pictures]
        yield {"messages": _messages(example), "images": names}


def _messages(example: Example) -> list[dict[str, str]]:
    request = example.request
    parts = [f"{part.label}: <image>" if isinstance(part, LabelledImage) else part for part in request.parts]
    schema = [] if request.schema is None else [schema_in_words(request.schema)]
    answer = example.answer if isinstance(example.answer, str) else json.dumps(example.answer, ensure_ascii=False)
    return [
        {"role": "system", "content": request.system},
        {"role": "user", "content": "\n".join([*parts, *schema])},
        {"role": "assistant", "content": answer},
    ]


def _copy(path: Path, name: str, folder: Path) -> str:
    """Each picture is copied once."""
    target = Path("images", name)
    if not (folder / target).exists():
        shutil.copyfile(path, folder / target)
    return target.as_posix()


def _write(folder: Path, name: str, records: list[dict[str, Any]], style: Format) -> None:
    if style == "ms-swift":
        lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        with atomic_write(folder / f"{name}.jsonl") as temporary:
            temporary.write_text(lines, encoding="utf-8", newline="\n")
        return
    info = {
        name: {
            "file_name": f"{name}.json",
            "formatting": "sharegpt",
            "columns": {"messages": "messages", "images": "images"},
            "tags": {
                "role_tag": "role",
                "content_tag": "content",
                "user_tag": "user",
                "assistant_tag": "assistant",
                "system_tag": "system",
            },
        }
    }
    for file, value in ((f"{name}.json", records), ("dataset_info.json", info)):
        with atomic_write(folder / file) as temporary:
            temporary.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8", newline="\n")
