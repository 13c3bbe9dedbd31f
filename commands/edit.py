"""``comfyui-ace edit`` and ``comfyui-ace generate``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..ace.bundles.bundle import SHIPPED_BUNDLES, Bundle, find_bundle
from ..ace.lcu.indicators import indicator, indicator_number
from ..ace.lcu.rounds import (
    StoredImage,
    StoredRound,
    load_rounds,
    save_rounds,
)
from ..ace.lcu.units import LongContext
from ..ace.pictures.image_files import save_picture
from ..ace.weights.lora import merge_lora, read_lora
from .common import bundle_roots, parse_device, parse_dtype

_DTYPES = ("auto", "fp32", "bf16", "fp16")


def add_parsers(subparsers) -> None:
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
    edit.add_argument("--history", type=Path, metavar="FILE", help="rounds before this one (the .json of their result)")
    edit.add_argument("--max-rounds", type=int, default=4, help="rounds of history to keep (default: %(default)s)")
    _add_sampling_options(edit)
    edit.set_defaults(run=run_edit)

    generate = subparsers.add_parser(
        "generate", help="make a picture from text", description="Make a picture from text alone."
    )
    generate.add_argument("instruction", help="what the picture shows")
    _add_sampling_options(generate)
    generate.set_defaults(run=run_edit, images=[], mask=[], history=None, max_rounds=0)


def _add_sampling_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", type=Path, default=Path("ace.png"), help="result (default: %(default)s)")
    parser.add_argument("-m", "--model", default=None, metavar="FOLDER", help="folder of an ACE model, or its name")
    parser.add_argument(
        "--lora",
        action="append",
        type=parse_lora,
        default=[],
        metavar="FILE[:STRENGTH]",
        help="a LoRA to apply, as `comfyui-ace train` writes it; several may be given",
    )
    parser.add_argument("--negative", default="", metavar="TEXT", help="what to avoid")
    parser.add_argument("--size", metavar="WxH", help="exact size of the result, multiples of 16")
    parser.add_argument("--megapixels", type=float, metavar="MP", help="area of the result, keeping the shape")
    parser.add_argument("--steps", type=int, help="sampling steps (default: as the model was published)")
    parser.add_argument("--guidance", type=float, metavar="SCALE", help="guidance scale; 1 switches it off")
    parser.add_argument("--rescale", type=float, metavar="PHI", help="guidance rescale, 0 … 1")
    parser.add_argument("--seed", type=int, nargs="+", default=[0], help="one picture is made for each (default: 0)")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps (default: the best there is)")
    parser.add_argument("--dtype", choices=_DTYPES, default="auto", help="of the transformer")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")


def parse_lora(text: str) -> tuple[Path, float]:
    """A LoRA's file and strength. What follows the last colon is a strength only if it is a number (`C:\\…` is not)."""
    file, colon, strength = text.rpartition(":")
    try:
        return (Path(file), float(strength)) if colon else (Path(text), 1.0)
    except ValueError:
        return Path(text), 1.0


def _bundles_named(name: str | None, roots: Sequence[Path]) -> list[Path]:
    """Model folders of this name, or of any, complete or not."""
    folders = [folder for root in roots if root.is_dir() for folder in sorted(root.iterdir()) if folder.is_dir()]
    return [folder for folder in folders if name in (None, folder.name) and (folder / "models").is_dir()]


def choose_bundle(name: str | None) -> Bundle:
    """The bundle a user means: a folder, or the name of one in a model folder or of the one that comes along; without a
    name the only one in a model folder.

    Raises:
        BundleError: the folder is incomplete.
        ValueError: nothing fits, or several do.
    """
    if name is not None and Path(name).is_dir():
        return find_bundle(name)
    roots = bundle_roots()
    matches = _bundles_named(name, roots)
    if name is not None and not matches:
        matches = _bundles_named(name, [SHIPPED_BUNDLES])
    if len(matches) == 1:
        return find_bundle(matches[0])
    where = ", ".join(str(root) for root in roots)
    if matches:
        names = ", ".join(folder.name for folder in matches)
        raise ValueError(f"there are several models ({names}); choose one with --model NAME")
    raise ValueError(
        f"no ACE model {'' if name is None else f'named {name} '}in {where}. Give a folder with --model, get one with "
        "`comfyui-ace download ACE-0.6B-512px`, or try `--model ace-tiny`, the small one that comes along"
    )


