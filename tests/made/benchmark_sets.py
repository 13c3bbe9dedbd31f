"""Pictures and sessions of small benchmarks."""

from __future__ import annotations

import numpy as np
from comfyui_ace.training.evaluate.benchmarks.readers import find_benchmark
from PIL import Image


def flat(*colour, size=(40, 30)) -> Image.Image:
    return Image.new("RGB", size, colour)


def noise(seed, size=(40, 30)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def sessions_of(name, folder):
    benchmark, place = find_benchmark(name, folder)
    return list(benchmark.read(place))
