"""Time spent in the linear layers of a model."""

from __future__ import annotations

from types import TracebackType

import torch
from torch import nn

from ..timing import clock


class LayerTimer:
    """Adds up the time of all linear layers while it is open.

    ``seconds`` is read after closing. On an accelerator events are recorded on the stream, so that nothing waits.
    """

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        self._layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
        self._on_cpu, self._now = device.type == "cpu", clock(device)
        self._marks: list = []  # start, end, start, end … since linear layers do not nest
        self.seconds = 0.0

    def __enter__(self) -> LayerTimer:
        self._handles = [layer.register_forward_pre_hook(self._mark) for layer in self._layers]
        self._handles += [layer.register_forward_hook(self._mark) for layer in self._layers]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        pairs = zip(self._marks[::2], self._marks[1::2], strict=True)
        if self._on_cpu:
            self.seconds = sum(end - start for start, end in pairs)
        else:
            torch.accelerator.synchronize()
            self.seconds = sum(start.elapsed_time(end) for start, end in pairs) / 1000

    def _mark(self, *_: object) -> None:
        if self._on_cpu:
            self._marks.append(self._now())
            return
        event = torch.Event(enable_timing=True)
        event.record()
        self._marks.append(event)
