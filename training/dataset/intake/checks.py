"""Quality checks: what a pair must pass before it is stored, each with a threshold and a switch.

A finding carries the measured value beside the threshold, so that an artist can see by how much a pair failed and what
to change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageChops
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...errors import CheckError, DatasetError
from ..disk.images import read_image
from ..disk.storage import safe_file
from .prepare import PreparedPair, image_labels

if TYPE_CHECKING:
    from ..disk.index import PairIndex

_BLOCK = 16  # pixels; the side of the squares in which a local edit is looked for
_MOST_COMPARED = 32  # kept results of the same source, each of which is decoded


class CheckSettings(BaseModel):
    """Switches and thresholds of the checks. Unknown names are refused.

    Picture differences are in levels of 0..255, sizes are relative, hash distances in bits of 128.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    no_op: bool = Field(True, description="Reject a result that equals its source.")
    no_op_mean: float = Field(1.0, ge=0, description="Equal when the mean difference is below this …")
    no_op_block: float = Field(8.0, ge=0, description="… and no 16x16 block differs by more than this on average.")
    size: bool = Field(True, description="Reject a result of another size than its source.")
    size_tolerance: float = Field(0.02, ge=0, description="Relative difference of width or height that passes.")
    aspect: bool = Field(True, description="Reject a result of another aspect ratio than its source.")
    aspect_tolerance: float = Field(0.02, ge=0, description="Relative difference of the ratios that passes.")
    near_duplicate: bool = Field(True, description="Reject a pair that looks like one already kept.")
    near_duplicate_bits: int = Field(
        2, ge=0, le=128, description="Similar when source and target both differ by at most"
    )
    near_duplicate_colour: float = Field(3.0, ge=0, description="… and their mean colours by at most this …")
    near_duplicate_block: float = Field(
        8.0, ge=0, description="… and, for two results of one source, no 16x16 block by more than this on average."
    )
    blank: bool = Field(True, description="Reject pairs with a picture of one colour.")
    blank_std: float = Field(1.0, ge=0, description="Blank when the standard deviation is below this.")
    non_finite: bool = Field(True, description="Reject pictures with NaN or infinite values.")
    non_finite_share: float = Field(0.0, ge=0, le=1, description="Share of such values that passes.")
    mask: bool = Field(True, description="Reject results that changed outside the mask rather than inside.")
    mask_ratio: float = Field(2.0, ge=0, description="Mean change outside over mean change inside that passes.")

    def changes(self) -> dict[str, bool | int | float]:
        """The settings that differ from the defaults."""
        return self.model_dump(exclude_defaults=True)


@dataclass(frozen=True)
class Finding:
    """One reason against a pair.

    Attributes:
        check: name of the check.
        value: what was measured, in the units of the check's setting.
        limit: what would have passed, in the same units.
        message: both in words.
    """

    check: str
    value: float
    limit: float
    message: str

    def to_dict(self) -> dict[str, object]:
        """As ``rejected.jsonl`` holds it."""
        return {"check": self.check, "value": self.value, "limit": self.limit, "message": self.message}


def parse_checks(given: Iterable[str]) -> CheckSettings:
    """Settings from texts such as "no_op=off" and "size_tolerance=0.1".

    Raises:
        CheckError: a text has another form, there is no such check, or it cannot have this value.
    """
    values = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise CheckError(f"A check is set as NAME=VALUE, for example no_op=off; got {text!r:.80}.")
        values[name.strip()] = value.strip()
    try:
        return CheckSettings(**values)
    except ValidationError as error:
        known = ", ".join(CheckSettings.model_fields)
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise CheckError(f"{problems}. The checks and their numbers are {known}.") from None


def run_checks(pair: PreparedPair, settings: CheckSettings, index: PairIndex | None = None) -> tuple[Finding, ...]:
    """Runs the checks that are switched on, the cheapest first.

    Args:
        index: of the stored pairs; None skips the search for near-duplicates.

    Returns:
        All findings against the pair.
    """
    findings = [*_mask_sizes(pair)]
    if settings.non_finite:
        findings += _non_finite(pair, settings)
    if settings.blank:
        findings += _blank(pair, settings)
    if pair.source is not None:
        findings += _geometry(pair, settings)
        difference = _difference(pair.source, pair.target)
        if settings.no_op:
            findings += _no_op(difference, settings)
        if settings.mask and pair.masks[0] is not None and not any(f.check == "mask_size" for f in findings):
            findings += _outside_mask(difference, pair.masks[0], settings)
    if settings.near_duplicate and index is not None:
        findings += find_near_duplicate(pair, settings, index)
    return tuple(findings)


def find_near_duplicate(pair: PreparedPair, settings: CheckSettings, index: PairIndex) -> list[Finding]:
    """Searches the stored pairs for a near-duplicate: the one check that depends on other pairs.

    Of very many similar pairs only the most similar are compared.

    Returns:
        One finding or none.
    """
    limits = settings.near_duplicate_bits, settings.near_duplicate_colour
    for kept, bits in index.find_similar(pair.perceptual_hash, *limits)[:_MOST_COMPARED]:
        if not _other_variant(pair, kept, settings, index):
            message = f"looks almost like the pair {kept} that was kept before; near_duplicate=off keeps both"
            return [Finding("near_duplicate", float(bits), float(limits[0]), message)]
    return []


