"""Measures a bundle: ``python -m comfyui_ace.training.tiny.measure bundles/ace-tiny -o output/tiny/measured``.

Leaves ``measured.json``, ``measured.md`` and contact sheets of all tasks and of pictures from words.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ....ace.bundles.bundle import find_bundle
from ....ace.files import atomic_write
from ....ace.pictures.image_files import save_picture
from ....ace.pipeline import ACEPipeline
from ..world.examples import NAMES, Examples
from .scores import Answer, Sampling, answer, score, score_holes
from .sheets import answers_sheet, words_sheet
from .words import Prompt, landscape_prompts, paint, read, scene_prompts, shares, through_vae

HOLES = ("inpaint", "outpaint")
ALLOWED = 0.2  # of the way from the source; where the VAE loses nearly as much as an edit changes, there is no share
MADE_UP = (*HOLES, "from_edges", "from_colours", "words")  # the picture is not decided by what is given


def main() -> None:
    arguments = _parser().parse_args()
    torch.set_num_threads(arguments.threads)
    pipeline = ACEPipeline.load(find_bundle(arguments.bundle))
    sampling = Sampling(arguments.steps, arguments.guidance, arguments.rescale)
    measured: dict[str, Any] = {"sampling": asdict(sampling) | {"bundle": asdict(pipeline.defaults)}}
    if arguments.count:
        measured |= _tasks(pipeline, arguments, sampling)
    if arguments.prompts:
        measured["words"] = {
            "scenes": _words(pipeline, scene_prompts(arguments.prompts), arguments, sampling, "scenes"),
            "landscapes": _words(
                pipeline, landscape_prompts(arguments.prompts // 2), arguments, sampling, "landscapes"
            ),
        }
    for name, text in (("measured.json", json.dumps(measured, indent=1)), ("measured.md", table(measured))):
        with atomic_write(arguments.output / name) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8", newline="\n")
    print(table(measured))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m comfyui_ace.training.tiny.measure", description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("output/tiny/measured"))
    parser.add_argument("--count", type=int, default=16, help="held-out examples of each task; 0 leaves tasks out")
    parser.add_argument("--prompts", type=int, default=200, help="scenes from words; 0 leaves them out")
    parser.add_argument("--tasks", nargs="+", default=[name for name in NAMES if name != "words"], metavar="TASK")
    parser.add_argument("--steps", type=int, help="of the sampler; this and the next two are the bundle's if left out")
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--rescale", type=float)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser


def _tasks(pipeline: ACEPipeline, arguments: argparse.Namespace, sampling: Sampling) -> dict[str, Any]:
    examples = Examples("validation", seed=1)
    rows: dict[str, Any] = {}
    shown: list[list[Answer]] = []
    for name in arguments.tasks:
        answers = answer(pipeline, [examples.of(name, number) for number in range(arguments.count)], sampling)
        found = score(answers)
        rows[name] = asdict(found) | {
            "score": found.score,
            "ceiling_score": found.ceiling_score,
            "share": found.share,
            "share_pasted": found.pasted.share if found.pasted else None,
        }
        if name in HOLES:
            holes = score_holes(answers)
            rows[name] |= {"hole": vars(holes) | {"ratio": holes.ratio, "smooth_ratio": holes.smooth_ratio}}
        shown.append(answers)
        print(f"{name}: share {found.share:.2f}", flush=True)
    save_picture(answers_sheet(shown), arguments.output / "tasks.png")
    decided = [row["share"] for name, row in rows.items() if name not in MADE_UP and row["ceiling_score"] >= ALLOWED]
    summary = {"median_share": statistics.median(decided), "least_share": min(decided)} if decided else {}
    return {"tasks": rows, **summary}


def _words(
    pipeline: ACEPipeline, prompts: list[Prompt], arguments: argparse.Namespace, sampling: Sampling, name: str
) -> dict[str, Any]:
    painted = [paint(pipeline, prompt, sampling, seed) for seed, prompt in enumerate(prompts)]
    save_picture(words_sheet(prompts, painted), arguments.output / f"{name}.png")
    others = prompts[1:] + prompts[:1]
    found = {
        "model": shares([read(picture, p.meaning) for picture, p in zip(painted, prompts, strict=True)]),
        "drawings": shares([read(p.drawing, p.meaning) for p in prompts]),
        "drawings_after_vae": shares([read(through_vae(pipeline, p), p.meaning) for p in prompts]),
        "drawings_of_other_words": shares(
            [read(other.drawing, p.meaning) for other, p in zip(others, prompts, strict=True)]
        ),
    }
    print(f"{name}: {found['model']}", flush=True)
    return {"prompts": len(prompts), **found}


def table(measured: dict[str, Any]) -> str:
    """The numbers in Markdown."""
    lines = []
    if "tasks" in measured:
        lines += [
            "| task | L1 student | L1 source | L1 ceiling | L1 outside the mask | score | ceiling | share | pasted back |",
            "| --- " * 9 + "|",
        ]
        for name, row in measured["tasks"].items():
            outside = "" if row["outside"] is None else f"{row['outside']:.4f}"
            errors = f"{row['student']:.4f} | {row['source']:.4f} | {row['ceiling']:.4f} | {outside}"
            pasted = "" if row["share_pasted"] is None else f"{row['share_pasted']:.2f}"
            lines.append(
                f"| {name} | {errors} | {row['score']:.2f} | {row['ceiling_score']:.2f} | {row['share']:.2f} | {pasted} |"
            )
        if "median_share" in measured:
            lines.append("")
            lines.append(
                f"Share of what the VAE allows, where it allows {ALLOWED} or more: "
                f"median {measured['median_share']:.2f}, least {measured['least_share']:.2f}."
            )
        for name in HOLES:
            if name in measured["tasks"]:
                hole = measured["tasks"][name]["hole"]
                lines.append(
                    f"{name}: L1 in the hole {hole['student']:.4f}, of the mean colour {hole['mean_colour']:.4f} "
                    f"(ratio {hole['ratio']:.2f}), of a smooth fill {hole['smooth']:.4f} ({hole['smooth_ratio']:.2f}), "
                    f"of the VAE {hole['ceiling']:.4f}."
                )
    for name, found in measured.get("words", {}).items():
        lines += ["", f"{found['prompts']} {name} from words; share of the pictures on which a program reads it:"]
        for kind in ("model", "drawings", "drawings_after_vae", "drawings_of_other_words"):
            lines.append(f"- {kind.replace('_', ' ')}: " + ", ".join(f"{k} {v:.3f}" for k, v in found[kind].items()))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
