"""The seven teachers in workflows/teachers: every node is known to this host, they open tidily, and Sweep finds its way."""

from __future__ import annotations

import json

import pytest
from comfyui_ace.training.capture.role_finder import find_roles
from comfyui_ace.training.capture.roles import RoleChoices
from comfyui_ace.training.capture.workflow.load import load_workflow
from host.harness.browser import ComfyPage
from host.harness.comfy_server import PACK_ROOT
from host.harness.node_boxes import assert_tidy

FILES = sorted((PACK_ROOT / "workflows" / "teachers").glob("*.json"))
_SIDES = {"MarkdownNote"}  # of the front end alone


@pytest.fixture(scope="module")
def page(browser, comfy):
    opened = ComfyPage(browser, comfy)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def object_info(comfy):
    return comfy.fetch("/object_info").json()


def inputs_of(schema) -> set[str]:
    return {name for group in ("required", "optional") for name in schema["input"].get(group, ())}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_teacher_opens_tidily_and_is_ready_for_a_sweep(page, comfy, object_info, path):
    file = json.loads(path.read_text(encoding="utf-8"))
    kinds = {node["type"] for node in file["nodes"]} - _SIDES
    assert kinds <= object_info.keys()
    workflow = load_workflow(file, object_info)
    for node in workflow.prompt.values():
        assert node["inputs"].keys() <= inputs_of(object_info[node["class_type"]]) | {"references.image0"}, node
    comfy.fetch("/ace/examples", "POST", json=workflow.prompt)
    page.load_workflow(file)
    assert page.missing_node_types() == []
    assert_tidy(page)
    page.screenshot(f"teacher-{path.stem}")
    assert page.export_prompt().keys() >= workflow.prompt.keys()
    masked = any(node["class_type"] == "GrowMask" for node in workflow.prompt.values())
    roles = find_roles(workflow, RoleChoices(mask_folders=(0,) if masked else ()), object_info=object_info)
    (picture,) = roles.pictures
    loader = roles.prompt[picture.loader]
    assert loader["class_type"] == "LoadImage" and (picture.mask_link is not None) == masked
    inverse = path.stem == "Object addition"
    assert (roles.result[0] == picture.loader) == inverse
    assert len(roles.seeds) == 1 and roles.marker_settings.dataset == path.stem.lower().replace(" ", "-")
