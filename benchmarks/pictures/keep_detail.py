"""Keep Detail beside what retouchers do by hand: scores on photographs, and crops to look at.

    python -m comfyui_ace.benchmarks.pictures.keep_detail [--picture FILE] [--full 288 --model 128] [--photos NAME ...]

A perfect student is asked: what the small bundle's VAE makes of the teacher's own result, at the model's size. The score
is 1 - L1(student, teacher) / L1(source, teacher) at the source's own size, so the VAE and the scaling are its ceiling.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ...ace.bundles.bundle import SHIPPED_BUNDLES, find_bundle
from ...ace.pictures.image_files import save_picture
from ...ace.pictures.keep_detail import KeepDetail, keep_detail
from ...ace.pictures.preprocess import resize_image
from ...ace.vae import DiffusersVAE
from ...training.tiny.world import operations
from ...training.tiny.world.photographs import whole
from ..report import Table
from ..training.distillation import TEACHERS

PHOTOGRAPHS = ("cat", "hopper", "coffee", "china", "astronaut")
_MASKED = "masked recolour"
_BLUR = 3.0  # sigma of frequency separation, in pixels of the model
_LUMA = (0.299, 0.587, 0.114)
_WINDOW, _EPSILON = 9, 1e-4  # of the gain of each channel by itself

Edit = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, eq=False)
class Student:
    """One edit of one photograph.

    Attributes:
        source, teacher: (1, H, W, 3), before and after.
        result, round_trip: (1, h, w, 3), after and before through the VAE at the model's size.
        mask: (1, H, W), what may change; None is everything.
    """

    source: torch.Tensor
    teacher: torch.Tensor
    result: torch.Tensor
    round_trip: torch.Tensor
    mask: torch.Tensor | None = None

    def scaled(self, picture: torch.Tensor) -> torch.Tensor:
        return resize_image(picture, *self.source.shape[1:3])

    @property
    def lost(self) -> torch.Tensor:
        return self.source - self.scaled(self.round_trip)


def _disc(height: int, width: int) -> torch.Tensor:
    """The mask of the masked edit, (H, W)."""
    y, x = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)[None]
    return (x * x + y * y < 0.4).float()


def _recolour(image: torch.Tensor) -> torch.Tensor:
    return TEACHERS[_MASKED].result((image,), _disc(*image.shape[:2]))


def _of(name: str) -> Edit:
    return lambda image: TEACHERS[name].result((image,), torch.ones(image.shape[:2]))


def _repaint(image: torch.Tensor) -> torch.Tensor:
    """Something else in the middle: the picture's own corner, upside down."""
    height, width = image.shape[0] // 3, image.shape[1] // 3
    changed = image.clone()
    changed[height : 2 * height, width : 2 * width] = image[:height, :width].flip(0, 1)
    return changed


EDITS: Mapping[str, Edit] = {
    "tone curve": _of("tone curve"),
    "invert": operations.invert,
    "sepia": operations.sepia,
    "cyanotype": operations.cyanotype,
    _MASKED: _recolour,
    "edge ink": _of("edge ink"),
    "posterise": operations.posterise,
    "blur": lambda image: operations.blur(image, 2.0),
    "mirror": operations.flip_horizontally,
    "inpaint": _repaint,
}


def _blurred(picture: torch.Tensor, sigma: float) -> torch.Tensor:
    from kornia.filters import gaussian_blur2d

    side = 2 * int(4 * sigma) + 1
    return gaussian_blur2d(picture.movedim(-1, 1), (side, side), (sigma, sigma)).movedim(1, -1)


def frequency_separation(student: Student) -> torch.Tensor:
    """The result's low frequencies under the source's high ones."""
    sigma = _BLUR * student.source.shape[1] / student.result.shape[1]
    return _blurred(student.scaled(student.result), sigma) + student.source - _blurred(student.source, sigma)


def color_transfer(student: Student) -> torch.Tensor:
    """The result's colour on the source's luminance, a layer in the blend mode "color"."""
    result = student.scaled(student.result)
    return result + ((student.source - result) @ result.new_tensor(_LUMA))[..., None]