def _other_variant(pair: PreparedPair, kept: str, settings: CheckSettings, index: PairIndex) -> bool:
    """Whether a stored pair has the very same source and its result differs somewhere.

    The perceptual hash sees a picture as a whole: two results of one seed each that put another small thing into the same
    place look the same to it, and the difference is all that a student could learn from them.
    """
    try:
        row = index.row(kept)
        if pair.source is None or row.source_hash != pair.source_hash:
            return False
        target = read_image(safe_file(index.folder, row.target_file_name)).pixels
    except DatasetError:
        # Taken out just now, or damaged meanwhile, which is for ``check`` to tell.
        return kept not in index
    return target.shape != pair.target.shape or _largest_block(_difference(target, pair.target)) > (
        settings.near_duplicate_block
    )


def _mask_sizes(pair: PreparedPair) -> list[Finding]:
    """A mask of another size than its picture cannot be trained on: no switch."""
    findings = []
    for label, image, mask in zip(image_labels(len(pair.images)), pair.images, pair.masks, strict=True):
        if mask is not None and mask.shape != image.shape[:2]:
            message = (
                f"the mask of the {label} is {mask.shape[1]}x{mask.shape[0]}, "
                f"its picture {image.shape[1]}x{image.shape[0]}"
            )
            findings.append(Finding("mask_size", float(mask.size), float(image.shape[0] * image.shape[1]), message))
    return findings


def _non_finite(pair: PreparedPair, settings: CheckSettings) -> list[Finding]:
    return [
        Finding("non_finite", share, settings.non_finite_share, f"{share:.2%} of the {label} is NaN or infinite")
        for label, share in pair.non_finite.items()
        if share > settings.non_finite_share
    ]


def _blank(pair: PreparedPair, settings: CheckSettings) -> list[Finding]:
    named = [*zip(image_labels(len(pair.images)), pair.images, strict=True), ("target", pair.target)]
    findings = []
    for label, pixels in named:
        deviation = _standard_deviation(pixels)
        if deviation < settings.blank_std:
            message = f"the {label} is blank (standard deviation {deviation:.2f}, at least {settings.blank_std:g})"
            findings.append(Finding("blank", deviation, settings.blank_std, message))
    return findings


def _standard_deviation(pixels: np.ndarray) -> float:
    """Largest standard deviation of the three colours of (H, W, 3) uint8, in levels.

    Computed from histograms, which takes no float copy of the picture.
    """
    counts = np.array(Image.fromarray(pixels).histogram(), dtype=np.float64).reshape(3, 256)
    share = counts / counts.sum(axis=1, keepdims=True)
    levels = np.arange(256)
    mean = share @ levels
    return float(np.sqrt(np.maximum(share @ levels**2 - mean**2, 0)).max())


def _geometry(pair: PreparedPair, settings: CheckSettings) -> list[Finding]:
    (height, width), (new_height, new_width) = pair.source.shape[:2], pair.target.shape[:2]
    sizes = f"source {width}x{height}, result {new_width}x{new_height}"
    findings = []
    by_size = max(abs(new_width / width - 1), abs(new_height / height - 1))
    if settings.size and by_size > settings.size_tolerance:
        message = f"the size differs by {by_size:.1%}, at most {settings.size_tolerance:.1%} ({sizes})"
        findings.append(Finding("size", by_size, settings.size_tolerance, message))
    ratio = (new_width / new_height) / (width / height)
    by_aspect = max(ratio, 1 / ratio) - 1
    if settings.aspect and by_aspect > settings.aspect_tolerance:
        message = f"the aspect ratio differs by {by_aspect:.1%}, at most {settings.aspect_tolerance:.1%} ({sizes})"
        findings.append(Finding("aspect", by_aspect, settings.aspect_tolerance, message))
    return findings


def _difference(source: np.ndarray, target: np.ndarray) -> Image.Image:
    """Absolute difference of two (H, W, 3) uint8 as an RGB image at the source's size.

    Pillow does this and the statistics below in C on the bytes themselves: numpy would take several times as long and a
    float copy of the pictures.
    """
    before, after = Image.fromarray(source), Image.fromarray(target)
    if before.size != after.size:
        after = after.resize(before.size, Image.Resampling.BICUBIC)
    return ImageChops.difference(before, after)


def _mean(difference: Image.Image, where: Image.Image | None = None) -> float:
    """Mean over colours and pixels, or those pixels where ``where`` is not black, in levels."""
    counts = np.array(difference.histogram(where), dtype=np.float64).reshape(3, 256)
    return float((counts @ np.arange(256)).sum() / max(counts.sum(), 1))


def _largest_block(difference: Image.Image) -> float:
    """Mean of the block that differs most, in levels."""
    return float(np.asarray(difference.reduce(_BLOCK)).mean(axis=2).max())


def _no_op(difference: Image.Image, settings: CheckSettings) -> list[Finding]:
    mean = _mean(difference)
    if mean >= settings.no_op_mean:
        return []
    # A small local edit shows in the mean of its block and not in the mean of the picture.
    if _largest_block(difference) > settings.no_op_block:
        return []
    message = f"the result equals its source (mean difference {mean:.2f} levels, at least {settings.no_op_mean:g})"
    return [Finding("no_op", mean, settings.no_op_mean, message)]


def _outside_mask(difference: Image.Image, mask: np.ndarray, settings: CheckSettings) -> list[Finding]:
    inside = mask >= 128
    if inside.all():
        return []
    outside_mean = _mean(difference, Image.fromarray(~inside))
    inside_mean = _mean(difference, Image.fromarray(inside))
    # Below the no-op limit the outside has not changed in any way that matters, whatever the inside did.
    if outside_mean < settings.no_op_mean or outside_mean <= settings.mask_ratio * inside_mean:
        return []
    ratio = outside_mean / max(inside_mean, 1e-6)
    message = (
        f"the mask excludes the change: outside it the picture changed by {outside_mean:.1f} levels, "
        f"inside by {inside_mean:.1f}"
    )
    return [Finding("mask", ratio, settings.mask_ratio, message)]
