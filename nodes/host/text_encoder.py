"""T5 through the host's CLIP."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import comfy.sd
import comfy.sd1_clip
import comfy.utils
import folder_paths
import torch
from comfy.text_encoders import pixart_t5

from ...ace.text_files import read_text
from ...ace.weights.containers import CheckpointError, check_finite, read_container
from ...ace.weights.detection import detect_from_tensors

# What a T5's config.json says of its shape; everything else is the same in all of T5 v1.1.
_SHAPE_KEYS = ("d_ff", "d_kv", "d_model", "num_heads", "num_layers", "vocab_size")
# By these the one T5 is told from smaller ones, from the first version and from multilingual ones of the same size.
_LAST_LAYER, _WIDTH = "encoder.block.23.layer.1.DenseReluDense.wi_1.weight", 4096
_EMBEDDING, _VOCABULARY = "shared.weight", 32128
_CHOOSE_T5 = (
    "choose a t5xxl file (t5xxl_fp16.safetensors, t5xxl_fp8_e4m3fn.safetensors, …), the same that FLUX and SD3 use"
)


class HostTextEncoder:
    """The T5 inside any CLIP that has one: PixArt's, SD3's and FLUX's all hold the T5 v1.1 XXL that ACE reads.

    Args:
        clip: the host's CLIP object.

    Raises:
        ValueError: it holds no T5.
    """

    def __init__(self, clip) -> None:
        self._t5 = getattr(clip.cond_stage_model, "t5xxl", None)
        tokenizer = getattr(clip.tokenizer, "clip_t5xxl", None) or getattr(clip.tokenizer, "t5xxl", None)
        if self._t5 is None or tokenizer is None:
            raise ValueError(
                f"this CLIP is a {type(clip.cond_stage_model).__name__} without a T5; ACE reads T5 v1.1 XXL: load "
                "a t5xxl file with “ACE Edit: Load Text Encoder” or core's CLIPLoader (type pixart)"
            )
        self._clip = clip
        self.tokenizer = tokenizer.tokenizer

    def embed(self, token_ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """B texts of L ids each -> (B, L, Y) float32, on the host's intermediate device."""
        clip = self._clip
        clip.cond_stage_model.reset_clip_options()
        clip.load_model()
        clip.cond_stage_model.set_clip_options({"execution_device": clip.patcher.load_device})
        weighted = [[(int(token), 1.0) for token in text] for text in token_ids]
        joined = self._t5.encode_token_weights(weighted)[0]  # (1, B·L, Y): the host lays the texts end to end
        return joined.reshape(len(weighted), -1, joined.shape[-1]).float()


def load_clip_file(path: str):
    """A single T5 file (any t5xxl that FLUX or SD3 uses) -> CLIP.

    Raises:
        ValueError: the file holds no T5 v1.1 XXL encoder, or weights that are no numbers.
    """
    try:
        tensors = read_container(path).tensors
    except CheckpointError as error:
        raise ValueError(f"{error} For a text encoder, {_CHOOSE_T5}") from None
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    # The host goes by names alone and would fail on the first shape that does not fit.
    if shapes.get(_LAST_LAYER, ())[-1:] != (_WIDTH,) or shapes.get(_EMBEDDING, (0,))[0] != _VOCABULARY:
        raise ValueError(f"{Path(path).name} is not T5 v1.1 XXL{_describe_file(shapes)}; {_CHOOSE_T5}")
    check_finite(Path(path), tensors)
    return comfy.sd.load_clip(
        ckpt_paths=[path],
        embedding_directory=folder_paths.get_folder_paths("embeddings"),
        clip_type=comfy.sd.CLIPType.PIXART,
    )


def _describe_file(shapes: Mapping[str, Sequence[int]]) -> str:
    """What a file that is no T5 v1.1 XXL seems to hold, to follow its name; empty when it is unknown."""
    if _EMBEDDING in shapes and len(shapes[_EMBEDDING]) == 2:
        words, width = shapes[_EMBEDDING]
        return (
            f", which has {_VOCABULARY} words and a width of {_WIDTH} in 24 gated layers, but another T5 with {words} words "
            f"and a width of {width}"
        )
    found = detect_from_tensors(shapes)
    return f": it looks like {found.name}" if found is not None else ""


def load_clip_folder(folder: Path, tokenizer: Path):
    """A folder in transformers' layout (one file or shards) and its tokenizer -> CLIP.

    Small encoders work as well as T5 v1.1 XXL, because the shape comes from the folder's ``config.json``.

    Args:
        folder: with config.json and weights.
        tokenizer: folder of the tokenizer.

    Raises:
        ValueError: weights are missing from the folder, or are no numbers.
    """
    state_dict: dict[str, torch.Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin")):
        state_dict |= read_container(file).tensors
    check_finite(folder, state_dict)
    config = json.loads(read_text(folder / "config.json"))
    _check_complete(folder, state_dict, config["num_layers"])

    class Target:
        params: dict = {}
        clip = pixart_t5.pixart_te(dtype_t5=comfy.utils.weight_dtype(state_dict))
        tokenizer = pixart_t5.PixArtTokenizer

    return comfy.sd.CLIP(
        Target,
        tokenizer_data=_tokenizer_data(tokenizer, config["d_model"]),
        parameters=comfy.utils.calculate_parameters(state_dict),
        state_dict=[state_dict],
        model_options={"t5xxl_model_config": {key: config[key] for key in _SHAPE_KEYS if key in config}},
    )


def _check_complete(folder: Path, state_dict: dict[str, torch.Tensor], layers: int) -> None:
    """Raises ValueError for a folder from which a file is missing: the host itself would only log that."""
    wanted = ["encoder.final_layer_norm.weight"]
    wanted += [f"encoder.block.{k}.layer.{part}.layer_norm.weight" for k in range(layers) for part in (0, 1)]
    missing = [name for name in wanted if name not in state_dict]
    if missing or not {"shared.weight", "encoder.embed_tokens.weight"} & state_dict.keys():
        raise ValueError(
            f"the text encoder in {folder} is incomplete: of its weights {', '.join(missing[:3]) or 'shared.weight'} "
            f"and {max(len(missing) - 3, 0)} more are in no file there. Copy or download all of its files again"
        )


def _tokenizer_data(folder: Path, width: int) -> dict:
    """What makes the host read the vocabulary from ``folder``; a bare spiece.model is T5's own, which the host has."""
    if not (folder / "tokenizer.json").is_file():
        return {}
    return {"clip_t5xxl_tokenizer_class": _tokenizer_class(folder, width)}


def _tokenizer_class(folder: Path, width: int) -> type:
    """The host's T5 tokenizer, reading its vocabulary from ``folder`` instead of the host's own."""
    from transformers import AutoTokenizer

    class FolderTokenizer(comfy.sd1_clip.SDTokenizer):
        def __init__(self, embedding_directory=None, tokenizer_data={}):  # noqa: B006
            super().__init__(
                str(folder),
                embedding_directory=embedding_directory,
                pad_with_end=False,
                embedding_size=width,
                embedding_key="t5xxl",
                tokenizer_class=AutoTokenizer,
                has_start_token=False,
                pad_to_max_length=False,
                max_length=99999999,
                min_length=1,
                tokenizer_data=tokenizer_data,
                tokenizer_args={"trust_remote_code": False},
            )

    return FolderTokenizer
