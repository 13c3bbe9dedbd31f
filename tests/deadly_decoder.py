"""A stand-in for a decoder that takes its process with it; in a file of its own, because every new process imports it."""

from __future__ import annotations

import os

import numpy as np
from comfyui_ace.training.match.descriptors.layout import LayoutDescriptor


def deadly(pixels: np.ndarray) -> np.ndarray:
    """Ends the process at a picture whose first pixel is red; any other one is prepared."""
    if pixels[0, 0, 0] > 250 and pixels[0, 0, 1] < 5:
        os._exit(13)
    return LayoutDescriptor.prepare(pixels)
