"""Fills the cache: pictures through the VAE, masks to the latent's size, texts through the text encoder."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from ....ace.devices import half_precision
from ....ace.lcu.frames import FittedFrame, fit_frames
from ....ace.lcu.indicators import MAX_IMAGES, indicator
from ....ace.lcu.units import Frame, ResolvedContext
from ....ace.pictures.fit import Fit
from ....ace.pictures.resolution import Resolution
from ....ace.text import T5TextEncoder, encode_indicators, encode_text
from ....ace.vae import DiffusersVAE
from ...dataset.disk.images import read_image, read_mask
from ...errors import DatasetError
from ..errors import DataError
from ..progress import Progress, silent_progress
from .cache import Cache, EncoderIdentity, IndicatorItem, Item, TextItem
from .examples import Example, Examples
from .file_index import FileIndex
from .items import FLIPS, MaskItem, PictureItem
from .text_troubles import TextTroubles

_log = logging.getLogger(__name__)
_PREFETCHED = 4  # pictures that are decoded while the VAE is busy


@dataclass(frozen=True)
class EncoderFiles:
    """Where the frozen parts lie.

    Attributes:
        vae: file.
        text_encoder, tokenizer: folders.
    """

    vae: Path
    text_encoder: Path
    tokenizer: Path

    def identity(self, files: FileIndex, dtype: torch.dtype, device: torch.device | str) -> EncoderIdentity:
        """Of what encoders on ``device`` make, stored in ``dtype``; ``files`` remembers their hashes."""
        parts = (files.checksum(part) for part in (self.vae, self.text_encoder, self.tokenizer))
        return EncoderIdentity(*parts, dtype, _text_dtype(device))

    def load_vae(self, device: torch.device | str) -> DiffusersVAE:
        """The VAE, in float32."""
        return DiffusersVAE.load(self.vae, device=device)

    def load_text_encoder(self, device: torch.device | str) -> T5TextEncoder:
        """The text encoder: in float32 on a CPU, in bfloat16 on devices that compute in it."""
        return T5TextEncoder.load(self.text_encoder, self.tokenizer, dtype=_text_dtype(device), device=device)


def _text_dtype(device: torch.device | str) -> torch.dtype:
    """The published encoder has 4.7 billion parameters, which few GPUs hold in float32. The VAE is always float32."""
    return half_precision(device)


def items_of(example: Example) -> Iterator[Item]:
    """All that must be encoded for an example."""
    yield example.target
    yield from example.references
    yield from (mask for mask in example.masks if mask is not None)
    yield from (TextItem(text) for texts in example.all_texts for text in texts)


def fill_cache(
    cache: Cache,
    examples: Examples,
    encoders: EncoderFiles,
    *,
    device: torch.device | str = "cpu",
    process_index: int = 0,
    num_processes: int = 1,
    skip_bad: bool = False,
    progress: Progress = silent_progress,
) -> None:
    """Encodes what the examples need and the cache lacks. Encoders are opened only if they are needed.

    Args:
        cache: to fill.
        examples: whose pictures, masks and texts are needed.
        encoders: where the VAE and the text encoder lie.
        device: where they run.
        process_index, num_processes: of all missing items this process encodes those whose turn it is.
        skip_bad: log pictures that cannot be decoded instead of raising; see :func:`drop_uncached`.
        progress: told how many texts and pictures are done; an exception it raises stops the work.

    Raises:
        DataError: a picture cannot be decoded (its pair is named), or the disk is full.
    """
    owners: dict[Item, Example] = {}
    for example in (*examples.train, *examples.further_views, *examples.validation):
        for item in items_of(example):
            owners.setdefault(item, example)
    missing = [item for item in (IndicatorItem(), *owners) if item not in cache]
    missing = missing[process_index::num_processes]
    words = [item for item in missing if isinstance(item, (TextItem, IndicatorItem))]
    pictures = [item for item in missing if not isinstance(item, (TextItem, IndicatorItem))]
    if words:
        progress("encoding texts", 0, len(words))
        text_encoder = encoders.load_text_encoder(device)
        troubles = TextTroubles()
        for done, item in enumerate(words, 1):
            pair = owners[item].id if item in owners else ""
            cache.write(item, _encode_item(item, text_encoder, troubles, pair))
            progress("encoding texts", done, len(words))
        troubles.report(_log.warning)
        del text_encoder  # the largest part by far: gone before the VAE comes
    if not pictures:
        return
    progress("encoding pictures", 0, len(pictures))
    vae = encoders.load_vae(device) if any(isinstance(item, PictureItem) for item in pictures) else None
    for done, (item, load) in enumerate(_prefetched(pictures), 1):
        try:
            pixels = load()
        except (ValueError, DatasetError) as error:
            message = f"pair {owners[item].id} of {owners[item].folder} cannot be read: {error}"
            if not skip_bad:
                raise DataError(
                    f"{message} What is cached stays. Repair the pair, or set data.on_bad_pair to skip to go on without it"
                ) from error
            _log.warning("skipped: %s", message)
            continue
        cache.write(item, vae.encode(pixels)[0] if isinstance(item, PictureItem) else pixels)
        progress("encoding pictures", done, len(pictures))


def drop_uncached(examples: Examples, cache: Cache) -> Examples:
    """The examples without those that could not be encoded.

    Raises:
        DataError: nothing is left to train on.
    """

    def is_there(example: Example) -> bool:
        return all(item in cache for item in items_of(example))

    # A picture that cannot be decoded lacks all its views.
    views = dict(zip(examples.train, examples.views, strict=False))
    train, validation = (tuple(filter(is_there, split)) for split in (examples.train, examples.validation))
    lost = len(examples.train) + len(examples.validation) - len(train) - len(validation)
    if not lost:
        return examples
    if not train:
        raise DataError("no pair could be encoded; see the messages above")
    left_out = {**examples.left_out, "pictures cannot be decoded": lost}
    views = tuple(views[example] for example in train if example in views)
    return replace(examples, train=train, validation=validation, left_out=left_out, views=views)


def _encode_item(
    item: TextItem | IndicatorItem, encoder: T5TextEncoder, troubles: TextTroubles, pair: str
) -> torch.Tensor:
    """(L, Y) of a text of a pair, or the whole I-Emb table, the row past the published ten included."""
    if isinstance(item, TextItem):
        troubles.look_at(item.text, encoder.tokenizer, pair)
        return encode_text(item.text, encoder, partial(troubles.cut, pair), letters=False)[0]
    return encode_indicators(encoder, MAX_IMAGES + 1)


def _prefetched(items: Iterable[Item]) -> Iterator[tuple[Item, Callable[[], torch.Tensor]]]:
    """Each item with a function that waits for its pixels; the next few are decoded meanwhile."""
    waiting: deque = deque()
    with ThreadPoolExecutor(max_workers=2) as pool:
        for item in items:
            waiting.append((item, pool.submit(fitted_pixels, item)))
            if len(waiting) > _PREFETCHED:
                item, future = waiting.popleft()
                yield item, future.result
        for item, future in waiting:
            yield item, future.result


def fitted_pixels(item: PictureItem | MaskItem) -> torch.Tensor:
    """What is encoded of an item.

    Returns:
        of a picture (1, H, W, 3), 0 … 1, at the model's size; of a mask (1, h, w) at the latent's.

    Raises:
        ImageError, ValueError: the file is damaged or has changed.
    """
    if isinstance(item, MaskItem):
        return _latent_mask(item).flip(FLIPS[item.flip])
    image = torch.from_numpy(read_image(item.path).pixels)[None].float() / 255.0
    mask, fill = None, "keep"
    if item.blanked is not None:
        mask, fill = _read_mask(item.blanked), "blank"
    fitted = FittedFrame(Frame(image, mask, "", indicator(0), 0, fill), item.fit, None).image()
    return fitted.movedim(-1, 1).flip(FLIPS[item.flip]).movedim(1, -1)


def _read_mask(item: MaskItem) -> torch.Tensor:
    """(1, H, W), 0 … 1, at the file's size."""
    return torch.from_numpy(read_mask(item.path).pixels)[None].float() / 255.0


def _latent_mask(item: MaskItem) -> torch.Tensor:
    """(1, h, w) of zeros and ones at the latent's size, by the rule for frames."""
    mask = _read_mask(item)
    frame = Frame(torch.zeros(()).expand(*mask.shape, 3), mask, "", indicator(0), 0)
    fitted = fit_frames(ResolvedContext((frame,), "", 0), _fixed(item.fit))
    return fitted[0].mask[0]


def _fixed(fit: Fit) -> Resolution:
    """A rule for sizes that gives every picture this fit."""
    return Resolution(lambda _height, _width: fit, (fit.height, fit.width))
