"""Every workflow of the host's template packages, as its own front end turns it into a prompt, and as this pack does.

Nothing of ComfyUI's is stored here: files and answers come from the host that runs the tests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from comfyui_ace.training.capture.workflow.graph import Workflow
from host.harness.browser import ComfyPage
from host.harness.hosts import Host

# Widgets that only show something, by name and by type. What they hold does not reach the result.
DISPLAYS = {"audioUI", "preview", "previewMode"}
_DISPLAY_TYPES = {"IMAGECOMPARE"}
_CONVERT = """async data => {
    const quiet = {showMissingNodesDialog: false, showMissingModelsDialog: false, skipAssetScans: true};
    await app.loadGraphData(data, true, false, null, quiet);
    return JSON.stringify(await app.graphToPrompt());
}"""


def template_files(host: Host) -> list[Path]:
    """The workflows of the template packages that the host's Python has."""
    packages = host.python.parents[1].glob("[Ll]ib/**/site-packages/comfyui_workflow_templates*")
    found = [file for package in packages for file in package.glob("templates/*.json")]
    return sorted((file for file in found if not file.name.startswith("index")), key=lambda file: file.name)


def stop_drawing(page: ComfyPage) -> None:
    """The canvas is not looked at, and drawing it takes most of the time."""
    page.page.evaluate("() => { app.canvas.draw = () => {} }")


def front_end_prompt(page: ComfyPage, workflow: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What the front end queues for a workflow, under the file's own node ids."""
    answer = json.loads(page.page.evaluate(_CONVERT, workflow))
    original = _Renumbering(workflow, answer["workflow"])
    return {
        original(node_id): {
            "class_type": node.get("class_type"),  # none for a type that the host lacks
            "inputs": {name: original.value(value) for name, value in node["inputs"].items()},
        }
        for node_id, node in answer["output"].items()
    }


class _Renumbering:
    """Ids of the file for those of the front end, which gives nodes new ones where two subgraphs use the same."""

    def __init__(self, before: Mapping[str, Any], after: Mapping[str, Any]):
        old, new = _subgraphs(before), _subgraphs(after)
        self._types = {str(node["id"]): str(node["type"]) for node in before["nodes"]}
        self._inside = {
            name: {
                str(now["id"]): (str(was["id"]), str(was["type"]))
                for now, was in zip(graph["nodes"], old[name]["nodes"], strict=True)
            }
            for name, graph in new.items()
            if name in old
        }

    def __call__(self, path: str) -> str:
        first, *rest = path.split(":")
        found, kind = [first], self._types.get(first)
        for part in rest:
            node_id, kind = self._inside.get(kind, {}).get(part, (part, None))
            found.append(node_id)
        return ":".join(found)

    def value(self, value: Any) -> Any:
        """A link (in a prompt every list is one) under the file's ids."""
        return [self(str(value[0])), value[1]] if isinstance(value, list) else value


def _subgraphs(workflow: Mapping[str, Any]) -> dict[str, Any]:
    return {str(graph["id"]): graph for graph in (workflow.get("definitions") or {}).get("subgraphs") or []}


def differences(theirs: Mapping[str, Any], ours: Workflow, object_info: Mapping[str, Any]) -> Iterator[str]:
    """A sentence on each place where two prompts differ, but for widgets that only show something.

    A node that is refused is not compared: it never reaches the server.
    """
    for node_id in sorted(theirs.keys() | ours.prompt.keys()):
        browser, own = theirs.get(node_id), ours.prompt.get(node_id)
        if browser is None or own is None:
            kind = (browser or own)["class_type"]
            yield f"node {node_id} ({kind}) is sent by {'this pack' if browser is None else 'the browser'} alone"
            continue
        if node_id in ours.problems:
            continue
        kind = browser["class_type"]
        if kind != own["class_type"]:
            yield f"node {node_id} is {kind} for the browser and {own['class_type']} here"
        declared = _declared(object_info.get(kind) or {})
        for name in sorted(browser["inputs"].keys() | own["inputs"].keys()):
            sent, made = browser["inputs"].get(name), own["inputs"].get(name)
            both = name in browser["inputs"] and name in own["inputs"]
            unknown = name not in declared | own["inputs"]
            shows = declared.get(name) in _DISPLAY_TYPES or (unknown and (sent in ("", None) or name in DISPLAYS))
            if (sent != made or not both) and not shows:
                yield f"node {node_id} ({kind}): {name} is {sent!r:.80} for the browser and {made!r:.80} here"


def is_nonsense(node: Mapping[str, Any], object_info: Mapping[str, Any]) -> bool:
    """Whether the browser itself sends text for a number, which no server takes: its template is older than the node."""
    declared = _declared(object_info.get(node["class_type"]) or {})
    return any(
        declared.get(name) in ("INT", "FLOAT") and isinstance(value, str) for name, value in node["inputs"].items()
    )


def _declared(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The type of each declared input; that of a combo is its list."""
    sections = schema.get("input") or {}
    return {
        name: spec[0] if isinstance(spec[0], str) else "COMBO"
        for section in ("required", "optional")
        for name, spec in (sections.get(section) or {}).items()
    }
