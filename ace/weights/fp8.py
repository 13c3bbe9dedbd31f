"""Weights stored in eight bits with a scale of their own, as ComfyUI's fp8 checkpoints have them.

Plain fp8 needs nothing: it is a dtype. *Scaled* fp8 stores ``weight / scale`` and the scale beside it, in one of two
spellings: ``X.scale_weight`` with one ``scaled_fp8`` tensor as a marker, or ``X.weight_scale`` with ``X.comfy_quant``
(the layer's format as JSON in bytes) or the header ``_quantization_metadata``. Scales of activations are not needed.
"""

from __future__ import annotations

import torch

FP8_DTYPES = (torch.float8_e4m3fn, torch.float8_e5m2)

_SCALES = (".scale_weight", ".weight_scale")
_EXTRAS = (".scale_input", ".input_scale", ".comfy_quant")
_MARKER = "scaled_fp8"


def dequantize(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Multiplies scaled fp8 weights by their scales and drops the tensors that only describe the storage.

    Args:
        state_dict: clean names, without a prefix.

    Returns:
        A new dict; scaled weights are float32, all others are the same tensors as before.

    Raises:
        ValueError: a scale belongs to a weight that is not fp8, or the format is another one (nvfp4, int8 …).
    """
    scales = {}
    for suffix in _SCALES:
        scales.update({f"{name[: -len(suffix)]}.weight": name for name in state_dict if name.endswith(suffix)})
    dropped = {name for name in state_dict if name.endswith(_EXTRAS) or name == _MARKER} | set(scales.values())
    result = {name: tensor for name, tensor in state_dict.items() if name not in dropped}
    for name, scale in scales.items():
        if name in result:  # a scale without a weight belongs to a layer that the caller has dropped
            result[name] = _scaled(name, result[name], state_dict[scale])
    return result


def _scaled(name: str, weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    if weight.dtype not in FP8_DTYPES:
        raise ValueError(
            f"{name} is stored as {str(weight.dtype).removeprefix('torch.')} but comes with a quantisation scale. Only "
            "fp8 weights can be scaled back; ComfyUI writes such files when a quantised model is saved again. Use the "
            "file it was made from"
        )
    if scale.numel() == weight.shape[0] > 1:  # one scale for each row
        scale = scale.reshape(-1, *(1,) * (weight.ndim - 1))
    elif scale.numel() != 1:
        raise ValueError(
            f"{name} {tuple(weight.shape)} comes with scales of shape {tuple(scale.shape)}; expected one scale, or one "
            "for each row. Block-wise formats are not read here; use an fp16, bf16 or fp8 file"
        )
    return weight.float() * scale.float()
