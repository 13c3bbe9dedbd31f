"""``comfyui-ace edit`` and ``comfyui-ace generate``."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..training.arguments import MAX_SEED, MAX_STEPS, add_mask_from, bounded_float, bounded_int
from .common import DTYPES, add_adapter_arguments


def add_parsers(subparsers) -> None:
    """Adds ``comfyui-ace edit`` and ``comfyui-ace generate``."""
    edit = subparsers.add_parser(
        "edit",
        help="edit pictures by an instruction",
        description="Edit pictures by an instruction. The first picture is {image} in the instruction, the next ones "
        "{image1}, {image2}, … Beside the result a .json with the rounds so far is written, to go on from: pass it with "
        "--history and the result as the picture of the next round.",
    )
    edit.add_argument("instruction", help='what to do, e.g. "{image} make it snow"')
    edit.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="the picture to edit, then further ones")
    edit.add_argument(
        "--mask",
        action="append",
        default=[],
        metavar="[INDICATOR=]FILE",
        help="white where the picture may change; without an indicator it belongs to the first picture",
    )
    add_mask_from(edit)
    edit.add_argument("--history", type=Path, metavar="FILE", help="rounds before this one (the .json of their result)")
    edit.add_argument(
        "--max-rounds", type=bounded_int(0), default=4, help="rounds of history to keep (default: %(default)s)"
    )
    edit.add_argument(
        "--keep-detail",
        type=bounded_float(0, 2),
        nargs="?",
        const=1.0,
        metavar="STRENGTH",
        help="give back what the VAE took of the first picture, as far as the result follows it: grain, fur, small text. "
        "The result has that picture's own size. 1 (without a number) is all of it (default: 1 where the result is put back "
        "under a mask, else 0)",
    )
    edit.add_argument(
        "--no-paste-back",
        action="store_true",
        help="with --mask: the picture as it was sampled, which differs a little outside the mask, too. Without this it is "
        "put back into the original, which outside the mask stays bit for bit what it was",
    )
    _add_sampling_options(edit)
    edit.set_defaults(run=run_edit)

    generate = subparsers.add_parser(
        "generate", help="make a picture from text", description="Make a picture from text alone."
    )
    generate.add_argument("instruction", help="what the picture shows")
    _add_sampling_options(generate)
    nothing = {"images": [], "mask": [], "mask_from": "auto", "history": None, "max_rounds": 0, "keep_detail": 0.0}
    nothing["no_paste_back"] = True
    generate.set_defaults(run=run_edit, **nothing)


def _add_sampling_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", type=Path, default=Path("ace.png"), help="result (default: %(default)s)")
    parser.add_argument("-m", "--model", default=None, metavar="FOLDER", help="folder of an ACE model, or its name")
    add_adapter_arguments(parser)
    parser.add_argument("--negative", default="", metavar="TEXT", help="what to avoid")
    parser.add_argument("--size", metavar="WxH", help="exact size of the result, multiples of 16")
    parser.add_argument(
        "--megapixels", type=bounded_float(0), metavar="MP", help="area of the result, keeping the shape"
    )
    parser.add_argument(
        "--steps", type=bounded_int(1, MAX_STEPS), help="sampling steps (default: as the model was published)"
    )
    parser.add_argument("--guidance", type=bounded_float(0), metavar="SCALE", help="guidance scale; 1 switches it off")
    parser.add_argument("--rescale", type=bounded_float(0, 1), metavar="PHI", help="guidance rescale, 0 … 1")
    parser.add_argument(
        "--seed",
        type=bounded_int(0, MAX_SEED),
        nargs="+",
        default=[0],
        help="one picture is made for each (default: 0)",
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps (default: the best there is)")
    parser.add_argument("--dtype", choices=DTYPES, default="auto", help="of the transformer")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bars")


def run_edit(arguments: argparse.Namespace) -> int:
    """Runs both commands, ``generate`` being an edit without pictures; returns the exit code."""
    from .editing import run

    return run(arguments)
