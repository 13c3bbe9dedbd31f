"""Several processes that go on together or stop together: one that fails alone would leave the others waiting for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

from ..errors import DataError, TrainError

T = TypeVar("T")


class Processes:
    """The processes of a run. All methods are collective calls: every process has to make them, in the same order.

    Args:
        accelerator: accelerate's ``Accelerator``.
    """

    def __init__(self, accelerator: Any) -> None:
        self.accelerator = accelerator
        self._shared_error: BaseException | None = None

    @property
    def is_single(self) -> bool:
        """Whether there is no other process."""
        return self.accelerator.num_processes == 1

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.accelerator.is_main_process

    def is_shared(self, error: BaseException) -> bool:
        """Whether all processes have stopped because of this error, so that they can still make collective calls."""
        return self.is_single or self._shared_error is error

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Of each flag, whether it is set in any process."""
        if self.is_single:
            return flags
        numbers = torch.tensor([float(flag) for flag in flags], device=self.accelerator.device)
        return tuple(number > 0 for number in self.accelerator.reduce(numbers, "sum").tolist())

    def from_main(self, number: float | None) -> float:
        """A number that only the main process has, others bringing None; a collective call."""
        if self.is_single:
            return number
        mine = torch.tensor(number or 0.0, device=self.accelerator.device)
        return self.accelerator.reduce(mine, "sum").item()

    def on_all(self, action: Callable[[], T]) -> T:
        """Calls a function in every process; the function itself must not be collective.

        Returns:
            the function's result in this process.

        Raises:
            Exception: where the function fails, what it raises; in the others DataError or TrainError with the same message.
        """
        if self.is_single:
            return action()
        result, error = None, None
        try:
            result = action()
        except Exception as caught:
            error = caught
        (failed,) = self.any(error is not None)
        if failed:
            self._shared_error = error = self._common_error(error)
            raise error
        return result

    def on_main(self, action: Callable[[], T]) -> T | None:
        """Calls a function in the main process, while the others wait.

        Returns:
            the function's result there, None in the others.

        Raises:
            Exception: as :meth:`on_all`.
        """
        return self.on_all(lambda: action() if self.is_main else None)

    def _common_error(self, error: Exception | None) -> Exception:
        """This process's own error, or one with the messages of the processes that have one; a collective call."""
        from accelerate.utils import gather_object

        reports = gather_object([None if error is None else (isinstance(error, DataError), str(error))])
        if error is not None:
            return error
        kind = DataError if any(one[0] for one in reports if one) else TrainError
        return kind("; ".join(dict.fromkeys(one[1] for one in reports if one)))
