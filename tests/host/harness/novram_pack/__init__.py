"""Does on the CPU what --novram does on a GPU: next to nothing of a model is loaded, every layer casts its own weights.

ComfyUI refuses --novram together with --cpu and takes a model on the CPU for fully loaded, so on a machine without a
GPU this is the only way into the host's own code for partly loaded models, patches and LoRA on them included.
"""

import comfy.model_management

NODE_CLASS_MAPPINGS = {}
_NO_VRAM = 0.1  # bytes; what load_models_gpu passes under --novram

_model_load = comfy.model_management.LoadedModel.model_load


def _load_next_to_nothing(self, lowvram_model_memory=0, force_patch_weights=False):
    return _model_load(self, _NO_VRAM, force_patch_weights=force_patch_weights)


comfy.model_management.LoadedModel.model_load = _load_next_to_nothing
