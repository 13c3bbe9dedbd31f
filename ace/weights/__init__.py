"""Files with weights: what is in them, what it becomes, and how it is written.

checkpoint   a transformer from any published or saved file, and back
lora         LoRA files: read, checked, merged
editnet      control branches: read, checked, built, written
trained_file what the header of a LoRA or an EditNet says of its use
containers   tensors in .safetensors, .pth, .bin without running code in them
detection    what a file is that is no ACE model: FLUX, a VAE, a LoRA …
presets      how the published models are sampled
init         weights of an untrained network
vae_names    names of VAE tensors: LDM and diffusers
fp8, pixart  scaled fp8; PixArt-α as a start (private to the room)
"""

__all__ = ["checkpoint", "containers", "detection", "editnet", "init", "lora", "presets", "trained_file", "vae_names"]
