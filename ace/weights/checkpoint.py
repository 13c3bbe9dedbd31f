"""Loading, saving and converting ACE weights.

One name for each parameter: the published one. A model's own state dict differs in one spelling only: each
``scale_shift_table`` is an ``Embedding`` there (hosts patch and move only layers), so its key ends in ``.weight``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from ..files import atomic_write, checksum
from ..model.config import ACEConfig
from ..model.transformer import ACEModel
from .containers import CheckpointError, Container, check_finite, read_container
from .detection import detect_from_tensors
from .fp8 import FP8_DTYPES, dequantize
from .pixart import from_pixart, has_micro_conditions, is_pixart, is_pixart_sigma
from .presets import preset_by_name

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "Conversion",
    "config_tensors",
    "convert",
    "load_model",
    "read_checkpoint",
    "save_checkpoint",
    "to_model_keys",
    "to_published_keys",
]

logger = logging.getLogger(__name__)

PIXART_ALPHA = "PixArt-α"
_TABLE, _TABLE_WEIGHT = "scale_shift_table", "scale_shift_table.weight"
_MODEL_SAVE = "model.diffusion_model."
# Wrappers (DistributedDataParallel, torch.compile, trainers, ComfyUI) put these in front of every name.
_PREFIXES = (_MODEL_SAVE, "diffusion_model.", "module.", "_orig_mod.", "model.")
# Hyper-parameters that a host which writes no metadata of ours (ComfyUI's ModelSave) can store as 0-d tensors.
_CONFIG_PREFIX = "ace_config."
_EXPECTED = (
    "Expected an ACE model: blocks.N.attn.q.weight, blocks.N.cross_attn.q.weight, x_embedder.proj.weight … as in "
    "ace_0.6b_512px.pth"
)


@dataclass(frozen=True)
class Checkpoint:
    """An ACE state dict whose names and shapes have been checked.

    Attributes:
        state_dict: published names without a prefix; memory-mapped where the file allows it. Plain fp8 stays fp8,
            scaled fp8 is float32.
        metadata: the safetensors header.
        path: the file.
        source: "published .pth", "safetensors", "ComfyUI ModelSave" or "PixArt-α".
        config: hyper-parameters read off the shapes and the metadata.
    """

    state_dict: dict[str, torch.Tensor]
    metadata: dict[str, str]
    path: Path
    source: str
    config: ACEConfig

    @property
    def max_tokens(self) -> int | None:
        """Patches of 16 x 16 pixels in the largest picture of its training, if the file says so."""
        try:
            return int(self.metadata["max_tokens"])
        except (KeyError, ValueError):
            return None


@dataclass(frozen=True)
class Conversion:
    """What :func:`convert` has written.

    Attributes:
        source, destination: the file read and the file written.
        source_format, source_sha256: of the file read.
        dtypes: of the tensors written, each once.
        parameters: how many numbers the tensors hold.
        size: bytes of the file written.
    """

    source: Path
    destination: Path
    source_format: str
    source_sha256: str
    dtypes: tuple[str, ...]
    parameters: int
    size: int


def to_model_keys(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Published names -> the names of :class:`ACEModel`'s state dict; names that are already so stay. Tensors are shared."""
    return {f"{name}.weight" if _last(name) == _TABLE else name: value for name, value in state_dict.items()}


