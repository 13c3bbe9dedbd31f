"""How near results are to what was asked for, compared with doing nothing and with what the VAE allows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch

from ....ace.lcu.frames import FittedFrame, fit_frames
from ....ace.lcu.units import resolve
from ....ace.pictures.resolution import Resolution
from ....ace.pipeline import ACEPipeline
from ..world.examples import Example


@dataclass(frozen=True)
class Sampling:
    """Settings of the sampler; None takes the bundle's."""

    steps: int | None = None
    guidance_scale: float | None = None
    guidance_rescale: float | None = None


@dataclass(frozen=True, eq=False)
class Answer:
    """A result beside what it is compared with; pictures (H, W, 3).

    Attributes:
        shown: condition images as the model sees them.
        mask: (H, W) of what may change, or None.
        source: the edited picture as the model sees it, or None where a picture is made from words.
        target: what was asked for.
        ceiling: the target after the VAE's round trip.
        result: the model's.
    """

    example: Example
    shown: tuple[torch.Tensor, ...]
    mask: torch.Tensor | None
    source: torch.Tensor | None
    target: torch.Tensor
    ceiling: torch.Tensor
    result: torch.Tensor


def answer(pipeline: ACEPipeline, examples: Sequence[Example], sampling: Sampling, seed: int = 0) -> list[Answer]:
    """Lets the model answer some examples."""
    answers = []
    for number, example in enumerate(examples):
        target = example.target
        result = pipeline(
            example.context,
            seed=seed + number,
            resolution=Resolution.exact(*target.shape[1:3]),
            steps=sampling.steps,
            guidance_scale=sampling.guidance_scale,
            guidance_rescale=sampling.guidance_rescale,
        ).images
        resolved = resolve(example.context)
        frames = fit_frames(resolved, Resolution.exact(*target.shape[1:3]))
        edited = None if resolved.target is None else frames[resolved.target]
        answers.append(
            Answer(
                example=example,
                shown=tuple(frame.image()[0] for frame in frames),
                mask=_mask(edited),
                source=None if edited is None else edited.image()[0],
                target=target[0],
                ceiling=pipeline.vae.decode(pipeline.vae.encode(target))[0],
                result=result[0],
            )
        )
    return answers


def _mask(frame: FittedFrame | None) -> torch.Tensor | None:
    return None if frame is None or frame.frame.mask is None else frame.frame.mask[0]


@dataclass(frozen=True)
class Score:
    """Mean L1 over the answers to one task, on pixels 0 … 1.

    Attributes:
        student, source, ceiling: of the result, the untouched source, and the target after the VAE, to the target.
        outside: of the result to the target where the mask marks nothing; None without masks.
        pasted: the same three with Paste Back, which takes what the mask does not mark from the source; None without masks.
    """

    student: float
    source: float
    ceiling: float
    outside: float | None = None
    pasted: Score | None = None

    @property
    def score(self) -> float:
        """1 is perfect, 0 is no better than doing nothing."""
        return 1 - self.student / self.source

    @property
    def ceiling_score(self) -> float:
        return 1 - self.ceiling / self.source

    @property
    def share(self) -> float:
        """Of what the VAE allows; not a number where it allows nothing."""
        return self.score / self.ceiling_score if self.ceiling_score > 0 else float("nan")


def score(answers: Iterable[Answer]) -> Score:
    """Over whole pictures, of answers that have a source."""
    answers = list(answers)
    masked = [a for a in answers if a.mask is not None and (a.mask < 0.5).any()]
    outside = _mean(_l1(a.result, a.target, a.mask < 0.5) for a in masked) if masked else None
    return replace(_score(answers), outside=outside, pasted=_score([_pasted(a) for a in masked]) if masked else None)


def _score(answers: Sequence[Answer]) -> Score:
    return Score(*(_mean(_l1(getattr(a, name), a.target) for a in answers) for name in ("result", "source", "ceiling")))


def _pasted(answer: Answer) -> Answer:
    marked = answer.mask[..., None] >= 0.5
    result, ceiling = (torch.where(marked, picture, answer.source) for picture in (answer.result, answer.ceiling))
    return replace(answer, result=result, ceiling=ceiling)


@dataclass(frozen=True)
class HoleScore:
    """Mean L1 inside the holes.

    Attributes:
        student: of the result.
        mean_colour: of the mean colour of what is seen.
        smooth: of a biharmonic fill, which goes on smoothly from the edge of the hole and knows no pictures.
        ceiling: of the target after the VAE.
    """

    student: float
    mean_colour: float
    smooth: float
    ceiling: float

    @property
    def ratio(self) -> float:
        """The student's error over that of the mean colour."""
        return self.student / self.mean_colour

    @property
    def smooth_ratio(self) -> float:
        """The same of the smooth fill."""
        return self.smooth / self.mean_colour


def score_holes(answers: Iterable[Answer]) -> HoleScore:
    """Of inpainting and outpainting."""
    holes = [(a, a.mask > 0.5) for a in answers]
    return HoleScore(
        student=_mean(_l1(a.result, a.target, hole) for a, hole in holes),
        mean_colour=_mean(_l1(a.target[~hole].mean(0).expand_as(a.target), a.target, hole) for a, hole in holes),
        smooth=_mean(_l1(_smoothly_filled(a.target, hole), a.target, hole) for a, hole in holes),
        ceiling=_mean(_l1(a.ceiling, a.target, hole) for a, hole in holes),
    )


def _smoothly_filled(picture: torch.Tensor, hole: torch.Tensor) -> torch.Tensor:
    from skimage.restoration import inpaint_biharmonic

    return picture.new_tensor(inpaint_biharmonic(picture.numpy(), hole.numpy(), channel_axis=-1)).clamp(0, 1)


def _l1(first: torch.Tensor, second: torch.Tensor, where: torch.Tensor | None = None) -> float:
    error = (first - second).abs()
    return (error if where is None else error[where]).mean().item()


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return sum(values) / len(values)
