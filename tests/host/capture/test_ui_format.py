"""A workflow in UI format is read as the host's own front end reads it: its templates, opened in the browser."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from comfyui_ace.training.capture.workflow.load import is_ui_format, load_workflow
from host.harness.browser import ComfyPage
from host.harness.hosts import EVERYTHING
from host.harness.templates import differences, front_end_prompt, is_nonsense, stop_drawing, template_files

SAVED = Path(__file__).resolve().parents[2] / "training" / "capture" / "saved_workflows"
# Of the templates by name, the first, the eleventh and so on are compared, or all.
_EVERY = 1 if os.environ.get(EVERYTHING) else 10
# Nodes that only the browser can read, those of packs that the host lacks, and those that a muted node leaves without a
# picture that they need, which the server would refuse.
_RIGHTLY_REFUSED = ("is filled by the browser when it queues", "the server has no node", "so nothing reaches its input")


@pytest.fixture(scope="module")
def host_of_templates(start_comfy):
    """Without this pack, and with the nodes for paid services, which many templates are about."""
    return start_comfy(packs={}, api_nodes=True)


@pytest.fixture(scope="module")
def page(browser, host_of_templates):
    """One page for all tests here: starting one takes seconds."""
    page = ComfyPage(browser, host_of_templates)
    stop_drawing(page)
    yield page
    page.close()


@pytest.fixture(scope="module")
def info(host_of_templates) -> dict[str, Any]:
    return host_of_templates.object_info()


@pytest.mark.timeout(3600)
def test_templates_are_read_as_the_browser_reads_them(host_of_templates, page, info):
    files = template_files(host_of_templates.host)[::_EVERY]
    if not files:
        pytest.skip("this ComfyUI has no comfyui-workflow-templates installed")
    wrong: dict[str, list[str]] = {}
    compared = 0
    for file in files:
        workflow = json.loads(file.read_text(encoding="utf-8"))
        if not is_ui_format(workflow):
            continue
        compared += 1
        theirs, ours = front_end_prompt(page, workflow), load_workflow(workflow, info)
        found = list(differences(theirs, ours, info))
        found += [
            f"node {node} is refused: {why}"
            for node, why in ours.problems.items()
            if not any(reason in why for reason in _RIGHTLY_REFUSED) and not is_nonsense(theirs[node], info)
        ]
        if found:
            wrong[file.name] = found
    assert not wrong, f"{len(wrong)} of {compared}: {json.dumps(wrong, indent=1, ensure_ascii=False)[:8000]}"
    assert compared >= len(files) - 2


@pytest.mark.parametrize("name", sorted(path.stem for path in SAVED.glob("*.json") if "prompt" not in path.name))
def test_saved_workflows_are_read_as_the_browser_reads_them(host_of_templates, page, info, name):
    """Muted and bypassed subgraphs, a Custom Combo, a box: those that the tests without a host know the prompt of."""
    if host_of_templates.host.version < (0, 33):
        pytest.skip("older front ends run what is inside a muted subgraph, and lack some of the nodes")
    workflow = json.loads((SAVED / f"{name}.json").read_text(encoding="utf-8"))
    ours = load_workflow(workflow, info)
    # Where the browser sends a saver without a picture, it is said which muted node kept the picture.
    assert set(ours.problems) == ({"3"} if name == "muted_in_line" else set())
    assert all("is muted, so nothing reaches its input images" in problem for problem in ours.problems.values())
    assert list(differences(front_end_prompt(page, workflow), ours, info)) == []
