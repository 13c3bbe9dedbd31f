"""Several processes that go on together or stop together: a process that fails alone leaves the others waiting for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

from ..errors import DataError, TrainError

T = TypeVar("T")


class Company:
    """The processes of a run. All methods are collective calls: every process has to make them, in the same order.

    Args:
        accelerator: accelerate's.
    """

    def __init__(self, accelerator: Any) -> None:
        self.accelerator = accelerator
        self._agreed: BaseException | None = None

    @property
    def alone(self) -> bool:
        return self.accelerator.num_processes == 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.accelerator.is_main_process

    def knows(self, error: BaseException) -> bool:
        """Whether all processes have stopped because of this error, so that they can still do something together."""
        return self.alone or self._agreed is error

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Of each flag, whether it is set in any process."""
        if self.alone:
            return flags
        numbers = torch.tensor([float(flag) for flag in flags], device=self.accelerator.device)
        return tuple(number > 0 for number in self.accelerator.reduce(numbers, "sum").tolist())

    def together(self, action: Callable[[], T]) -> T:
        """Does something in every process; the action itself must not be collective.

        Raises:
            Exception: where the action fails, what it raises; elsewhere DataError or TrainError with the same message.
        """
        if self.alone:
            return action()
        result, error = None, None
        try:
            result = action()
        except Exception as caught:
            error = caught
        (failed,) = self.any(error is not None)
        if failed:
            self._agreed = error = self._common_error(error)
            raise error
        return result

    def on_first(self, action: Callable[[], T]) -> T | None:
        """Does something in the first process, while the others wait.

        Returns:
            the action's result there, None elsewhere.

        Raises:
            Exception: as :meth:`together`.
        """
        return self.together(lambda: action() if self.first else None)

    def _common_error(self, error: Exception | None) -> Exception:
        from accelerate.utils import gather_object

        told = gather_object([None if error is None else (isinstance(error, DataError), str(error))])
        if error is not None:
            return error
        kind = DataError if any(one[0] for one in told if one) else TrainError
        return kind("; ".join(dict.fromkeys(one[1] for one in told if one)))
