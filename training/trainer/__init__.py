"""The trainer: from datasets of pairs to a LoRA or a whole model. `run.train` is the door; no ComfyUI in here.

config     what can be set                        plan       rows of a dataset -> examples of frames
file_index content hashes of files, kept          cache      latents and text embeddings on disk
encoding   fills the cache                        order      which examples make up which batch
batches    examples -> tensors                    objective  noise, timesteps, loss
adapters   LoRA in and out of a model             state      checkpoints of a run
loop       the steps                              run        all of it together
"""
