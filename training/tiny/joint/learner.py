"""The transformer and the text encoder, and one step of both."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ....ace.lcu.indicators import INDICATORS
from ....ace.model.conditioning import Conditioning
from ....ace.model.config import ACEConfig
from ....ace.model.schedule import NoiseSchedule
from ....ace.model.transformer import ACEModel
from ....ace.text import tokenize
from ....ace.weights.init import initialize_weights
from ...trainer.config import MuonSection, OptimizerSection
from ...trainer.learning.objective import draw_random_inputs, sample_losses, timestep_weights
from ...trainer.learning.optimizer import EMA, clip_gradients, make_optimizers, set_rates
from .drawing import MOST_TOKENS, without_instruction
from .pool import Chosen, Pool


@dataclass(frozen=True)
class JointSettings:
    """Sizes and rates.

    Attributes:
        width, depth, heads: of the transformer.
        batch: examples of one layout in a pass.
        accumulate: passes in a step.
        muon, rest, text: highest learning rates of the blocks' matrices, of the other weights, of the text encoder.
        decay: weight decay of the blocks' matrices.
        max_weighting: see ``trainer.config.ObjectiveSection``.
        dropout: how often the instruction is left out.
        warmup: steps until the rates are at their highest.
        hold: share of the time before they fall, in a straight line, to nothing.
        ema: of both networks' weights.
        bfloat16: compute in it where that loses nothing (autocast).
    """

    width: int = 256
    depth: int = 8
    heads: int = 4
    batch: int = 640
    accumulate: int = 1
    muon: float = 0.02
    rest: float = 2e-3
    text: float = 4e-4
    decay: float = 0.02
    max_weighting: float = 100.0
    dropout: float = 0.08
    warmup: int = 100
    hold: float = 0.3
    ema: float = 0.9995
    bfloat16: bool = True
    seed: int = 0


class Learner:
    """Both networks with their optimisers.

    Args:
        text_encoder: a ``transformers.T5EncoderModel``, trained here in place.
        tokenizer: its tokenizer.
        start: weights of the transformer to go on from; None draws them by chance.

    Raises:
        RuntimeError: the weights are of another shape than the settings say.
    """

    def __init__(
        self,
        text_encoder: Any,
        tokenizer: Any,
        settings: JointSettings,
        device: torch.device,
        start: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        self.settings, self.device, self.step = settings, device, 0
        shape = ACEConfig(
            hidden_size=settings.width,
            depth=settings.depth,
            num_heads=settings.heads,
            text_width=text_encoder.config.d_model,
            max_seq_len=64,
        )
        model = initialize_weights(ACEModel(shape, operations=_OPERATIONS), settings.seed)
        self.model = _louder_words(model).to(device)
        if start is not None:
            self.model.load_state_dict(start)
        self.text_encoder = text_encoder.float().train().to(device)
        self._indicators = [tokenize(word, tokenizer) for word in INDICATORS]
        self.optimizers = (
            *make_optimizers(
                self.model,
                OptimizerSection(
                    name="muon",
                    learning_rate=settings.rest,
                    betas=(0.9, 0.99),
                    muon=MuonSection(learning_rate=settings.muon, weight_decay=settings.decay),
                ),
            ),
            torch.optim.AdamW(self.text_encoder.parameters(), lr=settings.text, betas=(0.9, 0.99), weight_decay=0.0),
        )
        self._trained = [*self.model.parameters(), *self.text_encoder.parameters()]
        self.ema = EMA(self._trained, settings.ema)
        self._schedule = NoiseSchedule()
        self._weights = timestep_weights("velocity", settings.max_weighting).to(device)
        self._rng = np.random.default_rng((settings.seed, 1))
        self._generator = torch.Generator(device).manual_seed(settings.seed)

    def train_step(self, pool: Pool, progress: float) -> torch.Tensor:
        """One step.

        Args:
            progress: share of the time that has passed, 0 … 1.

        Returns:
            () the mean loss, on the device.
        """
        settings = self.settings
        rising = min(1.0, (self.step + 1) / settings.warmup)
        set_rates(self.optimizers, min(rising, max(0.0, 1 - progress) / (1 - settings.hold)))
        total = torch.zeros((), device=self.device)
        for _ in range(settings.accumulate):
            each, weights, _ = self.losses(pool.choose(self._rng, settings.batch, MOST_TOKENS), self._generator)
            loss = (each * weights).mean() / settings.accumulate
            loss.backward()
            total += loss.detach()
        clip_gradients(self._trained, 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.ema.update(self.step)
        return total

    def losses(self, chosen: Chosen, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Losses (B,), what each counts (B,), and timesteps (B,) of some examples."""
        clean = chosen.latents[:, 0]
        drawn = draw_random_inputs(
            generator, len(clean), tuple(clean.shape[-2:]), dropout=self.settings.dropout, stratified=True
        )
        ids = without_instruction(chosen.ids, chosen.dropped & drawn.dropped[:, None])
        with self._precision():
            conditioning = self.condition(chosen, ids)
            noisy = self._schedule.add_noise(clean, drawn.noise, drawn.timesteps)
            each = sample_losses(self.model, noisy, drawn.timesteps, drawn.noise, conditioning)
        return each, self._weights[drawn.timesteps], drawn.timesteps

    def condition(self, chosen: Chosen, ids: torch.Tensor) -> Conditioning:
        """Embeds the texts and puts everything together; ids (B, N + 1, L)."""
        present = ids != 0
        embedded = self._embed(ids.flatten(0, 1), present.flatten(0, 1)).unflatten(0, ids.shape[:2])
        lonely = torch.tensor(self._indicators, device=self.device)
        frames = range(ids.shape[1])
        return Conditioning(
            context=[embedded[:, k] for k in frames],
            indicator_embeddings=self._embed(lonely, torch.ones_like(lonely, dtype=torch.bool))[:, 0],
            target_mask=chosen.masks[:, 0],
            references=[chosen.latents[:, k] for k in frames[1:]],
            reference_masks=[chosen.masks[:, k] for k in frames[1:]],
            context_masks=[present[:, k] for k in frames],
        )

    def _embed(self, ids: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """(R, L) -> (R, L, Y) float32."""
        return self.text_encoder(input_ids=ids, attention_mask=present.long()).last_hidden_state.float()

    def _precision(self):
        if not self.settings.bfloat16:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)


class _RMSNorm(nn.RMSNorm):
    """In the precision of what it is given: autocast leaves the weights in float32, for which there is no fused kernel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


_OPERATIONS = SimpleNamespace(
    Linear=nn.Linear, Conv2d=nn.Conv2d, LayerNorm=nn.LayerNorm, RMSNorm=_RMSNorm, Embedding=nn.Embedding
)


@torch.no_grad()
def _louder_words(model: ACEModel) -> ACEModel:
    """Texts start as large as the pictures' tokens, or a short training hardly hears them."""
    for layer in (model.y_embedder.fc1, model.y_embedder.fc2):
        nn.init.normal_(layer.weight, std=layer.in_features**-0.5, generator=torch.Generator().manual_seed(0))
    return model
