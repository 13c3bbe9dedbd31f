"""Dataset -> LoRA, report and replacement workflow."""

from __future__ import annotations

from pathlib import Path

import folder_paths
from comfy_api.latest import io

from ..host.node import Node
from ..host.types import ADVANCED, schema
from . import files as training_files
from .asking import MODEL_TOOLTIP
from .learning import learning_inputs
from .train import (
    execute_run,
    finish_run,
    node_display,
    prepare_run,
    run_fingerprint,
    sheet_image,
    sheet_preview,
    training_inputs,
)


def _evaluation_inputs() -> list[io.Input]:
    """How the student is measured; workflows saved before there were such fields do without them."""
    return [
        io.String.Input(
            "judge_server",
            default="",
            optional=True,
            tooltip="Address of a server with a model that sees pictures, such as http://localhost:11434 (Ollama): it marks "
            "the student's and the teacher's results for the report. The held-out pictures are sent there and nowhere "
            "else. Empty: no server. A key is read from the environment variable ACE_JUDGE_KEY.",
            extra_dict=ADVANCED,
        ),
        io.String.Input(
            "judge_model",
            default="",
            optional=True,
            tooltip=MODEL_TOOLTIP,
            extra_dict=ADVANCED,
        ),
        io.Float.Input(
            "speed_loss",
            default=0.05,
            min=0.0,
            max=0.5,
            step=0.01,
            optional=True,
            tooltip="How much of the score may be given up for speed: the student is tried with fewer steps and without "
            "guidance, and the replacement workflow takes the fastest way that loses no more than this. 0.05 is 5 %. 0: as "
            "the model samples.",
            extra_dict=ADVANCED,
        ),
    ]


class DistilNode(Node):
    """ACE_DATASET -> file in models/loras, workflow, report."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id="ACEDistil",
            display_name="ACE Edit: Distil",
            category="training",
            description="Turns a captured workflow into a small one: trains a LoRA on its pairs, measures it against the "
            "teacher on held-out pictures, and writes a replacement workflow. The original graph is never touched.",
            search_aliases=["workflow distillation", "LoRA", "replace workflow", "train"],
            inputs=[*training_inputs("distil"), *_evaluation_inputs(), *learning_inputs()],
            outputs=[
                io.String.Output(display_name="lora", tooltip="The LoRA's file in models/loras."),
                io.String.Output(
                    display_name="workflow", tooltip="The replacement workflow, among your own workflows."
                ),
                io.String.Output(
                    display_name="report", tooltip="The page with pictures and numbers; empty if stopped."
                ),
                io.Float.Output(
                    display_name="score",
                    tooltip="0 is no better than the unedited source, 1 is the teacher; 0 also if it was not measured.",
                ),
                io.Image.Output(display_name="samples", tooltip="The latest sheet: source, teacher, student."),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, dataset_name, name, **_others) -> str:
        return run_fingerprint("distil", dataset_name, name)

    @classmethod
    def execute(cls, dataset=None, judge_server="", judge_model="", speed_loss=0.05, **settings) -> io.NodeOutput:
        judge_server, judge_model = judge_server.strip(), judge_model.strip()
        if judge_model and not judge_server:
            raise ValueError(
                f"judge_model is {judge_model}, but judge_server is empty: type the server's address, or empty both"
            )
        run = prepare_run("distil", dataset=dataset, **settings)
        display = node_display(cls.hidden.unique_id, run)
        options = {
            "inputs": folder_paths.get_input_directory(),
            "judge-server": judge_server,
            "judge-model": judge_model,
            "speed-loss": str(speed_loss),
        }
        event, lora = execute_run(run, display, *(f"--{key}={value}" for key, value in options.items() if value))
        workflow = training_files.publish_workflow(Path(event["workflow"]))
        verdict = event["verdict"] or f"stopped at step {event['step']}"
        finish_run(run, display, verdict, f"{verdict}\n{lora.name}\nWorkflows: {workflow.stem}", workflow)
        sheet = sheet_image(display.sheet)
        return io.NodeOutput(
            str(lora),
            str(workflow),
            event["report"] or "",
            event["score"] or 0.0,
            sheet,
            ui=sheet_preview(display.sheet, sheet, cls),
        )
