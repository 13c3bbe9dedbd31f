"""``comfyui-ace demo``: the whole path on embedded defaults."""

from __future__ import annotations

import argparse
from pathlib import Path

_PHOTO = Path(__file__).parent / "data" / "cat.jpg"
_INSTRUCTION = "{image} turn the photograph into a pencil drawing"


def add_parsers(subparsers) -> None:
    demo = subparsers.add_parser(
        "demo",
        help="run the whole path on a small model with random weights",
        description="Builds a small bundle in the published format, edits a photograph with it and makes a picture from "
        "text, without any download. The weights are random: it shows that everything runs, not what ACE can do.",
    )
    demo.add_argument("-o", "--output", type=Path, default=Path("output/demo"), help="folder (default: %(default)s)")
    demo.set_defaults(run=run_demo)


def run_demo(arguments: argparse.Namespace) -> int:
    from ..ace.random_bundle import make_random_bundle
    from ..cli import main

    print("ACE Edit demo. Its model is a small one with RANDOM WEIGHTS: the results are noise by nature.")
    bundle = make_random_bundle(arguments.output / "ace-random")
    print(f"bundle in the published format: {bundle.folder}")
    common = ["--model", str(bundle.folder), "--seed", "1"]
    edited, generated = arguments.output / "edited.png", arguments.output / "generated.png"
    failed = main(["edit", _INSTRUCTION, str(_PHOTO), "-o", str(edited), *common])
    failed = failed or main(["generate", "a lighthouse at dusk", "-o", str(generated), *common])
    if not failed:
        print(
            f"source: {_PHOTO}\nFor real edits get a published model: comfyui-ace download ACE-0.6B-512px, then\n"
            f'  comfyui-ace edit "{_INSTRUCTION}" photo.jpg -o drawing.png'
        )
    return failed
