"""What the model is fed.

examples        rows of a dataset -> examples of frames
file_index      content hashes of files
encoding        pictures and words -> latents and text embeddings
cache           those on disk
batch_sampler   which examples make up a batch
batches         examples -> tensors
loader          tensors on the device, with noise, in time
"""

__all__ = ["batch_sampler", "batches", "cache", "encoding", "examples", "file_index", "loader"]
