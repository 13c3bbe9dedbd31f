"""The trainer: from datasets of pairs to a LoRA or a whole model. `run.train` is the door; no ComfyUI in here.

config, config_file    what can be set; TOML and overrides
plan, file_index       rows of a dataset -> examples of frames; content hashes of files
cache, encoding        latents and text embeddings on disk, and what fills them
order, batches, feed   which examples make up a batch; examples -> tensors; tensors on the device
objective, optimizer   noise, timesteps, loss; AdamW, learning rate, moving average
start, adapters        the model to train, LoRA in and out of it
preparation            devices, files, plan and cache, before a model is opened
loop, state            the steps; checkpoints of a run
continuation           what a run may become when it goes on; where its file says it comes from
company, occupancy     several processes that stop together; one run in a folder
validation, samples    loss and pictures on held-out pairs
reporting, plot        events, metrics, TensorBoard; a picture of the losses
export                 the file that comes out
inspect_run            a look at a run without training
"""
