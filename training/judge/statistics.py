"""Rank correlation, its mean over raters, and how sure one can be of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Correlation:
    """Spearman's ρ with a 95 % interval by bootstrap over the pairs.

    Attributes:
        rho: None where it is not defined: fewer than three pairs, or one side all alike.
        low, high: of the interval; None where ρ is.
        pairs: how many were compared.
    """

    rho: float | None
    low: float | None
    high: float | None
    pairs: int

    @property
    def certain(self) -> bool:
        """Whether the interval lies above 0."""
        return self.low is not None and self.low > 0


def spearman(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Spearman's ρ, with mean ranks for ties; None where it is not defined.

    Raises:
        ValueError: the lengths differ.
    """
    from scipy.stats import rankdata

    if len(one) != len(other):
        raise ValueError(f"lists of one length are compared, got {len(one)} and {len(other)}")
    if len(one) < 3:
        return None
    ranks = np.stack([rankdata(one), rankdata(other)])
    ranks -= ranks.mean(axis=1, keepdims=True)
    spread = np.sqrt((ranks**2).sum(axis=1).prod())
    return None if spread == 0 else float(ranks.prod(axis=0).sum() / spread)


def fisher_mean(correlations: Sequence[float]) -> float:
    """Mean of correlations by Fisher's z: tanh of the mean of their artanh. ±1 is drawn in by a hair, to stay finite."""
    bounded = [max(-1 + 1e-12, min(1 - 1e-12, value)) for value in correlations]
    return math.tanh(sum(math.atanh(value) for value in bounded) / len(bounded))


def correlate(one: Sequence[float], other: Sequence[float], *, draws: int = 2000, seed: int = 0) -> Correlation:
    """Spearman's ρ and its interval; the same lists always give the same interval."""
    rho = spearman(one, other)
    if rho is None:
        return Correlation(None, None, None, len(one))
    first, second = np.asarray(one, float), np.asarray(other, float)
    random = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        chosen = random.integers(0, len(first), len(first))
        drawn = spearman(first[chosen], second[chosen])
        if drawn is not None:
            found.append(drawn)
    low, high = np.quantile(found, [0.025, 0.975])
    return Correlation(rho, float(low), float(high), len(one))
