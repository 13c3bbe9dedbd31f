"""Time and memory of the mask, size and condition-image functions on one large picture.

    python -m comfyui_ace.benchmarks.pictures.masks [--size 4096] [--threads N] [--only NAME ...]

Each operation runs in a process of its own, once on a small picture to import what it needs and then once on the large
one. The peak is how far the process's resident memory rises above what it held with the inputs loaded.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F

from ...ace.notices import silent
from ...ace.pictures import (
    keep_detail,
    masks,
    outpaint,
    paste_back,
    preprocess,
    random_masks,
)
from ...ace.pictures.condition_images import CONDITION_IMAGES, ColorMap, make_condition_image
from ...ace.pictures.fit import published_fit, source_fit
from ...ace.pictures.morphology import feather, grow
from ..memory import peak_bytes
from ..report import Table

Operation = Callable[[torch.Tensor, torch.Tensor], object]


def paste(image: torch.Tensor, mask: torch.Tensor, **options) -> torch.Tensor:
    """Pastes a grey result at the model's size back into the picture."""
    fit = published_fit(*image.shape[1:3], 4096)
    result = torch.full((1, fit.height, fit.width, 3), 0.5)
    return paste_back.paste_back(image, result, mask, fit=fit, **options)


def keep(image: torch.Tensor, max_tokens: int | None) -> torch.Tensor:
    """An edit at the model's size, or at the picture's own."""
    height, width = image.shape[1:3]
    fit = source_fit(height, width) if max_tokens is None else published_fit(height, width, max_tokens)
    seen = preprocess.fit_image(image, fit)
    return keep_detail.keep_detail(image, 1 - seen, seen, fit=fit)


def extend(image: torch.Tensor, _mask: torch.Tensor) -> outpaint.Outpainting:
    """Extends the picture by a quarter on both sides."""
    return outpaint.outpaint(image, outpaint.place_by_ratio(*image.shape[1:3], left=0.25, right=0.25))


def fit_down(image: torch.Tensor, _mask: torch.Tensor) -> torch.Tensor:
    """Scales the picture to the size of the 1024 px model."""
    return preprocess.fit_image(image, published_fit(*image.shape[1:3], 4096))


def draw_strokes(image: torch.Tensor, _mask: torch.Tensor) -> torch.Tensor:
    """A random mask of thin strokes."""
    return random_masks.random_masks(*image.shape[1:3], kind="strokes", style="thin")


OPERATIONS: dict[str, Operation] = {
    "threshold": lambda image, mask: preprocess.binarize(mask),
    "grow 16, round": lambda image, mask: grow(mask, 16),
    "grow 64, round": lambda image, mask: grow(mask, 64),
    "grow 64, square": lambda image, mask: grow(mask, 64, "square"),
    "shrink 64, round": lambda image, mask: grow(mask, -64),
    "feather 16": lambda image, mask: feather(mask, 16),
    "feather 64": lambda image, mask: feather(mask, 64),
    "prepare: fit, grow 16, feather 16": lambda image, mask: masks.prepare_mask(
        mask[:, ::2, ::2], image=image, grow=16, feather=16, notify=silent
    ),
    "inpaint: blank": lambda image, mask: masks.inpaint_image(image, mask),
    "outpaint by a quarter": extend,
    "random strokes": draw_strokes,
    "to RGB, checked": lambda image, mask: preprocess.to_rgb(image),
    "fit by the published rule": fit_down,
    "paste back, feather 16": lambda image, mask: paste(image, mask, feather=16),
    "paste back, colours matched": lambda image, mask: paste(image, mask, feather=16, match_colors=True),
    "keep detail of an edit at 512 px": lambda image, mask: keep(image, 1024),
    "keep detail of an edit at 1024 px": lambda image, mask: keep(image, 4096),
    "keep detail of an edit at its own size": lambda image, mask: keep(image, None),
    **{
        f"condition image: {name}": lambda image, mask, name=name: make_condition_image(name, image)
        for name in CONDITION_IMAGES
    },
    "condition image: color_map, 16 colours": lambda image, mask: make_condition_image(
        "color_map", image, ColorMap(block=16, colors=16)
    ),
}


def inputs(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A picture with detail at every scale (1, size, size, 3) and a mask of boxes over most of it (1, size, size)."""
    generator = torch.Generator().manual_seed(0)
    picture = torch.zeros(1, 3, size, size)
    for cells in (4, 16, 64, 256):
        octave = torch.rand(1, 3, cells, cells, generator=generator)
        picture += F.interpolate(octave, size=(size, size), mode="bilinear") * (4 / cells) ** 0.5
    picture = (picture - picture.min()) / (picture.max() - picture.min())
    mask = torch.zeros(1, size, size)
    mask[:, size // 16 : -size // 16, size // 16 : size // 2 - 8] = 1
    mask[:, size // 16 : -size // 16, size // 2 + 8 : -size // 16] = 1
    return picture.permute(0, 2, 3, 1).contiguous(), mask


def measure(name: str, pictures: Path) -> tuple[float, float, float | None]:
    """Wall seconds, CPU seconds and the rise of resident memory in MiB of one operation, in this process."""
    operation = OPERATIONS[name]
    with torch.inference_mode():
        operation(*inputs(128))
        # Mapped rather than read: reading holds the file twice, and the peak so far would hide the operation's own.
        image, mask = torch.load(pictures, mmap=True)
        image.sum(), mask.sum()
        memory, wall, cpu = peak_bytes(), time.perf_counter(), time.process_time()
        operation(image, mask)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return wall, cpu, None if memory is None else (peak_bytes() - memory) / 2**20


def mask_table(size: int = 4096, threads: int | None = None, only: Sequence[str] = ()) -> Table:
    """Measures operations, each in a process of its own.

    Args:
        size: side of the picture, in pixels.
        threads: of the CPU; None means as many as torch takes.
        only: names of operations; none means all.
    """
    threads = threads or torch.get_num_threads()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "pictures.pt"
        torch.save(inputs(size), pictures)
        for name in only or OPERATIONS:
            command = [sys.executable, "-m", __spec__.name, "--child", name, str(pictures), "--threads", str(threads)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8")
            rows.append((name, *json.loads(done.stdout.splitlines()[-1])))
    return Table(
        f"Masks and condition images at {size} x {size}",
        ("operation", "wall (s)", "CPU (s)", "peak memory (MiB)"),
        rows,
        (f"{threads} CPU threads; the picture itself takes {size**2 * 12 / 2**20:.0f} MiB as float32.",),
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=4096, help="side of the square picture in pixels")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads torch may use")
    parser.add_argument("--only", nargs="+", default=(), choices=OPERATIONS, metavar="NAME", help="run only these")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        torch.set_num_threads(arguments.threads)
        name, pictures = arguments.child
        print(json.dumps(measure(name, Path(pictures))))
    else:
        print(mask_table(arguments.size, arguments.threads, arguments.only).markdown())


if __name__ == "__main__":
    main()
