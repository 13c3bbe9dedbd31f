"""Item i with item i: from what ComfyUI hands to a marker (lists of batches) to one value a result.

ComfyUI repeats the last item of a list that is too short. Here a count that does not fit is an error, because a picture
paired with another's result is worse than none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


class Mismatch(ValueError):
    """Numbers of pictures that cannot be paired."""


def sizes(batches: Sequence[torch.Tensor]) -> list[int]:
    """How many pictures each batch of a list has."""
    return [batch.shape[0] for batch in batches]


def pair_pictures(batches: Sequence[torch.Tensor], results: Sequence[int], what: str) -> list[torch.Tensor]:
    """One picture (H, W, C), or mask (H, W), for each result.

    results: pictures in each batch of the results. One picture goes with all results; one a batch goes with its batch.

    Raises:
        Mismatch: other numbers.
    """
    given, total = sizes(batches), sum(results)
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
    raise Mismatch(
        f"{_counted(given, what)} cannot be paired with {_counted(results, 'result')}. There must be as many, or one for all."
    )


def pair_values(values: Sequence[Any], results: Sequence[int], what: str) -> list[Any]:
    """One value (a text, a number) for each result: one for all, one a batch, or one a picture.

    Raises:
        Mismatch: other numbers.
    """
    total = sum(results)
    if len(values) == 1:
        return list(values) * total
    if len(values) == len(results):
        return [value for value, many in zip(values, results, strict=True) for _ in range(many)]
    if len(values) == total:
        return list(values)
    raise Mismatch(f"{_counted([1] * len(values), what)} cannot be paired with {_counted(results, 'result')}.")


def _counted(given: Sequence[int], what: str) -> str:
    text = f"{sum(given)} {what}{'' if sum(given) == 1 else 's'}"
    return text if len(given) == 1 or set(given) == {1} else f"{text} (in batches of {', '.join(map(str, given))})"
