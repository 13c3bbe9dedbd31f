"""How often the pairs tell rightly which augmentations a teacher commutes with.

    .venv/bin/python -m comfyui_ace.benchmarks.training.equivariance

Synthetic teachers on pictures of ace-tiny's small world: for each and each augmentation what is true, and in how many of
the draws of pairs the judgement was so. A false "safe" teaches a wrong edit; a false "not safe" only leaves augmentation out.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from ...training.tiny.world import operations
from ...training.tiny.world.pictures import Pictures
from ...training.trainer.data.equivariance import PairPixels, fit_local_map, judge_transform
from ..report import print_table
from .distillation import TEACHERS

TRANSFORMS = ("hflip", "vflip", "crop")
Edit = Callable[[torch.Tensor], torch.Tensor]  # (H, W, 3) -> (H, W, 3)


@dataclass(frozen=True)
class Known:
    """A teacher and what it commutes with: "h", "v", "c" in ``safe``."""

    edit: Edit
    safe: str


def _ramp(image: torch.Tensor, axis: int) -> torch.Tensor:
    """From -1 to 1 along an axis, (H, W, 1)."""
    height, width, _ = image.shape
    line = torch.linspace(-1, 1, (height, width)[axis])
    return (line[:, None] if axis == 0 else line[None, :]).expand(height, width)[..., None]


def _vignette(image: torch.Tensor, x: float, y: float) -> torch.Tensor:
    distance = (_ramp(image, 1) - x).square() + (_ramp(image, 0) - y).square()
    return image * (1 - 0.35 * distance).clamp(0.2, 1)


def _logo(image: torch.Tensor) -> torch.Tensor:
    result = image.clone()
    result[-20:-8, -28:-6] = image.new_tensor([0.9, 0.2, 0.1])
    return result


def _emboss(image: torch.Tensor, axis: int) -> torch.Tensor:
    return (0.5 + 2 * (image - image.roll(2, axis))).clamp(0, 1)


def _contrast(image: torch.Tensor) -> torch.Tensor:
    low, high = image.quantile(0.05), image.quantile(0.95)
    return ((image - low) / (high - low).clamp(min=0.05)).clamp(0, 1)


def _distilled(name: str) -> Edit:
    return lambda image: TEACHERS[name].result((image,), torch.ones(image.shape[:2]))


KNOWN = {
    "tone curve": Known(_distilled("tone curve"), "hvc"),
    "edge ink": Known(_distilled("edge ink"), "hvc"),
    "sepia": Known(operations.sepia, "hvc"),
    "negative": Known(operations.invert, "hvc"),
    "blur": Known(lambda image: operations.blur(image, 3.0), "hvc"),
    "posterise": Known(operations.posterise, "hvc"),
    "centred vignette": Known(lambda image: _vignette(image, 0, 0), "hv"),
    "off-centre vignette": Known(lambda image: _vignette(image, -0.5, 0.4), ""),
    "left to right gradient": Known(lambda image: (image * (1 + 0.3 * _ramp(image, 1))).clamp(0, 1), "v"),
    "top to bottom gradient": Known(lambda image: (image * (1 + 0.3 * _ramp(image, 0))).clamp(0, 1), "h"),
    "logo in a corner": Known(_logo, ""),
    "emboss from the left": Known(lambda image: _emboss(image, 1), "vc"),
    "emboss from above": Known(lambda image: _emboss(image, 0), "hc"),
    "shift to the right": Known(lambda image: image.roll(6, 1), "v"),
    "automatic contrast": Known(_contrast, "hv"),
    "quarter turn": Known(lambda image: image.rot90(1, (0, 1)), ""),
}


def judged(edit: Edit, seed: int, pairs: int) -> dict[str, bool]:
    """What is said of a teacher from some pairs, by augmentation; its instruction tells nothing."""
    pictures = Pictures("train", (128, 128), 1000 + seed)
    sources = [pictures[index] for index in range(pairs)]
    pixels = [PairPixels(image.movedim(-1, 0), edit(image).movedim(-1, 0)) for image in sources]
    residuals = fit_local_map(pixels)
    return {name: judge_transform(name, [], residuals).safe for name in TRANSFORMS}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m comfyui_ace.benchmarks.training.equivariance", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=16)
    arguments = parser.parse_args()
    wrong = {"false safe": [0, 0], "false not safe": [0, 0]}

    def cells(name: str, known: Known) -> Iterator[str]:
        yield name
        found = [judged(known.edit, seed, arguments.pairs) for seed in range(arguments.seeds)]
        for transform in TRANSFORMS:
            safe, said = transform[0] in known.safe, [one[transform] for one in found]
            tally = wrong["false not safe" if safe else "false safe"]
            tally[0] += sum(one != safe for one in said)
            tally[1] += len(said)
            yield f"{'safe' if safe else 'not safe'}: {sum(one == safe for one in said)} of {len(said)}"

    columns = (f"teacher, {arguments.pairs} pairs", *TRANSFORMS)
    print_table("Augmentation that a teacher allows", columns, (tuple(cells(*one)) for one in KNOWN.items()))
    print("\n" + "; ".join(f"{kind}: {count} of {total}" for kind, (count, total) in wrong.items()))


if __name__ == "__main__":
    main()