def _resolution(arguments: argparse.Namespace, max_tokens: int):
    from ..ace.pictures.resolution import Resolution

    if arguments.size is not None and arguments.megapixels is not None:
        raise ValueError("--size and --megapixels exclude each other; give one")
    if arguments.megapixels is not None:
        return Resolution.megapixels(arguments.megapixels)
    if arguments.size is None:
        return Resolution.published(max_tokens)
    try:
        width, height = (int(side) for side in arguments.size.lower().split("x"))
    except ValueError:
        raise ValueError(f"--size must look like 512x768 (width x height), got {arguments.size!r}") from None
    return Resolution.exact(height, width)


def _stored_round(arguments: argparse.Namespace) -> StoredRound:
    masks: dict[int, Path] = {}
    for given in arguments.mask:
        word, _, file = given.rpartition("=")
        number = indicator_number(word) if word else 0
        if number in masks:
            raise ValueError(f"two masks were given for {indicator(number)}: {masks[number]} and {file}; give one")
        masks[number] = Path(file)
    surplus = [indicator(number) for number in masks if number >= len(arguments.images)]
    if surplus:
        raise ValueError(f"a mask was given for {', '.join(surplus)}, but there are {len(arguments.images)} pictures")
    images = [
        StoredImage(indicator(number), path.absolute(), masks.get(number) and masks[number].absolute())
        for number, path in enumerate(arguments.images)
    ]
    return StoredRound(arguments.instruction, tuple(images))


def output_paths(output: Path, count: int) -> list[Path]:
    """One file for each picture: the name as given, or numbered.

    Raises:
        ValueError: the extension is not one of a picture.
    """
    from PIL import Image

    extensions = Image.registered_extensions()  # also loads the list of formats that can be written
    if extensions.get(output.suffix.lower()) not in Image.SAVE:
        raise ValueError(f"{output} has no extension of a picture; use .png, .jpg or .webp")
    if count == 1:
        return [output]
    return [output.with_name(f"{output.stem}-{number}{output.suffix}") for number in range(1, count + 1)]


def _keep_sources(outputs: list[Path], rounds: list[StoredRound]) -> None:
    """Raises ValueError if a result would replace a picture or mask of any round, or a .json that is no history."""
    stored = [file for one in rounds for image in one.images for file in (image.image, image.mask) if file is not None]
    sources = {file.resolve() for file in stored}
    for output in outputs:
        if output.resolve() in sources:
            raise ValueError(f"{output} is one of the pictures this edit is made from; choose another name with -o")
        record = output.with_suffix(".json")
        if record.exists():
            load_rounds(record)


def run_edit(arguments: argparse.Namespace) -> int:
    """Runs both commands; ``generate`` is an edit without pictures."""
    from tqdm import tqdm

    from ..ace.pipeline import ACEPipeline

    def notify(message: str) -> None:
        print(f"note: {message}", file=sys.stderr)

    device = parse_device(arguments.device)
    outputs = output_paths(arguments.output, len(arguments.seed))
    history = load_rounds(arguments.history) if arguments.history else []
    present = _stored_round(arguments)
    context = LongContext(present.load(notify), [one.load(notify) for one in history])
    context = context.keep_rounds(arguments.max_rounds, notify)
    _keep_sources(outputs, [*history, present])
    bundle = choose_bundle(arguments.model)
    resolution = _resolution(arguments, bundle.defaults.max_tokens)
    loras = [(read_lora(path), strength) for path, strength in arguments.lora]

    pipeline = ACEPipeline.load(bundle, device=device, dtype=parse_dtype(arguments.dtype, device))
    for lora, strength in loras:
        merge_lora(pipeline.model, lora, strength)
    steps = pipeline.defaults.steps if arguments.steps is None else arguments.steps
    with tqdm(total=steps, unit="step", disable=arguments.quiet) as bar:
        result = pipeline(
            context,
            seed=arguments.seed if len(arguments.seed) > 1 else arguments.seed[0],
            resolution=resolution,
            negative_prompt=arguments.negative,
            steps=steps,
            guidance_scale=arguments.guidance,
            guidance_rescale=arguments.rescale,
            callback=lambda _step: bar.update(),
            notify=notify,
        )
    for image, path in zip(result.images, outputs, strict=True):
        save_picture(image, path)
        save_rounds([*history, present], path.with_suffix(".json"))
        print(path)
    return 0
