"""Workflow files in UI format for the tests, and the schemas of their nodes as a server would tell them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from comfyui_ace.training.capture.workflow.graph import Workflow
from comfyui_ace.training.capture.workflow.load import load_workflow

SAVED = Path(__file__).parents[1] / "training" / "capture" / "saved_workflows"
BOX = {"x": 0, "y": 0, "width": 512, "height": 512}


def node_schema(output: list[str], module: str = "nodes", *, shows: bool = False, **inputs: list) -> dict[str, Any]:
    return {"input": {"required": inputs}, "output": output, "python_module": module, "output_node": shows}


SCHEMAS = {
    "LoadImage": node_schema(["IMAGE", "MASK"], image=[[], {"image_upload": True}]),
    "ImageInvert": node_schema(["IMAGE"], image=["IMAGE"]),
    "ImageBlur": node_schema(["IMAGE"], image=["IMAGE"], blur_radius=["INT", {"default": 1}], sigma=["FLOAT", {}]),
    "ImageBatch": node_schema(["IMAGE"], image1=["IMAGE"], image2=["IMAGE"]),
    "CustomCombo": node_schema(["STRING", "INT"], choice=["COMBO", {"options": []}]),
    "ImageFromBatch": node_schema(["IMAGE"], image=["IMAGE"], batch_index=["INT", {}], length=["INT", {}]),
    "SaveImage": node_schema([], shows=True, images=["IMAGE"], filename_prefix=["STRING", {"default": "ComfyUI"}]),
    "PreviewImage": node_schema([], shows=True, images=["IMAGE"]),
    "ShowOfPack": node_schema([], "custom_nodes.pack", shows=True, pictures=["IMAGE"]),
    "ACECaptureResult": node_schema(["IMAGE"], "custom_nodes.ace", shows=True, image=["IMAGE"]),
    "ImageCropV2": node_schema(
        ["IMAGE"], image=["IMAGE"], crop_region=["BOUNDING_BOX", {"default": BOX, "socketless": True}]
    ),
    "Encode": node_schema(["CONDITIONING"], text=["STRING", {"dynamicPrompts": True}]),
}


def saved(name: str, schemas: dict[str, Any] | None = None) -> Workflow:
    return load_workflow(json.loads((SAVED / name).read_text(encoding="utf-8")), schemas or SCHEMAS)


def ui_file(*nodes: dict, links: list | None = None, subgraphs: list | None = None) -> dict[str, Any]:
    graph = {"version": 0.4, "nodes": list(nodes), "links": links or []}
    return {**graph, "definitions": {"subgraphs": subgraphs}} if subgraphs else graph
