"""Encoded pictures, masks and texts on disk: one safetensors file for each, named by a hash of all it depends on.

A file is there whole or not at all, so several runs and processes may share a folder; deleting it costs only time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from ....ace.files import atomic_write
from ..errors import DataError
from .items import MaskItem, PictureItem, fit_numbers

CACHE_VERSION = 1
"""Counts up whenever the same inputs would give other tensors: a change of fitting, cleaning, scaling or layout."""

_TENSOR = "value"


@dataclass(frozen=True)
class TextItem:
    """A frame's text."""

    text: str


@dataclass(frozen=True)
class IndicatorItem:
    """The I-Emb table."""


Item = PictureItem | MaskItem | TextItem | IndicatorItem


@dataclass(frozen=True)
class EncoderIdentity:
    """What the stored tensors depend on beside the pictures and texts.

    Attributes:
        vae, text_encoder, tokenizer: hashes of the frozen parts.
        dtype: what the numbers are stored in.
        text_dtype: what the text encoder computes in.
    """

    vae: str
    text_encoder: str
    tokenizer: str
    dtype: torch.dtype
    text_dtype: torch.dtype

    @property
    def sha256(self) -> str:
        """Of the frozen parts alone, whatever the dtypes: to the model, what other encoders make means nothing."""
        return hashlib.sha256("|".join((self.vae, self.text_encoder, self.tokenizer)).encode()).hexdigest()


class Cache:
    """Encoded tensors by item.

    Args:
        folder: made when something is written.
        identity: of the encoders; other encoders have other keys.
    """

    def __init__(self, folder: Path, identity: EncoderIdentity) -> None:
        self.folder, self.identity = folder, identity
        self._keys: dict[Item, str] = {}

    def key(self, item: Item) -> str:
        """64 hex digits over everything that the item's tensor depends on."""
        known = self._keys.get(item)
        if known is None:
            known = self._keys[item] = hashlib.sha256(json.dumps(self._dependencies(item)).encode()).hexdigest()
        return known

    def path(self, item: Item) -> Path:
        """The item's file, whether it is there or not."""
        key = self.key(item)
        return self.folder / key[:2] / f"{key}.safetensors"

    def __contains__(self, item: Item) -> bool:
        return self.path(item).is_file()

    def write(self, item: Item, tensor: torch.Tensor) -> None:
        """Stores a tensor with a header that says what it is.

        Raises:
            DataError: the disk is full or not writable; nothing half-written is left.
        """
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        tensor = tensor.detach().to("cpu", self.identity.dtype).contiguous()
        path = self.path(item)
        try:
            with atomic_write(path, tensor.nbytes) as temporary:
                save_file({_TENSOR: tensor}, temporary, metadata=self._header(item))
        except (OSError, SafetensorError) as error:
            raise DataError(
                f"{path} cannot be written ({error}). Free some space or choose another data.cache; what is cached "
                "already stays, and the same command goes on from there"
            ) from error

    def read(self, item: Item) -> torch.Tensor:
        """The stored tensor in float32.

        Returns:
            picture (4, h, w), mask (1, h, w), text (L, Y), I-Emb table (rows, Y).

        Raises:
            DataError: it is not there or damaged.
        """
        return read_tensor(self.path(item))[0].float()

    def _dependencies(self, item: Item) -> list:
        """What the item's key is a hash of."""
        identity = self.identity
        common = [CACHE_VERSION, type(item).__name__, str(identity.dtype)]
        if isinstance(item, PictureItem):
            blanked = None if item.blanked is None else item.blanked.digest
            return [*common, identity.vae, item.digest, fit_numbers(item.fit), blanked, *_flipped(item)]
        if isinstance(item, MaskItem):
            return [*common, item.digest, fit_numbers(item.fit), *_flipped(item)]
        text = item.text if isinstance(item, TextItem) else None
        return [*common, identity.text_encoder, identity.tokenizer, str(identity.text_dtype), text]

    def _header(self, item: Item) -> dict[str, str]:
        """Entries of the safetensors header, for people and for decoding."""
        header = {"kind": type(item).__name__.removesuffix("Item").lower(), "cache_version": str(CACHE_VERSION)}
        if isinstance(item, (PictureItem, MaskItem)):
            header |= {"file": item.path.name, "file_sha256": item.digest, "fit": item.fit.describe()}
            header |= {"flip": item.flip} if item.flip else {}
        if isinstance(item, TextItem):
            header["text"] = item.text
        return header


def _flipped(item: PictureItem | MaskItem) -> list[str]:
    """As it is written into a key; nothing for what is not flipped, whose keys are then those of earlier versions."""
    return [item.flip] if item.flip else []


def read_tensor(path: Path) -> tuple[torch.Tensor, Mapping[str, str]]:
    """A cached tensor as stored, and its header.

    Raises:
        DataError: it is not there or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            # A copy: tens of thousands of mapped files exhaust a process's mappings, and a file cut short would kill it.
            return file.get_tensor(_TENSOR).clone(), file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"the cached file {path} cannot be read ({error}); delete it and run the command again"
        ) from error
