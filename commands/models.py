"""``comfyui-ace download`` and ``comfyui-ace convert``."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..ace.bundles.bundle import COMPONENTS, PUBLISHED_MODELS
from .common import bundle_roots


def add_parsers(subparsers) -> None:
    """Adds ``comfyui-ace download`` and ``comfyui-ace convert``."""
    fetch = subparsers.add_parser(
        "download",
        help="fetch a published model from Hugging Face",
        description="Fetch a published model from Hugging Face. What is there already is kept, an interrupted download "
        "goes on where it stopped, and every file is verified.",
    )
    fetch.add_argument("name", choices=list(PUBLISHED_MODELS), help="which model")
    fetch.add_argument(
        "--to", type=Path, metavar="FOLDER", help="model folder; the model becomes a sub-folder (default: models/ace)"
    )
    fetch.add_argument("--token", help="Hugging Face access token, if the repository asks for one")
    fetch.add_argument(
        "--only",
        nargs="+",
        choices=COMPONENTS,
        default=COMPONENTS,
        metavar="PART",
        help=f"only these parts: {', '.join(COMPONENTS)}",
    )
    fetch.set_defaults(run=run_download)

    change = subparsers.add_parser(
        "convert",
        help="turn a checkpoint into .safetensors",
        description="Turn an ACE checkpoint (or a PixArt-α one, as a start for training) into .safetensors with metadata.",
    )
    change.add_argument("source", type=Path, help="published .pth, .safetensors or what ModelSave wrote")
    change.add_argument("destination", type=Path, help="the .safetensors to write")
    change.add_argument(
        "--dtype", choices=["fp32", "fp16", "bf16", "fp8_e4m3fn", "fp8_e5m2"], help="storage (default: keep)"
    )
    change.add_argument(
        "--max-tokens",
        type=int,
        metavar="N",
        help="patches of 16x16 pixels in the largest picture of the model's training, stored in the file: 1024 for "
        "ACE-0.6B-512px, 4096 for ACE-0.6B-1024px (default: what the source or its name says)",
    )
    change.add_argument("--overwrite", action="store_true", help="replace the destination if it exists")
    change.set_defaults(run=run_convert)


def run_download(arguments: argparse.Namespace) -> int:
    """Downloads a model; returns the exit code."""
    from ..ace.bundles.download import download

    destination = arguments.to or bundle_roots()[0]
    bundle = download(arguments.name, destination, token=arguments.token, components=tuple(arguments.only))
    print(bundle.folder)
    return 0


def run_convert(arguments: argparse.Namespace) -> int:
    """Converts a checkpoint; returns the exit code."""
    import torch

    from ..ace.files import format_size
    from ..ace.weights.checkpoint import convert

    dtypes = {
        "fp32": torch.float32,
        "fp16": torch.float16,
        "bf16": torch.bfloat16,
        "fp8_e4m3fn": torch.float8_e4m3fn,
        "fp8_e5m2": torch.float8_e5m2,
    }
    dtype = dtypes[arguments.dtype] if arguments.dtype else None
    done = convert(
        arguments.source,
        arguments.destination,
        dtype=dtype,
        max_tokens=arguments.max_tokens,
        overwrite=arguments.overwrite,
    )
    print(
        f"{done.destination}: {done.parameters / 1e6:.1f} M parameters as {', '.join(done.dtypes)}, "
        f"{format_size(done.size)}, from {done.source_format}"
    )
    return 0
