"""Dataset -> LoRA, report and replacement workflow."""

from __future__ import annotations

from pathlib import Path

import folder_paths
from comfy_api.latest import io, ui

from ..host.types import schema
from . import files as training_files
from .process import NodeDisplay
from .train import execute_run, prepare_run, run_fingerprint, sheet_image, training_inputs


class DistilNode(io.ComfyNode):
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
            inputs=training_inputs("distil"),
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
    def execute(cls, dataset=None, **settings) -> io.NodeOutput:
        run = prepare_run("distil", dataset=dataset, **settings)
        display = NodeDisplay(cls.hidden.unique_id)
        event, lora = execute_run(run, display, f"--inputs={folder_paths.get_input_directory()}")
        workflow = training_files.publish_workflow(Path(event["workflow"]))
        display.write(
            f"{event['verdict'] or 'stopped at step ' + str(event['step'])}\n{lora.name}\n"
            f"Workflows: {workflow.stem}" + (f"\n{event['report']}" if event["report"] else "")
        )
        sheet = sheet_image(display.sheet)
        return io.NodeOutput(
            str(lora),
            str(workflow),
            event["report"] or "",
            event["score"] or 0.0,
            sheet,
            ui=ui.PreviewImage(sheet, cls=cls),
        )
