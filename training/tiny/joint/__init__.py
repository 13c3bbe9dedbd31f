"""Trains ace-tiny's transformer together with its text encoder on one GPU, in minutes.

drawing         processes that draw examples and put them into tensors
pool            what was drawn, as latents and token ids, on the GPU
learner         one step of both networks

Examples are drawn once by as many processes as there are cores, encoded by the frozen VAE, and used again and again with new
noise while more are drawn, so that neither the cores nor the GPU wait. The text encoder learns along: of its small size, it
profits more from the pictures than from any task on words alone.
"""

__all__ = ["drawing"]
