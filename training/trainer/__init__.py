"""The trainer: from datasets of pairs to a LoRA, an EditNet or a whole model. `run.train` is the door; no ComfyUI in here.

config, config_file   what can be set; TOML and overrides
config_adapters       parts of it: what is trained beside a frozen model,
config_outputs        what is measured and written,
config_values         and the kinds of values that all sections share
run                   a training from its configuration to the file that comes out
preparation           devices, files, examples and cache, before a model is opened
base_model            the model a run starts from, set up for training
data_module           what a run is fed and measured on
resume                what may change when a run goes on; where its file says it comes from
export                the file that comes out
inspect_run           what a run would train on, without training; cached latents as pictures
progress, reporting   how far it is; events, metrics, TensorBoard
data                  what the model is fed: examples, latents and text, batches
learning              what it learns by: noise and loss, optimizer, LoRA layers, EditNet
methods               what a step learns: results of pairs, or what the model itself says with guidance
engine                what runs: the loop, its state on disk, several processes
monitoring            what is shown: loss and pictures on held-out pairs, curves
"""

__all__ = [
    "base_model",
    "config",
    "config_file",
    "data",
    "engine",
    "errors",
    "export",
    "inspect_run",
    "learning",
    "methods",
    "monitoring",
    "preparation",
    "progress",
    "reporting",
    "run",
]
