"""What the model learns by.

objective   noise, timesteps, loss and its weighting
optimizer   steps, learning rate, moving average
adapters    LoRA layers in and out of a model
"""

__all__ = ["adapters", "objective", "optimizer"]
