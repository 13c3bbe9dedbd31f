"""The current graph over a folder of pictures, through ComfyUI's own queue."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import comfy.model_management
from comfy_api.latest import io

from ..host import paths
from ..host.messages import announce_files, send_to_pages, show_on_node
from ..host.node import Node
from ..host.routes import routes_without
from ..host.types import ADVANCED, schema

NODE_ID = "ACESweep"
_START, _DRY_RUN, _STOP = "start", "dry run", "stop"
_NONE = "none"
_CHOOSE = "(choose a folder)"
_WHOLE_INPUT = "."


def _inputs() -> list[io.Input]:
    """What is swept, and what is kept with it."""
    return [
        *_folder_inputs(),
        io.String.Input(
            "dataset",
            default="",
            tooltip="Where the pairs go. Empty: what Capture Result or Capture Pair says.",
            extra_dict=ADVANCED,
        ),
        io.String.Input(
            "instruction",
            multiline=True,
            default="",
            tooltip="What was asked for, the same for all pairs. Empty: what Capture Result or Capture Pair says, "
            "else a trigger made of the dataset's name.",
            extra_dict=ADVANCED,
        ),
        io.String.Input(
            "tags",
            default="",
            tooltip="Words kept with each pair, separated by commas. Empty: what Capture Result or Capture Pair says.",
            extra_dict=ADVANCED,
        ),
        io.Int.Input(
            "seeds",
            default=1,
            min=1,
            max=1000,
            tooltip="How many results each picture gets, each with a seed of its own.",
            extra_dict=ADVANCED,
        ),
        io.String.Input(
            "checks",
            default="",
            tooltip="Changes to the checks that reject pairs, separated by commas, for example: no_op=off, "
            "size_tolerance=0.1. Empty: what Capture Result or Capture Pair says.",
            extra_dict=ADVANCED,
        ),
        io.Combo.Input(
            "action",
            options=[_START, _DRY_RUN, _STOP],
            tooltip="“dry run” tells what would be run. “stop” ends a running sweep as its button does: the picture at "
            "work is finished, and no other is begun.",
            extra_dict=ADVANCED,
        ),
        io.Boolean.Input(
            "retry_set_aside",
            default=False,
            tooltip="Try pictures again that failed in an earlier sweep.",
            extra_dict=ADVANCED,
        ),
        *_role_inputs(),
    ]


def _folder_inputs() -> list[io.Input]:
    """Where the pictures lie."""
    folders = paths.input_folders()
    first = [_CHOOSE, *(name for name in folders if name != _WHOLE_INPUT)]  # all of it is hardly ever meant
    return [
        io.Combo.Input(
            "folder",
            options=[*first, *(name for name in folders if name == _WHOLE_INPUT)],
            default=_CHOOSE,
            tooltip="Folder in ComfyUI's input folder with the pictures before the edit; “.” is that folder itself. They "
            "take the place of what the graph loads. All else can stay as it is.",
        ),
        io.Combo.Input(
            "masks",
            options=[_NONE, *folders],
            tooltip="Folder with their masks, under the same names; white is where the picture may change.",
            extra_dict=ADVANCED,
        ),
        io.Combo.Input(
            "second_folder",
            options=[_NONE, *folders],
            tooltip="Folder with the pictures for {image1}, under the same names.",
            extra_dict=ADVANCED,
        ),
    ]


def _role_inputs() -> list[io.Input]:
    """Which node is the loader, which gives the result, where that is ambiguous."""
    tooltips = {
        "loader": "Only where it is unclear which node loads the pictures: its number or title. With a second folder both, "
        "separated by a comma.",
        "mask_loader": "Only where it is unclear which node loads the masks: its number or title.",
        "result": "Only where several nodes show a result: the number or title of the one to keep.",
        "seed_input": "Only where the seed is not found: the node's number or title, a dot, and the name of its input, for "
        "example 3.seed.",
    }
    return [
        io.String.Input(name, default="", optional=True, tooltip=tooltip, extra_dict=ADVANCED)
        for name, tooltip in tooltips.items()
    ]


class SweepNode(Node):
    """A folder -> the rest of the graph, run for each picture in it."""

    @classmethod
    def define_schema(cls):
        return schema(
            node_id=NODE_ID,
            display_name="ACE Edit: Sweep",
            category="training data",
            description="Runs the graph around it over every picture of a folder and keeps the results as training pairs. "
            "Put it anywhere and wire nothing: while it is there, Run sweeps the folder instead of running the graph once. "
            "Choose a folder and press Run. Its button stops it; run again to go on, nothing is done twice.",
            search_aliases=["batch", "folder", "bulk", "capture", "distillation", "dataset", "queue all"],
            inputs=_inputs(),
            outputs=[],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt],
            is_output_node=True,
            not_idempotent=True,
        )

    @classmethod
    def fingerprint_inputs(cls, **kwargs):
        return float("nan")  # queueing again is how a sweep goes on

    @classmethod
    def execute(cls, **widgets) -> io.NodeOutput:
        node_id = cls.hidden.unique_id
        if widgets["action"] == _STOP:  # stopped when it was queued
            show_on_node(runner().state["text"] or "sweep: none is running", node_id)
            return io.NodeOutput()
        prompt = {id_: node for id_, node in cls.hidden.prompt.items() if node["class_type"] != NODE_ID}
        runner().start(prompt, _settings(**widgets), node_id, _broadcast, widgets["folder"])
        if problem := runner().wait_until_begun(comfy.model_management.throw_exception_if_processing_interrupted):
            raise RuntimeError(problem)
        return io.NodeOutput()


def _broadcast(state: dict[str, Any]) -> None:
    """Shows the sweep's state on its node, and sends it to all pages, which show a stop button (web/sweep.js)."""
    show_on_node(state["text"], state["node"])
    send_to_pages("ace.sweep", state)
    if not state["running"]:
        announce_files()  # the dataset may be new


