"""The network and its sampler. Knows torch alone.

transformer    `ACEModel`: noisy latents, timesteps and a `Conditioning` -> noise
conditioning   what one picture is made from, as tensors: text, references, masks
config         sizes of the network
editnet        `EditNet`: copies of blocks that steer a frozen model (experimental)
control        what may change tokens and texts between blocks
sampler        `sample`: DDIM with classifier-free guidance; `draw_noise`
schedule       betas, timesteps
layers         attention, MLP, RoPE (private to the room)
layout         where frames lie on the sequence (private to the room)
"""

__all__ = ["conditioning", "config", "control", "editnet", "sampler", "schedule", "transformer"]
