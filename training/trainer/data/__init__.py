"""What the model is fed.

examples        rows of a dataset -> examples of frames
items           files of pictures and masks at one size
placeholders    condition units without pixels (private to the room)
file_index      content hashes of files
encoding        pictures and words -> latents and text embeddings
text_troubles   what the text encoder does not see of them, counted
cache           those on disk
batch_sampler   which examples make up a batch
augmentation    views of a pair that show the same edit in other pictures
equivariance    which of them are safe, as the pairs say
batches         examples -> tensors
division        which held-out pairs decide and which test; halves of the training pairs
source          examples that are drawn by number instead of stored
drawn           those -> tensors
loader          tensors on the device, with noise, in time
"""

__all__ = [
    "augmentation",
    "batch_sampler",
    "batches",
    "cache",
    "division",
    "drawn",
    "encoding",
    "equivariance",
    "examples",
    "file_index",
    "items",
    "loader",
    "source",
    "text_troubles",
]
