"""Reads tensors out of weight files without trusting them: by content, not by extension, and never running code."""

from __future__ import annotations

import difflib
import functools
import json
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from .detection import detect_from_bytes

# A torch zip archive starts like any zip file; files of torch < 1.6 start with a pickle of protocol 2 or later.
_ZIP, _PICKLE = b"PK\x03\x04", (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_MAX_HEADER = 100_000_000  # the safetensors library's own limit, bytes
_WRAPPERS = ("state_dict", "state_dict_ema", "model_state_dict", "ema", "model", "module", "params")


class CheckpointError(ValueError):
    """A weight file cannot be used; the message says what it looks like, what was expected and what to do."""


@dataclass(frozen=True)
class Container:
    """The raw content of one weight file.

    Attributes:
        tensors: under the names in the file; memory-mapped where the format allows it.
        metadata: the safetensors header; empty for PyTorch files.
        kind: how it was stored.
    """

    tensors: dict[str, torch.Tensor]
    metadata: dict[str, str]
    kind: Literal["safetensors", "pytorch"]


def read_container(path: str | Path) -> Container:
    """Reads all tensors of a ``.safetensors`` or PyTorch file, whatever its extension.

    Raises:
        CheckpointError: no such file, not a weight file, cut off, or it would have to run code.
    """
    path = require_file(Path(path))
    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith(_ZIP):
        return _read_torch_zip(path)
    if head.startswith(_PICKLE):
        return Container(_load_torch(path, mmap=False), {}, "pytorch")
    if _is_safetensors(head):
        return _read_safetensors(path)
    found = detect_from_bytes(head)
    if found is None:
        raise CheckpointError(
            f"{path} is no weight file that can be read here: it starts with the bytes {head[:8].hex(' ')}. "
            "Expected a .safetensors or a PyTorch (.pth, .pt, .bin, .ckpt) file; if this is one, it is damaged: "
            "download it again"
        )
    raise CheckpointError(f"{path} is not a weight file: it looks like {found.name}. {found.advice}")


def check_finite(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Checks that the weights of a file are numbers: one NaN among them makes every picture black.

    Raises:
        CheckpointError: some are NaN or infinite; the message names the first tensors.
    """
    broken = [name for name, tensor in tensors.items() if not _all_finite(tensor)]
    if broken:
        raise CheckpointError(
            f"{path} holds values that are no numbers (NaN or infinite) in {len(broken)} of {len(tensors)} tensors, such as "
            f"{', '.join(broken[:3])}: every picture made with it would be black. Its training or conversion went wrong, or "
            "the copy is damaged; use an earlier state of it, or get it again"
        )


def _all_finite(tensor: torch.Tensor) -> bool:
    if not tensor.is_floating_point():
        return True
    if tensor.dtype.itemsize == 1:  # fp8: its own arithmetic is not there on every device
        tensor = tensor.to(torch.bfloat16)
    # The sum takes one pass and no memory; only where large values made it infinite each one is looked at.
    return bool(tensor.sum(dtype=torch.float32).isfinite()) or bool(tensor.isfinite().all())


def require_file(path: Path) -> Path:
    """The path itself if it is a file with something in it.

    Raises:
        CheckpointError: missing (with the closest names in its folder), a folder, or empty.
    """
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if p.suffix in {".safetensors", ".sft", ".pth", ".pt", ".bin"})
        there = f"; it holds {', '.join(inside[:5])}" if inside else ""
        raise CheckpointError(f"{path} is a folder, expected one weight file{there}. Name the file itself")
    if not path.exists():
        raise CheckpointError(f"there is no file {path}. {_suggestion(path)}")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path} is empty (0 bytes): the download or copy did not happen. Get the file again")
    return path


def _suggestion(path: Path) -> str:
    if not path.parent.is_dir():
        return f"The folder {path.parent} does not exist either; check the path"
    names = sorted(p.name for p in path.parent.iterdir())
    close = difflib.get_close_matches(path.name, names, n=3, cutoff=0.6)
    close += [name for name in names if Path(name).stem == path.stem and name not in close]
    if close:
        return f"Did you mean {' or '.join(close[:3])}?"
    return f"Nothing in {path.parent} has a similar name; check the path"


def _is_safetensors(head: bytes) -> bool:
    """A length (8 bytes, little endian) and then a JSON object; the length alone is checked when reading."""
    return len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < _MAX_HEADER


def read_safetensors_header(path: Path) -> dict[str, Any]:
    """The JSON header of a safetensors file, checked against the size of the file.

    Raises:
        CheckpointError: the file is cut off or the header is damaged.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        text = file.read(min(length, _MAX_HEADER))
    again = "the download or copy was interrupted. Get the file again"
    if length > size - 8:
        raise CheckpointError(f"{path} is cut off: its header needs {length + 8} bytes, the file has {size}; {again}")
    try:
        header = json.loads(text)
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise CheckpointError(f"{path} has a damaged safetensors header ({error}); get the file again") from None
    expected = 8 + length + max(ends, default=0)
    if expected != size:
        state = "is cut off" if size < expected else "is damaged (it is longer than its header says)"
        raise CheckpointError(f"{path} {state}: it should have {expected} bytes and has {size}; {again}")
    return header


def _read_safetensors(path: Path) -> Container:
    from safetensors import SafetensorError, safe_open

    metadata = read_safetensors_header(path).get("__metadata__") or {}
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
    except (SafetensorError, KeyError, AttributeError, RuntimeError) as error:
        raise CheckpointError(f"{path} cannot be read as safetensors: {error}. Get the file again") from None
    return Container(tensors, dict(metadata), "safetensors")


def _read_torch_zip(path: Path) -> Container:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        raise CheckpointError(
            f"{path} is cut off: it starts like a PyTorch file, but its table of contents, which lies at the end, is "
            f"missing ({path.stat().st_size} bytes are there). The download or copy was interrupted; get the file again"
        ) from None
    except Exception as error:  # damage in the table of contents fails in whatever way it leads to
        raise CheckpointError(f"{path} has a damaged table of contents ({error}); get the file again") from None
    if any(name.endswith("/constants.pkl") for name in names):
        raise CheckpointError(
            f"{path} is a TorchScript program, not a state dict; running code from weight files is refused. "
            "Get the weights as .safetensors or as a .pth state dict"
        )
    if not any(name.endswith("data.pkl") for name in names):
        raise CheckpointError(
            f"{path} is an ordinary zip archive ({', '.join(names[:3])} …), not a PyTorch file. "
            "Unpack it and choose the weight file inside"
        )
    return Container(_load_torch(path, mmap=True), {}, "pytorch")


def _load_torch(path: Path, *, mmap: bool) -> dict[str, torch.Tensor]:
    load = functools.partial(torch.load, map_location="cpu", weights_only=True)
    try:
        if mmap and path.suffix != ".safetensors":
            content = load(path, mmap=True)
        else:  # newer torch believes the name .safetensors; an open file has none, but cannot be mapped
            with path.open("rb") as file:
                content = load(file)
    except pickle.UnpicklingError as error:
        raise CheckpointError(_explain_unpickling(path, str(error))) from None
    except MemoryError:
        raise
    except Exception as error:  # damage fails in whatever way it leads to, AssertionError and struct.error among them
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"{path} starts like a PyTorch file but is damaged or cut off ({reason}); get the file again"
        ) from None
    return _tensors_of(path, content)


def _explain_unpickling(path: Path, message: str) -> str:
    if "truncated" in message or "Ran out of input" in message:
        return f"{path} is a PyTorch file that is cut off; get the file again"
    wanted = re.search(r"GLOBAL ([\w.]+)", message)
    program = f"`{wanted.group(1)}`" if wanted else "something beside tensors"
    return (
        f"{path} was not opened: to read it, Python would have to run {program} named in the file, and a weight file "
        "from the internet that may run code can do anything to this computer. Get the same weights as .safetensors, "
        "or, if you made the file yourself, save only its tensors with torch.save(model.state_dict(), …)"
    )


def _tensors_of(path: Path, content: object) -> dict[str, torch.Tensor]:
    """Unwraps ``{"state_dict": …}`` and the like, and drops what is no tensor (epoch, step …)."""
    names: list[str] = []
    while isinstance(content, Mapping):
        tensors = {str(name): value.detach() for name, value in content.items() if isinstance(value, torch.Tensor)}
        if tensors:
            return tensors
        names = [str(name) for name in content]
        content = next((content[name] for name in _WRAPPERS if isinstance(content.get(name), Mapping)), None)
    what = f"only the entries {', '.join(names[:5])}" if names else f"a {type(content).__name__}"
    raise CheckpointError(
        f"{path} is a PyTorch file without named weights: it holds {what}. Expected a state dict, with or without "
        "a `state_dict` key around it; choose the file with the model's weights"
    )
