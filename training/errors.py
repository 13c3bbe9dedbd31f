"""Errors of datasets, each in the words of the person who has to act on it."""

from __future__ import annotations


class DatasetError(RuntimeError):
    """A dataset cannot be opened, written or read; the message says what to do."""


class WriteError(DatasetError):
    """The disk refuses: it is full, read-only, gone or locked. The same pair can be written later.

    Attributes:
        reason: why, in a few words.
    """

    def __init__(self, message: str, reason: str):
        super().__init__(message)
        self.reason = reason


class DatasetNameError(DatasetError, ValueError):
    """A dataset name that could leave the datasets folder or that some system cannot store."""


class ImageError(DatasetError, ValueError):
    """A picture that cannot be read, is too large, or has values that mean nothing."""


class PairError(DatasetError, ValueError):
    """A pair that the caller put together wrongly (as opposed to one that a check rejects)."""


class CheckError(DatasetError, ValueError):
    """A quality check that is not known, or a value that it cannot have."""


class RowError(DatasetError, ValueError):
    """A line of metadata that does not describe a pair of this format."""


class UnknownDatasetError(DatasetError, ValueError):
    """There is no such dataset; it may have gone meanwhile."""


class UnknownPairError(DatasetError, ValueError):
    """There is no such pair, kept or deleted; it may have gone meanwhile."""


class StalePairError(DatasetError, ValueError):
    """A pair was changed elsewhere since it was looked at; nothing is overwritten.

    Attributes:
        pair_id: which one.
    """

    def __init__(self, message: str, pair_id: str):
        super().__init__(message)
        self.pair_id = pair_id