@functools.cache
def runner():
    """The sweep runner of this process: there is one queue, so there is one sweep at a time."""
    from .sweep_runner import SweepRunner

    return SweepRunner()


def register() -> None:
    """Opens the addresses of the sweep.

    GET /ace/sweep says how it goes, /ace/sweep/pair is its last pair as a picture, POST /ace/sweep/stop stops it.
    """
    from aiohttp import web

    routes = routes_without("/ace/sweep")
    if routes is None:
        return

    @routes.get("/ace/sweep")
    async def state(request: web.Request) -> web.Response:
        return web.json_response(runner().state)

    @routes.post("/ace/sweep/stop")
    async def stop(request: web.Request) -> web.Response:
        return web.json_response({"stopping": runner().stop()})

    @routes.get("/ace/sweep/pair")
    async def pair(request: web.Request) -> web.Response:
        picture = await asyncio.to_thread(runner().draw_last_pair)
        if picture is None:
            return web.Response(status=404)
        return web.Response(body=picture, content_type="image/jpeg", headers={"Cache-Control": "no-store"})


def queue_sweep_alone(request: dict[str, Any]) -> None:
    """Has ComfyUI run only the Sweep of a graph that is queued; the Sweep then runs the rest.

    Where the artist asks for single nodes, these are run. A Sweep that says stop does so now: in the queue it would wait
    behind the prompts of the sweep that it is to end.

    Args:
        request: of POST /prompt; changed in place.
    """
    prompt = request.get("prompt")
    if not isinstance(prompt, Mapping):
        return
    sweeps = [id_ for id_, node in prompt.items() if isinstance(node, Mapping) and node.get("class_type") == NODE_ID]
    targets = request.get("partial_execution_targets") or sweeps
    if sweeps:
        request["partial_execution_targets"] = targets
    if any(id_ in targets and _widget(prompt[id_], "action") == _STOP for id_ in sweeps):
        runner().stop()


def _widget(node: Mapping[str, Any], name: str) -> Any:
    inputs = node.get("inputs")
    return inputs.get(name) if isinstance(inputs, Mapping) else None


def _settings(
    folder: str,
    masks: str,
    second_folder: str,
    dataset: str,
    instruction: str,
    tags: str,
    seeds: int,
    checks: str,
    action: str,
    retry_set_aside: bool,
    loader: str = "",
    mask_loader: str = "",
    result: str = "",
    seed_input: str = "",
):
    """The settings of a capture over a folder, from the widgets.

    Raises:
        ValueError: no folder, or a check that is unknown.
    """
    from ...training.capture.roles import RoleChoices
    from ...training.capture.sweep import CaptureSettings
    from ...training.dataset.intake.checks import parse_checks
    from .record import split_list

    if folder == _CHOOSE:
        raise ValueError("choose a folder: put pictures into a folder in ComfyUI's input folder, then refresh (R)")
    inputs = [paths.input_folder(name) for name in (folder, second_folder) if name != _NONE]
    mask_folders = {} if masks == _NONE else {0: paths.input_folder(masks)}
    return CaptureSettings(
        workflow=Path(),
        inputs=tuple(inputs),
        masks=mask_folders,
        root=paths.datasets_root(),
        dataset=dataset.strip(),
        servers=(_own_address(),),
        choices=RoleChoices(
            sources=tuple(split_list(loader)),
            masks=tuple(split_list(mask_loader)),
            result=result.strip() or None,
            seeds=tuple(split_list(seed_input)),
            folders=len(inputs),
            mask_folders=tuple(mask_folders),
        ),
        instruction=instruction if instruction.strip() else None,
        tags=tuple(split_list(tags)),
        seeds=seeds,
        checks=parse_checks(split_list(checks)),
        retry_quarantined=retry_set_aside,
        dry_run=action == _DRY_RUN,
    )


def _own_address() -> str:
    """The URL of this very server."""
    from comfy.cli_args import args
    from server import PromptServer

    host = PromptServer.instance.address
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    scheme = "https" if args.tls_keyfile and args.tls_certfile else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{PromptServer.instance.port}"
