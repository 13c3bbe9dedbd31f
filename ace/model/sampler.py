"""DDIM sampling of an ACE model with classifier-free guidance."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from .conditioning import Conditioning, concatenate, same_layout
from .schedule import NoiseSchedule, ddim_step, trailing_timesteps
from .transformer import ACEModel, PreparedConditioning

# Both branches of guidance in one batch save launches and reading of weights, but cost memory and padded text. Image
# tokens of a sample below which that pays: measured on a CPU (benchmarks/RESULTS.md). An accelerator is bound by
# launches for longer; its figure is a guess, to be replaced by what `comfyui-ace benchmark batching` says there.
_BATCH_GUIDANCE_BELOW = {"cpu": 192}
_BATCH_GUIDANCE_BELOW_ON_ACCELERATORS = 1024


@dataclass(frozen=True, eq=False)
class SamplerStep:
    """State after one step, given to the callback.

    Attributes:
        index: 0-based number of the step just done.
        total: steps of the run.
        timestep: timestep at which the model was evaluated.
        latent: (B, 4, H, W) the noisy latent after the step.
        denoised: (B, 4, H, W) the present estimate of the clean latent, for previews.
    """

    index: int
    total: int
    timestep: int
    latent: torch.Tensor
    denoised: torch.Tensor


StepCallback = Callable[[SamplerStep], None]


class NotFiniteError(ValueError):
    """Sampling or decoding gave values that are no numbers; the message names the likely cause."""


def check_settings(guidance_scale: float, guidance_rescale: float) -> None:
    """Checks that both are numbers and in range.

    Raises:
        ValueError: one is not; the message names it.
    """
    if not math.isfinite(guidance_scale):
        raise ValueError(f"guidance_scale must be a number, such as 4.5, got {guidance_scale}")
    if not 0.0 <= guidance_rescale <= 1.0:
        raise ValueError(f"guidance_rescale must be between 0 and 1, got {guidance_rescale}")


def check_finite(values: torch.Tensor, what: str, dtype: torch.dtype | None = None) -> None:
    """Checks that a latent or a picture consists of numbers, before a black picture is shown or stored.

    Args:
        values: of any shape.
        what: what they are, for messages.
        dtype: that they were computed in, where that is known.

    Raises:
        NotFiniteError: some are NaN or infinite.
    """
    if values.isfinite().all():
        return
    overflow = "an overflow of float16, which holds nothing above 65504 (use bfloat16 or float32 in its place)"
    others = "a LoRA whose strength is too high or whose training went wrong, far too strong guidance, damaged weights"
    causes = {None: f"{others}, or {overflow}", torch.float16: f"{overflow}; else {others}"}.get(dtype, others)
    raise NotFiniteError(f"{what} holds values that are no numbers (NaN or infinite). The likely cause is {causes}")


def draw_noise(shape: Sequence[int], seed: int | Sequence[int]) -> torch.Tensor:
    """Standard normal noise (B, C, H, W), the same on every device because it is drawn on the CPU.

    Args:
        shape: (B, C, H, W).
        seed: one number for the whole batch, drawn in one go as ComfyUI does; or B numbers, one for each sample, each
            giving what it gives alone.

    Raises:
        ValueError: the number of seeds is not the batch size.
    """
    if isinstance(seed, int):
        return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed))
    if len(seed) != shape[0]:
        raise ValueError(
            f"{len(seed)} seeds were given for a batch of {shape[0]}; give one seed, or one for each sample"
        )
    return torch.cat([draw_noise((1, *shape[1:]), int(one)) for one in seed])


def apply_guidance(
    conditional: torch.Tensor, unconditional: torch.Tensor, guidance_scale: float, guidance_rescale: float
) -> torch.Tensor:
    """Classifier-free guidance with rescaling (Lin et al. 2023, "Common Diffusion Noise Schedules…", section 3.4).

    Works on eps as well as on anything proportional to it.

    Args:
        conditional: (B, C, H, W), the prediction with the instruction.
        unconditional: (B, C, H, W), the prediction with the negative prompt.
        guidance_scale: 1 gives the conditional prediction, more moves away from the unconditional one.
        guidance_rescale: 0 … 1, how far the standard deviation is brought back to that of the conditional prediction.

    Returns:
        (B, C, H, W).
    """
    guided = unconditional + guidance_scale * (conditional - unconditional)
    if guidance_rescale == 0.0:
        return guided
    dims = tuple(range(1, guided.ndim))
    ratio = conditional.std(dims, keepdim=True) / guided.std(dims, keepdim=True)
    return guided * (guidance_rescale * ratio + (1.0 - guidance_rescale))


@torch.no_grad()
def sample(
    model: ACEModel,
    noise: torch.Tensor,
    positive: Conditioning,
    negative: Conditioning | None = None,
    *,
    steps: int = 20,
    guidance_scale: float = 4.5,
    guidance_rescale: float = 0.5,
    callback: StepCallback | None = None,
) -> torch.Tensor:
    """DDIM (Song et al. 2020, eta = 0) on trailing timesteps, with classifier-free guidance.

    Args:
        model: on the device where sampling shall run.
        noise: (B, 4, H, W), standard normal; see :func:`draw_noise`.
        positive: conditioning of batch B or 1.
        negative: the unconditional branch; None, or a guidance scale of 1, switches guidance off.
        steps: 1 … 1000.
        guidance_scale: strength of guidance; the published default is 4.5.
        guidance_rescale: 0 … 1, see :func:`apply_guidance`.
        callback: called after every step; an exception it raises cancels the run and passes through.

    Returns:
        (B, 4, H, W) float32 clean latent (still scaled), on the model's device.

    Raises:
        ValueError: ``steps``, ``guidance_scale`` or ``guidance_rescale`` is out of range, or the conditioning does not fit
            the noise.
        NotFiniteError: a step gives values that are no numbers.
    """
    check_settings(guidance_scale, guidance_rescale)
    schedule = NoiseSchedule()
    timesteps = trailing_timesteps(steps)
    latent = noise.to(model.device, torch.float32)
    predict = _Predictor(model, latent, positive, negative if guidance_scale != 1.0 else None)
    for index, timestep in enumerate(timesteps):
        eps = predict(latent, timestep, guidance_scale, guidance_rescale)
        following = timesteps[index + 1] if index + 1 < steps else None
        now, then = schedule.signal_and_noise(timestep), schedule.signal_and_noise(following)
        latent, denoised = ddim_step(latent, eps, now, then)
        check_finite(latent, f"the picture after step {index + 1} of {steps}", model.dtype)
        if callback is not None:
            callback(SamplerStep(index, steps, timestep, latent, denoised))
    return latent


class _Predictor:
    """Guided eps of a latent, with all that is constant over a run prepared once."""

    def __init__(
        self, model: ACEModel, latent: torch.Tensor, positive: Conditioning, negative: Conditioning | None
    ) -> None:
        self.model, self.dtype = model, model.dtype
        like = latent.to(self.dtype)
        self.batched = negative is not None and self._worth_batching(latent, positive, negative)
        if self.batched:
            both = concatenate(positive.to(latent.device), negative.to(latent.device), latent.shape[0])
            self.branches = [model.prepare(both, torch.cat((like, like)))]
        else:
            self.branches = [model.prepare(branch, like) for branch in (positive, negative) if branch is not None]

    @staticmethod
    def _worth_batching(latent: torch.Tensor, positive: Conditioning, negative: Conditioning) -> bool:
        pixels = sum(t.shape[-1] * t.shape[-2] for t in (latent, *positive.references))
        below = _BATCH_GUIDANCE_BELOW.get(latent.device.type, _BATCH_GUIDANCE_BELOW_ON_ACCELERATORS)
        return same_layout(positive, negative) and pixels // 4 < below

    def __call__(self, latent: torch.Tensor, timestep: int, scale: float, rescale: float) -> torch.Tensor:
        x, t = latent.to(self.dtype), torch.full((1,), timestep, device=latent.device)
        if self.batched:
            conditional, unconditional = self._eps(torch.cat((x, x)), t, self.branches[0]).chunk(2)
        elif len(self.branches) == 2:
            conditional, unconditional = (self._eps(x, t, branch) for branch in self.branches)
        else:
            return self._eps(x, t, self.branches[0])
        return apply_guidance(conditional, unconditional, scale, rescale)

    def _eps(self, x: torch.Tensor, t: torch.Tensor, prepared: PreparedConditioning) -> torch.Tensor:
        return self.model(x, t, prepared).float()