def statistics_transfer(student: Student) -> torch.Tensor:
    """The source with the result's mean and contrast in each channel (after Reinhard et al. 2001)."""

    def moments(picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return picture.mean((1, 2), keepdim=True), picture.std((1, 2), keepdim=True)

    (mean, spread), (wanted_mean, wanted_spread) = moments(student.source), moments(student.result)
    return (student.source - mean) * (wanted_spread / spread.clamp(min=1e-3)) + wanted_mean


def added_detail(student: Student) -> torch.Tensor:
    """What is lost, added as it is."""
    return student.scaled(student.result) + student.lost


def channel_gain(student: Student) -> torch.Tensor:
    """What is lost times the gain of each channel by itself, judged in one window."""
    from kornia.filters import box_blur

    def mean(picture: torch.Tensor) -> torch.Tensor:
        return box_blur(picture, (_WINDOW, _WINDOW))

    before, after = student.round_trip.movedim(-1, 1), student.result.movedim(-1, 1)
    product = mean(before * after) - mean(before) * mean(after)
    gain = product / (mean(before * before) - mean(before) ** 2 + _EPSILON)
    wide = torch.nn.functional.interpolate(gain, size=student.source.shape[1:3], mode="bilinear")
    return student.scaled(student.result) + wide.movedim(1, -1) * student.lost


def kept(student: Student, **settings) -> torch.Tensor:
    """As the Sampler does it: a mask's two sides each by itself."""
    result = student.result
    for part in (None,) if student.mask is None else (student.mask, 1 - student.mask):
        result = keep_detail(student.source, result, student.round_trip, part, settings=KeepDetail(**settings))
    return result


METHODS: Mapping[str, Callable[[Student], torch.Tensor]] = {
    "without": lambda student: student.scaled(student.result),
    "frequency separation": frequency_separation,
    "colour on luminance": color_transfer,
    "mean and contrast": statistics_transfer,
    "detail as it is": added_detail,
    "gain a channel": channel_gain,
    "Keep Detail, luminance": lambda student: kept(student, color=0.0),
    "Keep Detail": kept,
}


def photograph(name: str, side: int) -> torch.Tensor:
    """The middle of a photograph, (H, W, 3)."""
    picture = torch.from_numpy(np.asarray(whole(name), dtype=np.float32) / 255)
    side = min(side, *picture.shape[:2])
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    return picture[top : top + side, left : left + side]


def students(name: str, full: int, model: int) -> Iterator[tuple[str, Student]]:
    """Every edit of a photograph, by name."""
    vae = DiffusersVAE.load(find_bundle(SHIPPED_BUNDLES / "ace-tiny").vae)
    source = photograph(name, full)
    wanted = [edit(source).clamp(0, 1)[None] for edit in EDITS.values()]
    seen = torch.cat([resize_image(picture, model, model) for picture in (source[None], *wanted)])
    before, *results = vae.decode(vae.encode(seen)).split(1)
    for edit, teacher, result in zip(EDITS, wanted, results, strict=True):
        mask = _disc(*source.shape[:2])[None] if edit == _MASKED else None
        yield edit, Student(source[None], teacher, result, before, mask)


def compare(names: tuple[str, ...] = PHOTOGRAPHS, full: int = 288, model: int = 128) -> Table:
    """The scores of all methods on all edits."""
    lost = {edit: dict.fromkeys((*METHODS, "source"), 0.0) for edit in EDITS}
    for name in names:
        for edit, student in students(name, full, model):
            lost[edit]["source"] += (student.source - student.teacher).abs().mean().item()
            for method, make in METHODS.items():
                lost[edit][method] += (make(student).clamp(0, 1) - student.teacher).abs().mean().item()
    rows = [(edit, *(f"{1 - far[method] / far['source']:.2f}" for method in METHODS)) for edit, far in lost.items()]
    return Table(
        f"Keep Detail, photographs of {full} px edited at {model} px",
        ("edit", *METHODS),
        rows,
        (
            f"Score over {', '.join(names)}; a perfect student on the small bundle's VAE. The last two are told the mask.",
        ),
    )


def side_by_side(name: str, edits: tuple[str, ...], full: int, model: int, crop: tuple[int, int, int]) -> torch.Tensor:
    """A crop of each edit a row, (H, W, 3): the source, the result, methods, the teacher. ``crop``: top, left, side."""
    top, left, side = crop
    shown = ("without", "frequency separation", "colour on luminance", "gain a channel", "Keep Detail")
    rows = []
    for edit, student in students(name, full, model):
        if edit in edits:
            made = [METHODS[method](student).clamp(0, 1) for method in shown]
            cells = [
                picture[0, top : top + side, left : left + side] for picture in (student.source, *made, student.teacher)
            ]
            rows.append(
                torch.cat([torch.nn.functional.pad(cell, (0, 0, 0, 4, 0, 4), value=1.0) for cell in cells], dim=1)
            )
    return torch.cat(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", type=int, default=288, help="side of the photographs in pixels")
    parser.add_argument("--model", type=int, default=128, help="side that the model works at")
    parser.add_argument("--photos", nargs="+", default=PHOTOGRAPHS, metavar="NAME", help="which photographs")
    parser.add_argument("--picture", type=Path, help="write crops of the first photograph to this file instead")
    parser.add_argument("--edits", nargs="+", default=["tone curve", "sepia"], choices=EDITS, help="shown in it")
    parser.add_argument("--crop", type=int, nargs=3, default=(60, 60, 140), metavar=("TOP", "LEFT", "SIDE"))
    arguments = parser.parse_args()
    with torch.inference_mode():
        if arguments.picture is None:
            print(compare(tuple(arguments.photos), arguments.full, arguments.model).markdown())
        else:
            picture = side_by_side(
                arguments.photos[0], tuple(arguments.edits), arguments.full, arguments.model, tuple(arguments.crop)
            )
            save_picture(picture, arguments.picture)


if __name__ == "__main__":
    main()
