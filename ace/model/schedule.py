"""The noise schedule ACE was trained with, and the timesteps its samplers visit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch


@dataclass(frozen=True)
class NoiseSchedule:
    """Betas linear in the timestep (Ho et al. 2020, section 4).

    Everything is computed in float64: near the last step 1 - alpha_bar is so close to 1 that float32 loses the digits
    that decide where a whole sampling run ends.

    Attributes:
        beta_start: beta of the first timestep.
        beta_end: beta of the last.
        num_timesteps: how many there are.
    """

    beta_start: float = 1e-4
    beta_end: float = 0.02
    num_timesteps: int = 1000

    @cached_property
    def alphas_cumprod(self) -> torch.Tensor:
        """alpha_bar_t, (num_timesteps,) float64."""
        betas = torch.linspace(self.beta_start, self.beta_end, self.num_timesteps, dtype=torch.float64)
        return torch.cumprod(1.0 - betas, dim=0)

    def signal_and_noise(self, timestep: int | None) -> tuple[float, float]:
        """(sqrt(alpha_bar_t), sqrt(1 - alpha_bar_t)); None stands for the clean end, (1, 0)."""
        if timestep is None:
            return 1.0, 0.0
        alpha_bar = self.alphas_cumprod[timestep].item()
        return alpha_bar**0.5, (1.0 - alpha_bar) ** 0.5

    def add_noise(self, clean: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise (Ho et al. 2020, equation 4).

        Args:
            clean: (B, C, H, W), x_0.
            noise: (B, C, H, W), standard normal.
            timesteps: (B,) integers.

        Returns:
            (B, C, H, W) in the dtype of ``clean``.
        """
        signal, sigma = self.roots(timesteps, clean)
        return signal * clean + sigma * noise

    def roots(self, timesteps: torch.Tensor, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """sqrt(alpha_bar_t) and sqrt(1 - alpha_bar_t) of each sample, (B, 1, …) in dtype and dimensions of ``like``.

        Args:
            timesteps: (B,) integers; -1 stands for the clean end, (1, 0).
            like: (B, …).
        """
        # The roots are taken on the CPU: not every device has float64.
        shares = torch.cat((self.alphas_cumprod, torch.ones(1, dtype=torch.float64)))
        signal, sigma = (
            share.sqrt().to(like.dtype).to(timesteps.device)[timesteps].view(-1, *[1] * (like.ndim - 1))
            for share in (shares, 1.0 - shares)
        )
        return signal, sigma


Root = float | torch.Tensor


def ddim_step(
    latent: torch.Tensor, eps: torch.Tensor, now: tuple[Root, Root], then: tuple[Root, Root]
) -> tuple[torch.Tensor, torch.Tensor]:
    """A step of DDIM without added noise (Song et al. 2020, equation 12 with sigma = 0).

    Args:
        latent: (B, C, H, W), x_t.
        eps: (B, C, H, W), the predicted noise.
        now, then: sqrt(alpha_bar) and sqrt(1 - alpha_bar) of this timestep and of the next.

    Returns:
        the latent at the next timestep, and the present estimate of the clean one.
    """
    denoised = (latent - now[1] * eps) / now[0]
    return then[0] * denoised + then[1] * eps, denoised


def trailing_timesteps(steps: int, num_timesteps: int = 1000) -> list[int]:
    """Evenly spaced timesteps from the noisiest down ("trailing", Lin et al. 2023): 999, 999 - 1000/n, …

    Fractions are resolved as ComfyUI's "simple" scheduler does, so that both visit the same steps for every n.

    Raises:
        ValueError: ``steps`` is not in 1 … ``num_timesteps``.
    """
    if not 1 <= steps <= num_timesteps:
        raise ValueError(f"steps must be between 1 and {num_timesteps}, got {steps}")
    stride = num_timesteps / steps
    return [num_timesteps - 1 - int(index * stride) for index in range(steps)]
