"""The trainer: from datasets of pairs to a LoRA or a whole model. `run.train` is the door; no ComfyUI in here.

config, config_file   what can be set; TOML and overrides
run                   a training from its configuration to the file that comes out
preparation           devices, files, examples and cache, before a model is opened
start                 the model to train
continuation          what a run may become when it goes on; where its file says it comes from
export                the file that comes out
inspect_run           a look at a run without training
progress, reporting   how far it is; events, metrics, TensorBoard
data                  what the model is fed: examples, latents and text, batches
learning              what it learns by: noise and loss, optimizer, LoRA layers
engine                what runs: the loop, its state on disk, several processes
monitoring            what is shown: loss and pictures on held-out pairs, curves
"""

__all__ = [
    "config",
    "config_file",
    "data",
    "engine",
    "errors",
    "inspect_run",
    "learning",
    "monitoring",
    "preparation",
    "progress",
    "reporting",
    "run",
    "start",
]
