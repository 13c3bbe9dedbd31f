"""Finds the parts of one downloaded ACE model on disk: the DiT, the VAE, the text encoder and its tokenizer.

The published layout, under a folder of any name::

    models/dit/ace_0.6b_512px.pth            (or .safetensors)
    models/vae/vae.bin
    models/text_encoder/t5-v1_1-xxl/…        (transformers)
    models/tokenizer/t5-v1_1-xxl/…
    ace_bundle.json                          (optional: what this bundle's sampler should use)
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from ..text_files import read_text
from ..weights.presets import BundleDefaults, preset_by_name

logger = logging.getLogger(__name__)

COMPONENTS = ("dit", "vae", "text_encoder", "tokenizer")
PUBLISHED_MODELS = {
    "ACE-0.6B-512px": "scepter-studio/ACE-0.6B-512px",
    "ACE-0.6B-1024px": "scepter-studio/ACE-0.6B-1024px",
}
DESCRIPTION_FILE = "ace_bundle.json"
# Holds ace-tiny, the small model that comes along, for workflows and demonstrations that run everywhere.
SHIPPED_BUNDLES = Path(__file__).resolve().parents[2] / "bundles"

_WEIGHTS = (".safetensors", ".sft", ".pth", ".pt", ".bin", ".ckpt")  # in order of preference
_TOKENIZER_FILES = ("tokenizer.json", "spiece.model")
_FOLDERS = {part: f"models/{part}" for part in COMPONENTS}


class BundleError(ValueError):
    """A model folder is incomplete or unreadable; the message lists what is missing and where to get and put it."""


@dataclass(frozen=True)
class Bundle:
    """Where the parts of one model lie.

    Attributes:
        name: the folder's name.
        folder: the folder that holds ``models``.
        dit: weight file of the diffusion transformer. Like all parts None where it was not required and is missing.
        vae: weight file of the VAE.
        text_encoder: folder of the T5 encoder in the layout of transformers, or a single weight file; or None.
        tokenizer: folder of the tokenizer; or None.
        defaults: of the sampler.
    """

    name: str
    folder: Path
    dit: Path | None
    vae: Path | None
    text_encoder: Path | None
    tokenizer: Path | None
    defaults: BundleDefaults


def find_bundle(folder: str | Path, *, require: Collection[str] = COMPONENTS) -> Bundle:
    """Finds the parts of the model in a folder.

    Args:
        folder: the folder that holds ``models``, or ``models`` itself.
        require: parts that must be there; others are None where they are missing.

    Raises:
        BundleError: a required part is missing, several DiTs are there, or ``ace_bundle.json`` is wrong.
        ValueError: ``require`` names something that is no part.
    """
    folder = _bundle_folder(Path(folder))
    if unknown := set(require) - set(COMPONENTS):
        raise ValueError(f"unknown components {sorted(unknown)}; choose from {', '.join(COMPONENTS)}")
    places = {part: folder / where for part, where in _FOLDERS.items()}
    text_encoder = _find_text_encoder(places["text_encoder"])
    found = {
        "dit": _choose_dit(places["dit"]),
        "vae": _first_weights(places["vae"]),
        "text_encoder": text_encoder,
        "tokenizer": _find_tokenizer(places["tokenizer"], text_encoder),
    }
    missing = [part for part in COMPONENTS if found[part] is None and part in require]
    if missing:
        raise BundleError(_explain_missing(folder, missing))
    return Bundle(
        name=folder.name,
        folder=folder,
        dit=found["dit"],
        vae=found["vae"],
        text_encoder=found["text_encoder"],
        tokenizer=found["tokenizer"],
        defaults=_defaults(folder, found["dit"]),
    )


def list_bundles(root: str | Path, *, require: Collection[str] = COMPONENTS) -> list[Bundle]:
    """The complete bundles among the folders directly in ``root``, by name; incomplete ones are logged.

    A missing ``root`` has none.
    """
    bundles = []
    root = Path(root)
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if not (folder / _FOLDERS["dit"]).is_dir():
            continue
        try:
            bundles.append(find_bundle(folder, require=require))
        except BundleError as error:
            logger.warning("%s is left out: %s", folder.name, error)
    return bundles


def manual_download_instructions(repository: str, folder: Path, parts: Iterable[str] = COMPONENTS) -> str:
    """What to download by hand for some parts of a published model, and where to put it.

    Args:
        repository: on Hugging Face, "owner/name".
        folder: of the bundle.
        parts: of ``COMPONENTS``.

    Returns:
        Two lines for each part: the page, and the files with their destination.
    """
    preset = "1024px" if "1024" in repository else "512px"
    files = {
        "dit": f"ace_0.6b_{preset}.pth",
        "vae": "vae.bin",
        "text_encoder": "t5-v1_1-xxl/ (config.json and all weight files)",
        "tokenizer": "t5-v1_1-xxl/ (all files)",
    }
    site = f"https://huggingface.co/{repository}/tree/main"
    return "\n".join(f"  {site}/{_FOLDERS[part]}\n    {files[part]} -> {folder / _FOLDERS[part]}" for part in parts)


def _bundle_folder(folder: Path) -> Path:
    """The folder that holds ``models``, whichever of the two was given."""
    if not folder.is_dir():
        kind = "is a file" if folder.exists() else "does not exist"
        raise BundleError(
            f"{folder} {kind}; expected the folder of a downloaded ACE model, with {', '.join(_FOLDERS.values())} in it"
        )
    folder = Path(os.path.abspath(folder))  # not resolve(): a linked folder keeps the name that its owner gave it
    if folder.name == "models" and (folder / "dit").is_dir():
        return folder.parent
    return folder


def _files(folder: Path, keep: Callable[[Path], bool]) -> list[Path]:
    return sorted(p for p in folder.iterdir() if not p.name.startswith(".") and keep(p)) if folder.is_dir() else []


def _weights(folder: Path) -> list[Path]:
    """Weight files directly in a folder, the preferred format first."""
    found = _files(folder, lambda path: path.suffix in _WEIGHTS and path.is_file())
    return sorted(found, key=lambda path: (_WEIGHTS.index(path.suffix), path.name))


def _first_weights(folder: Path) -> Path | None:
    return next(iter(_weights(folder)), None)


def _choose_dit(folder: Path) -> Path | None:
    """The only DiT; of one model in several formats, the safetensors file."""
    found = _weights(folder)
    if len({path.stem for path in found}) > 1:
        raise BundleError(
            f"{folder} holds several models: {', '.join(path.name for path in found)}. A bundle has one; move the "
            "others to folders of their own, or load the file by itself"
        )
    return next(iter(found), None)


def _find_text_encoder(folder: Path) -> Path | None:
    """A folder with config.json and weights, under any name; else a single weight file such as t5xxl_fp16."""
    candidates = [folder, *_files(folder, Path.is_dir)]
    complete = (c for c in candidates if (c / "config.json").is_file() and _weights(c))
    return next(complete, None) or _first_weights(folder)


def _find_tokenizer(folder: Path, text_encoder: Path | None) -> Path | None:
    candidates = [folder, *_files(folder, Path.is_dir)]
    if text_encoder is not None:
        candidates.append(text_encoder if text_encoder.is_dir() else text_encoder.parent)
    return next((c for c in candidates if any((c / name).is_file() for name in _TOKENIZER_FILES)), None)


def _explain_missing(folder: Path, missing: Collection[str]) -> str:
    what = {
        "dit": "the DiT (a .pth or .safetensors file)",
        "vae": "the VAE (vae.bin)",
        "text_encoder": "the T5 text encoder (config.json and weights)",
        "tokenizer": "the tokenizer (tokenizer.json or spiece.model)",
    }
    lines = "\n".join(f"  {what[part]} in {folder / _FOLDERS[part]}" for part in missing)
    repository = PUBLISHED_MODELS["ACE-0.6B-1024px" if "1024" in folder.name else "ACE-0.6B-512px"]
    return (
        f"the model folder {folder} is incomplete. Missing:\n{lines}\n"
        f"Download the model again, or fetch these by hand:\n{manual_download_instructions(repository, folder, missing)}"
    )


def _defaults(folder: Path, dit: Path | None) -> BundleDefaults:
    """ace_bundle.json over the preset that the names tell, over the 512 px preset."""
    preset = preset_by_name(f"{dit.name if dit else ''} {folder.name}") or BundleDefaults()
    path = folder / DESCRIPTION_FILE
    if not path.is_file():
        return preset
    try:
        given = json.loads(read_text(path), parse_constant=_reject_constant)
    except ValueError as error:
        raise BundleError(f"{path} is not valid JSON: {error}. Correct or remove it") from None
    if not isinstance(given, dict):
        raise BundleError(f"{path} must hold a JSON object, got {type(given).__name__}. Correct or remove it")
    return _merge_defaults(path, preset, given)


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _merge_defaults(path: Path, preset: Any, given: object, place: str = "") -> Any:
    """A dataclass with the file's entries over its own, those of sections within it likewise.

    Unknown entries are named in a warning, for newer bundles may have more.

    Args:
        path: of the file, for messages.
        preset: the dataclass.
        given: the entries.
        place: of the section in the file, for messages.

    Raises:
        BundleError: an entry is of the wrong type.
    """
    if not isinstance(given, dict):
        raise BundleError(f"{path}: {place.rstrip('.')!r} must be a JSON object, got {given!r}. Correct the file")
    names = [field.name for field in fields(preset)]
    if unknown := sorted(place + name for name in set(given) - set(names)):
        logger.warning("%s: unknown entries are ignored: %s; known are %s", path, ", ".join(unknown), ", ".join(names))
    known = {}
    for name in (name for name in names if name in given):
        default = getattr(preset, name)
        if is_dataclass(default):
            known[name] = _merge_defaults(path, default, given[name], f"{place}{name}.")
        else:
            known[name] = _check_entry(path, place + name, given[name], type(default))
    return replace(preset, **known)


def _check_entry(path: Path, name: str, value: object, kind: type) -> object:
    fits = isinstance(value, (int, float) if kind is float else kind) and not isinstance(value, bool)
    if not fits or (kind is int and value < 1):
        wanted = {int: "a whole number of at least 1", float: "a number", str: "a text"}[kind]
        raise BundleError(f"{path}: {name!r} must be {wanted}, got {value!r}. Correct the file")
    return value
