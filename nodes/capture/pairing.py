"""Item i with item i: from what ComfyUI passes to a marker (lists of batches) to one value for each result.

ComfyUI repeats the last item of a list that is too short. Here a count that does not fit is an error, because a picture
paired with another's result is worse than none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


class PairingError(ValueError):
    """Numbers of pictures or values that cannot be paired."""


def batch_sizes(batches: Sequence[torch.Tensor]) -> list[int]:
    """How many pictures each batch (B, …) of a list has."""
    return [batch.shape[0] for batch in batches]


def pair_pictures(batches: Sequence[torch.Tensor], results: Sequence[int], label: str) -> list[torch.Tensor]:
    """One picture for each result: one for all, one for each batch, or one for each picture.

    Args:
        batches: pictures (B, H, W, C) or masks (B, H, W).
        results: how many pictures each batch of the results has.
        label: what the pictures are, for the error.

    Returns:
        As many as there are results: pictures (H, W, C) or masks (H, W).

    Raises:
        PairingError: other numbers.
    """
    given, total = batch_sizes(batches), sum(results)
    pictures = [picture for batch in batches for picture in batch.unbind()]
    one_batch = len(given) == 1 or len(results) == 1
    if given == list(results) or (len(pictures) == total and one_batch):
        return pictures
    if len(pictures) == 1:
        return pictures * total
    if len(given) == len(results) and all(one in (1, many) for one, many in zip(given, results, strict=True)):
        return [
            picture
            for batch, many in zip(batches, results, strict=True)
            for picture in (batch.unbind() if batch.shape[0] == many else batch.unbind() * many)
        ]
    raise PairingError(_cannot_be_paired(given, results, label))


def pair_values(values: Sequence[Any], results: Sequence[int], label: str) -> list[Any]:
    """One value (a text, a number) for each result: one for all, one for each batch, or one for each picture.

    Args:
        values: as many as there are results, or batches of them, or one.
        results: how many pictures each batch of the results has.
        label: what the values are, for the error.

    Raises:
        PairingError: other numbers.
    """
    total = sum(results)
    if len(values) == 1:
        return list(values) * total
    if len(values) == len(results):
        return [value for value, many in zip(values, results, strict=True) for _ in range(many)]
    if len(values) == total:
        return list(values)
    raise PairingError(_cannot_be_paired([1] * len(values), results, label))


def _cannot_be_paired(given: Sequence[int], results: Sequence[int], label: str) -> str:
    return (
        f"{_count(given, label)} cannot be paired with {_count(results, 'result')}. "
        "There must be as many, or one for all."
    )


def _count(given: Sequence[int], label: str) -> str:
    """A number with its noun: "3 results (in batches of 1, 2)"."""
    text = f"{sum(given)} {label}{'' if sum(given) == 1 else 's'}"
    return text if len(given) == 1 or set(given) == {1} else f"{text} (in batches of {', '.join(map(str, given))})"
