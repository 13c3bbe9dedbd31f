"""What the model learns by.

objective   noise, timesteps, loss and its weighting
optimizer   AdamW and Muon, learning rate schedule, EMA of the weights
muon        steps of whole matrices
adapters    LoRA layers in and out of a model
editnet     a branch beside a model, in and out
"""

__all__ = ["adapters", "editnet", "muon", "objective", "optimizer"]
