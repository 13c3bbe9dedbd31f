"""Configurations of other trainers: ai-toolkit's YAML, musubi-tuner's TOML and jsonl."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import DatasetError
from ..intake.wording import one_line
from .base import ImportOptions, Item, Note, PictureFolder, Problem, read_caption
from .folders import build_pair, pair_folders, read_folders


def read_ai_toolkit(base: Path, options: ImportOptions) -> Iterator[Item | Problem | Note]:
    """A job file (YAML or JSON) with its ``datasets``, or a folder with ``target`` and ``control…`` in it.

    ``mask_path`` is left out: it weights ai-toolkit's loss and is no input of the edit.

    Raises:
        DatasetError: the file cannot be read, or names no pairs.
    """
    if base.is_dir():
        yield from read_folders(base, options)
        return
    found = False
    for entry in _entries(_yaml(base, options), "folder_path"):
        controls = entry.get("control_path") or [entry[key] for key in sorted(entry) if key.startswith("control_path_")]
        controls = [controls] if isinstance(controls, str) else list(controls)
        if not controls:
            yield Problem(str(entry["folder_path"]), "this dataset has no control_path: no edit pairs")
            continue
        found = True
        extension = "." + str(entry.get("caption_ext", "txt")).lstrip(".")
        chosen = replace(options, instruction=options.instruction or one_line(entry.get("default_caption") or ""))
        folders = [_folder(base, path) for path in controls]
        yield from pair_folders(_folder(base, entry["folder_path"]), folders, None, chosen, extension)
    if not found:
        raise DatasetError(f"{base} names no dataset with folder_path and control_path.")


def read_musubi(base: Path, options: ImportOptions) -> Iterator[Item | Problem | Note]:
    """A dataset TOML, a jsonl file, or a folder with images and controls in it.

    Raises:
        DatasetError: the file cannot be read, or names folders that are not there.
    """
    if base.is_dir():
        yield from read_folders(base, options)
    elif base.suffix.lower() == ".jsonl":
        yield from _jsonl(base, options)
    else:
        data = _toml(base, options)
        general = data.get("general", {})
        for entry in data.get("datasets", []):
            if "image_jsonl_file" in entry:
                yield from _jsonl(_path(base, entry["image_jsonl_file"]), options)
            elif "image_directory" in entry and "control_directory" in entry:
                extension = entry.get("caption_extension", general.get("caption_extension", ".txt"))
                yield from _directories(
                    _folder(base, entry["image_directory"]),
                    _folder(base, entry["control_directory"]),
                    extension,
                    options,
                )
            else:
                yield Problem(str(base), "a dataset without control_directory or image_jsonl_file: no edit pairs")


def _directories(
    images: Path, controls: Path, extension: str, options: ImportOptions
) -> Iterator[Item | Problem | Note]:
    """musubi's rule: the controls of ``x.png`` are ``x.*`` and ``x_0.*``, ``x_1.*`` …; longer names claim theirs first."""
    folders = [PictureFolder(folder, options, extension) for folder in (images, controls)]
    for folder in folders:
        yield from folder.notes
    targets, free = folders[0].pictures, dict(folders[1].pictures)
    claimed: dict[str, list[Path]] = {}
    for stem in sorted(targets, key=len, reverse=True):
        own = [name for name in free if re.fullmatch(re.escape(stem) + r"(_\d+)?", name)]
        own.sort(key=lambda name, stem=stem: (name != stem, _number(name), name))
        claimed[stem] = [free.pop(name) for name in own]
    for stem, target in targets.items():
        sources = claimed[stem]
        if not sources:
            yield Problem(target.name, f"no control picture {stem}.* or {stem}_0.* in {controls}")
            continue
        instruction = read_caption(options, target, extension=extension) or options.instruction
        files = (target, sources, None, instruction, target.stem, options)
        yield Item(target.name, lambda files=files: build_pair(*files))
    for path in free.values():
        yield Problem(path.name, f"in {controls}, but belongs to no picture in {images}")


def _number(stem: str) -> int:
    match = re.search(r"_(\d+)$", stem)
    return int(match.group(1)) if match else -1


def _jsonl(path: Path, options: ImportOptions) -> Iterator[Item | Problem]:
    """Lines with image_path, control_path or control_path_0 …, caption."""
    lines = options.text(path).split("\n")  # other line breaks may stand inside a text
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        label = f"{path.name} line {number}"
        try:
            entry = json.loads(line)
            target = _path(path, entry["image_path"])
            keys = [key for key in entry if re.fullmatch(r"control_path(_\d+)?", key)]
            sources = [_path(path, entry[key]) for key in sorted(keys, key=_number)]
            instruction = options.choose_instruction(entry.get("caption"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            yield Problem(label, f"not a line with image_path, control_path and caption ({error!r})")
            continue
        if not sources:
            yield Problem(label, "no control_path")
            continue
        files = (target, sources, None, instruction, target.stem, options)
        yield Item(label, lambda files=files: build_pair(*files))


def _entries(value: Any, key: str) -> Iterator[dict[str, Any]]:
    """All objects with ``key`` in a nested configuration."""
    if isinstance(value, dict):
        if isinstance(value.get(key), str):
            yield value
        for inner in value.values():
            yield from _entries(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _entries(inner, key)


def _yaml(path: Path, options: ImportOptions) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise DatasetError("Reading ai-toolkit's configuration needs PyYAML: pip install pyyaml") from error
    try:
        return yaml.safe_load(options.text(path))
    except yaml.YAMLError as error:
        raise DatasetError(f"{path} cannot be read as YAML: {error}.") from error


def _toml(path: Path, options: ImportOptions) -> dict[str, Any]:
    text = options.text(path)
    try:
        import tomllib
    except ImportError:  # Python 3.10
        try:
            import tomli as tomllib
        except ImportError as error:
            raise DatasetError("Reading TOML needs Python 3.11 or tomli: pip install tomli") from error
    try:
        return tomllib.loads(text)
    except ValueError as error:
        raise DatasetError(f"{path} cannot be read as TOML: {error}.") from error


def _path(beside: Path, name: str) -> Path:
    """A path in a configuration: absolute, or relative to the configuration's folder."""
    return beside.parent / Path(name).expanduser()


def _folder(beside: Path, name: str) -> Path:
    folder = _path(beside, name)
    if not folder.is_dir():
        raise DatasetError(f"{beside} names the folder {folder}, which is not there.")
    return folder