def to_published_keys(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Names of :class:`ACEModel`'s state dict -> published names; names that are already so stay. Tensors are shared."""
    return {
        name.removesuffix(".weight") if name.endswith(f"{_TABLE_WEIGHT}") else name: value
        for name, value in state_dict.items()
    }


def config_tensors(config: ACEConfig, max_tokens: int | None = None) -> dict[str, torch.Tensor]:
    """Head count, RoPE rows and trained size as 0-d tensors, for a state dict whose file gets no metadata from us."""
    values = {**config.metadata(), **({} if max_tokens is None else {"max_tokens": max_tokens})}
    return {f"{_CONFIG_PREFIX}{name}": torch.tensor(int(value)) for name, value in values.items()}


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Reads and checks the weights of an ACE model (or of PixArt-α, from which one is initialised).

    Args:
        path: the published ``.pth``, ``.safetensors``, what ComfyUI's ModelSave writes, or PixArt-α's ``.pth``.

    Raises:
        CheckpointError: the file is missing, damaged or of another kind, or its tensors do not make an ACE model.
    """
    path = Path(path)
    container = read_container(path)
    state_dict, source = _strip_prefixes(container)
    metadata = dict(container.metadata)
    for name in [name for name in state_dict if name.startswith(_CONFIG_PREFIX)]:
        metadata.setdefault(name.removeprefix(_CONFIG_PREFIX), str(int(state_dict.pop(name))))

    if not _is_ace(state_dict) and not is_pixart(state_dict):
        raise CheckpointError(_explain_not_ace(path, container))
    check_finite(path, state_dict)
    try:
        state_dict = dequantize(state_dict)
        if is_pixart(state_dict):
            state_dict, source = _initialize_from_pixart(path, state_dict), PIXART_ALPHA
        config = ACEConfig.from_state_dict(state_dict, metadata)
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None
    _check_complete(path, state_dict, config)
    return Checkpoint(state_dict, metadata, path, source, config)


def load_model(path: str | Path, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> ACEModel:
    """Builds the model that a file holds, in ``eval()`` mode with trainable parameters.

    Weights are taken over tensor by tensor: at no time are there two models in memory, and weights that are stored
    in ``dtype`` and stay on the CPU remain memory-mapped.

    Args:
        path: see :func:`read_checkpoint`.
        dtype: of the weights.
        device: of the weights.

    Raises:
        CheckpointError: see :func:`read_checkpoint`.
    """
    checkpoint = read_checkpoint(path)
    model = ACEModel(checkpoint.config, dtype=dtype, device="meta")
    state_dict = to_model_keys(checkpoint.state_dict)
    del checkpoint  # each tensor below can go as soon as its successor is there
    for name in state_dict:
        # First the dtype and then the device: not every device knows the storage dtypes (fp8).
        state_dict[name] = state_dict[name].to(dtype).to(device)
    model.load_state_dict(state_dict, strict=True, assign=True)
    return model.eval()


def save_checkpoint(
    weights: Mapping[str, torch.Tensor] | ACEModel,
    path: str | Path,
    *,
    metadata: Mapping[str, object] | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes a ``.safetensors`` file under the published names, whole or not at all.

    Args:
        weights: an ACE model (its head count and RoPE rows go into the metadata) or a state dict.
        path: where to; its folder is made.
        metadata: header entries, written as strings.
        overwrite: replace an existing file.

    Raises:
        CheckpointError: the file exists, its name does not end in .safetensors, or it cannot be written; nothing
            is left behind.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path = _check_destination(Path(path), overwrite)
    header = {"format": "pt"}
    if isinstance(weights, ACEModel):
        header.update(weights.config.metadata())
        weights = weights.state_dict()
    header.update({str(name): str(value) for name, value in (metadata or {}).items()})
    tensors = _unshare_storage({name: value.detach() for name, value in to_published_keys(weights).items()})
    try:
        with atomic_write(path, sum(tensor.nbytes for tensor in tensors.values())) as temporary:
            save_file(tensors, temporary, metadata=header)
    except (OSError, SafetensorError) as error:  # the library reports a full disk by its own error
        raise CheckpointError(
            f"{path} could not be written ({error}); nothing was left behind. Check the free space and the permissions "
            f"of {path.parent}, and that no other program has the file open"
        ) from error
    return path


def convert(
    source: str | Path,
    destination: str | Path,
    *,
    dtype: torch.dtype | None = None,
    max_tokens: int | None = None,
    overwrite: bool = False,
) -> Conversion:
    """Converts any file that :func:`read_checkpoint` reads to ``.safetensors`` with metadata.

    Args:
        source: the file to read; it is not touched.
        destination: a ``.safetensors`` file, or a folder in which it gets the source's name.
        dtype: of the stored weights; None keeps them. With an fp8 dtype only the large matrices become fp8, and the
            rest (biases, norms, tables, the patch convolution) bfloat16: they are few and the picture depends on them.
        max_tokens: patches in the largest picture of the model's training, for the metadata; None keeps what the source
            says, else takes what its name tells.
        overwrite: replace an existing file.

    Raises:
        CheckpointError: the source cannot be read, a weight does not fit into ``dtype``, or the file cannot be written.
    """
    source, destination = Path(source), Path(destination)
    if destination.is_dir():
        destination = destination / f"{source.stem}.safetensors"
    _check_destination(destination, overwrite)
    checkpoint = read_checkpoint(source)
    digest = checksum(source)
    preset = preset_by_name(source.name)
    max_tokens = max_tokens or checkpoint.max_tokens or (preset.max_tokens if preset else None)
    state_dict = {name: _cast(name, tensor, dtype) for name, tensor in checkpoint.state_dict.items()}
    metadata = {
        **checkpoint.metadata,
        **checkpoint.config.metadata(),
        **({} if max_tokens is None else {"max_tokens": str(max_tokens)}),
        "architecture": "ACE",
        "source_file": source.name,
        "source_format": checkpoint.source,
        "source_sha256": digest,
        **_licence(source, checkpoint.metadata),
    }
    save_checkpoint(state_dict, destination, metadata=metadata, overwrite=overwrite)
    return Conversion(
        source=source,
        destination=destination,
        source_format=checkpoint.source,
        source_sha256=digest,
        dtypes=tuple(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in state_dict.values()})),
        parameters=sum(tensor.numel() for tensor in state_dict.values()),
        size=destination.stat().st_size,
    )


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _strip_prefixes(container: Container) -> tuple[dict[str, torch.Tensor], str]:
    """Takes prefixes off, leaves out what a whole checkpoint holds beside the model, and names the source."""
    source = "safetensors" if container.kind == "safetensors" else "published .pth"
    tensors = container.tensors
    if any(name.startswith(_MODEL_SAVE) for name in tensors):
        source = "ComfyUI ModelSave"
        tensors = {name: value for name, value in tensors.items() if name.startswith(_MODEL_SAVE)}
    own = {name for name in tensors if name.startswith(_CONFIG_PREFIX)}
    while prefix := next((p for p in _PREFIXES if _all_start(tensors.keys() - own, p)), None):
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
        own = {name for name in tensors if name.startswith(_CONFIG_PREFIX)}
    return to_published_keys(tensors), source


def _all_start(names: set[str], prefix: str) -> bool:
    return bool(names) and all(name.startswith(prefix) for name in names)


def _is_ace(state_dict: Mapping[str, torch.Tensor]) -> bool:
    """Enough of ACE's own names that a missing tensor means a damaged ACE file rather than another model."""
    return any(_last(name) == _TABLE for name in state_dict) and any(
        name.startswith("blocks.") and name.endswith((".attn.q.weight", ".cross_attn.q.weight")) for name in state_dict
    )


def _explain_not_ace(path: Path, container: Container) -> str:
    shapes = {name: tuple(tensor.shape) for name, tensor in container.tensors.items()}
    found = detect_from_tensors(shapes)
    if found is not None:
        return f"{path} is not an ACE model: it looks like {found.name}. {found.advice}"
    some = ", ".join(f"{name} {list(shape)}" for name, shape in list(shapes.items())[:4])
    return (
        f"{path} is not an ACE model, and not one that is recognised: it holds {len(shapes)} tensors, among them "
        f"{some}. {_EXPECTED}; choose that file"
    )


def _initialize_from_pixart(path: Path, state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    if is_pixart_sigma(state_dict):
        raise CheckpointError(
            f"{path} is PixArt-Σ, which draws in the latent space of the SDXL VAE and reads 300 text tokens; ACE uses "
            "the VAE of Stable Diffusion 1.x. Initialise from PixArt-α instead (for example PixArt-XL-2-512x512.pth "
            "from PixArt-alpha/PixArt-alpha on Hugging Face)"
        )
    ignored = "; its size and aspect ratio embedders are left out" if has_micro_conditions(state_dict) else ""
    logger.warning(
        "%s is PixArt-α, not ACE: it initialises an ACE model for training%s. It cannot edit before it is trained.",
        path,
        ignored,
    )
    return from_pixart(state_dict)


def _check_complete(path: Path, state_dict: Mapping[str, torch.Tensor], config: ACEConfig) -> None:
    """Every tensor is there, none is left over, and all have the shapes that the configuration implies."""
    expected = to_published_keys(ACEModel(config, device="meta").state_dict())
    missing = [name for name in expected if name not in state_dict]
    unexpected = [name for name in state_dict if name not in expected]
    wrong = [
        f"{name} {list(state_dict[name].shape)} instead of {list(tensor.shape)}"
        for name, tensor in expected.items()
        if name in state_dict and state_dict[name].shape != tensor.shape
    ]
    faults = [
        f"{len(names)} {kind} ({', '.join(names[:3])}{' …' if len(names) > 3 else ''})"
        for kind, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", wrong))
        if names
    ]
    if not faults:
        return
    raise CheckpointError(
        f"{path} looks like an ACE model of width {config.hidden_size} with {config.depth} blocks, "
        f"but of its {len(expected)} tensors: {'; '.join(faults)}. It was saved incompletely or belongs to a variant "
        "that is not supported; get the file again or save the whole state dict"
    )


def _unshare_storage(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Contiguous tensors that share no storage: safetensors writes no other."""
    seen: set[int] = set()
    result = {}
    for name, tensor in state_dict.items():
        storage = tensor.untyped_storage()
        whole = tensor.is_contiguous() and storage.nbytes() == tensor.nbytes and storage.data_ptr() not in seen
        result[name] = tensor if whole else tensor.clone(memory_format=torch.contiguous_format)
        seen.add(storage.data_ptr())
    return result


def _check_destination(path: Path, overwrite: bool) -> Path:
    if path.suffix not in {".safetensors", ".sft"}:
        raise CheckpointError(f"{path} does not end in .safetensors, the only format that is written; change the name")
    if path.exists() and not overwrite:
        raise CheckpointError(f"{path} exists already; choose another name, or allow it to be overwritten")
    return path


def _cast(name: str, tensor: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
    if dtype is None or tensor.dtype == dtype:
        return tensor
    if dtype in FP8_DTYPES and not (tensor.ndim == 2 and name.startswith("blocks.") and name.endswith(".weight")):
        dtype = torch.bfloat16
    cast = tensor.to(dtype)
    if not torch.isfinite(cast.float()).all():
        largest = tensor.float().abs().max().item()
        raise CheckpointError(
            f"{name} has values up to {largest:.4g}, which {str(dtype).removeprefix('torch.')} cannot hold; "
            "use bfloat16 or float32"
        )
    return cast


def _licence(source: Path, metadata: Mapping[str, str]) -> dict[str, str]:
    """The licence that the file itself or the model card of its folder states; nothing is assumed."""
    if "license" in metadata:
        return {"license": metadata["license"]}
    for folder in source.resolve().parents[:3]:  # FOLDER/models/dit/file
        card = folder / "README.md"
        if not card.is_file():
            continue
        front, _, _ = card.read_text(encoding="utf-8-sig", errors="replace").removeprefix("---").partition("\n---")
        for line in front.splitlines():
            if line.startswith("license:"):
                return {"license": line.removeprefix("license:").strip()}
        return {}
    return {}
