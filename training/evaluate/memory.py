"""The most memory that sampling takes."""

from __future__ import annotations

from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")


class MemoryMeter:
    """Measures one device: the allocator's peak on CUDA, on a CPU the process's resident memory at every update.

    Args:
        device: to measure; on CUDA its peak is reset.

    Attributes:
        peak: bytes, or None where this system does not tell.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device if device.type == "cuda" else None
        self.peak: int | None = None
        if self._cuda is not None:
            torch.cuda.reset_peak_memory_stats(self._cuda)

    def update(self) -> None:
        """Takes the memory in use into account; to be called while it is in use."""
        if self._cuda is not None:
            self.peak = torch.cuda.max_memory_allocated(self._cuda)
        elif (now := resident_bytes()) is not None:
            self.peak = max(self.peak or 0, now)


def resident_bytes() -> int | None:
    """The process's resident set size now; None where the system does not tell."""
    if not _STATUS.is_file():
        return None
    line = next(line for line in _STATUS.read_text(encoding="ascii").splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024
