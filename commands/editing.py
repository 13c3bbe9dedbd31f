"""What ``comfyui-ace edit`` and ``comfyui-ace generate`` do once their arguments are read."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..ace.bundles.bundle import Bundle
from ..ace.files import require_writable
from ..ace.lcu.indicators import indicator, indicator_number
from ..ace.lcu.rounds import (
    StoredImage,
    StoredRound,
    load_rounds,
    save_rounds,
)
from ..ace.lcu.units import Frame, LongContext, resolve
from ..ace.notices import Notify
from ..ace.pictures.image_files import save_picture
from ..ace.pictures.keep_detail import KeepDetail
from ..ace.pictures.paste_back import paste_back
from ..ace.pictures.resolution import Resolution
from .common import choose_bundle, parse_device, parse_dtype, read_adapters, silence_libraries

if TYPE_CHECKING:
    import torch


def _resolution(arguments: argparse.Namespace, max_tokens: int) -> Resolution:
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
        StoredImage(
            indicator(number), path.absolute(), masks.get(number) and masks[number].absolute(), arguments.mask_from
        )
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


def _check_outputs(outputs: list[Path], rounds: list[StoredRound]) -> None:
    """Checks that the results can be written and that nothing is lost by it.

    Raises:
        OSError: the folder or the disk takes no file.
        ValueError: a result would replace a picture or mask of any round, or a .json that is no history.
    """
    stored = [file for one in rounds for image in one.images for file in (image.image, image.mask) if file is not None]
    sources = {file.resolve() for file in stored}
    for output in outputs:
        if output.resolve() in sources:
            raise ValueError(f"{output} is one of the pictures this edit is made from; choose another name with -o")
        record = output.with_suffix(".json")
        if record.exists():
            load_rounds(record)
        require_writable(output)


def run(arguments: argparse.Namespace) -> int:
    """Runs both commands, ``generate`` being an edit without pictures; returns the exit code."""

    def notify(message: str) -> None:
        print(f"note: {message}", file=sys.stderr)

    device = parse_device(arguments.device)
    outputs = output_paths(arguments.output, len(arguments.seed))
    history = load_rounds(arguments.history) if arguments.history else []
    present = _stored_round(arguments)
    context = LongContext(present.load(notify), [one.load(notify) for one in history])
    context = context.keep_rounds(arguments.max_rounds, notify)
    _check_outputs(outputs, [*history, present])
    bundle = choose_bundle(arguments.model)
    resolution = _resolution(arguments, bundle.defaults.max_tokens)
    masked = None if arguments.no_paste_back else _masked_frame(context)
    for image, path in zip(
        _sample(arguments, context, bundle, device, resolution, masked, notify), outputs, strict=True
    ):
        save_picture(image, path)
        save_rounds([*history, present], path.with_suffix(".json"))
        print(path)
    return 0


def _masked_frame(context: LongContext) -> Frame | None:
    """The picture that is edited, if it has a mask."""
    resolved = resolve(context)
    frame = None if resolved.target is None else resolved.frames[resolved.target]
    return None if frame is None or frame.mask is None else frame


def _sample(
    arguments: argparse.Namespace,
    context: LongContext,
    bundle: Bundle,
    device: torch.device,
    resolution: Resolution,
    masked: Frame | None,
    notify: Notify,
) -> torch.Tensor:
    """The results (B, H, W, 3); put back into the picture ``masked`` where that is one."""
    from tqdm import tqdm

    from ..ace.pipeline import ACEPipeline

    if arguments.quiet:
        silence_libraries()
    loras, editnets = read_adapters(arguments)
    pipeline = ACEPipeline.load(bundle, device=device, dtype=parse_dtype(arguments.dtype, device))
    pipeline = pipeline.with_adapters(loras, editnets, notify=notify)
    steps = pipeline.defaults.steps if arguments.steps is None else arguments.steps
    strength = float(masked is not None) if arguments.keep_detail is None else arguments.keep_detail
    with tqdm(total=steps, unit="step", disable=arguments.quiet) as bar:
        result = pipeline(
            context,
            seed=arguments.seed if len(arguments.seed) > 1 else arguments.seed[0],
            resolution=resolution,
            negative_prompt=arguments.negative,
            steps=steps,
            guidance_scale=arguments.guidance,
            guidance_rescale=arguments.rescale,
            keep_detail=KeepDetail(strength=strength) if strength else None,
            callback=lambda _step: bar.update(),
            notify=notify,
        )
    if masked is None:
        return result.images
    return paste_back(masked.image, result.images, masked.mask, fit=result.fit, notify=notify)
