"""Instruction and Condition Image in a real ComfyUI: every entry of their menus, run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from comfyui_ace.ace import instructions
from comfyui_ace.ace.pictures.condition_images import CONDITION_IMAGES, make_condition_image
from host.harness.comfy_server import Graph
from host.harness.edits import as_tensor, messages
from host.harness.edits import photo as make_photo

SIZE = (90, 61)


def tasks() -> dict[str, str]:
    """Label in the menu -> subtask."""
    return {
        f"{title} / {name}": subtask
        for family, title in instructions.families().items()
        for subtask, name in instructions.subtasks(family).items()
    }


def instruction(g: Graph, task: str, words: dict | None = None, **inputs):
    fields = {f"task.{name}": value for name, value in (words or {}).items()}
    return g.node(
        "ACEInstruction", task=task, **fields, **{"own_wording": "", "seed": 0, "language": "English", **inputs}
    )


def text_of(result, node) -> str:
    (text,) = result.outputs[node.id]["text"]
    return text


def test_every_task_is_written_in_both_languages(comfy):
    g = Graph()
    shown = {}
    for label, subtask in tasks().items():
        template = instructions.get_template(subtask)
        words = {slot.name: slot.example for slot in instructions.slot_help(subtask)}
        varies = template.images != template.max_images
        pictures = {"pictures": template.max_images} if varies else {}
        node = instruction(g, label, {**words, **pictures}, seed=7, language="中文")
        expected = instructions.render_bilingual(subtask, words, 7, images=pictures.get("pictures"))
        shown[label] = expected, [g.node("PreviewAny", source=node[k]) for k in (0, 1)]
    result = comfy.run(g)
    for label, (expected, previews) in shown.items():
        assert tuple(text_of(result, preview) for preview in previews) == expected, label


def test_menu_offers_every_task(comfy):
    (kind, options) = comfy.object_info("ACEInstruction")["input"]["required"]["task"]
    assert kind == "COMFY_DYNAMICCOMBO_V3"
    assert [option["key"] for option in options["options"]] == list(tasks())


def test_seed_changes_the_phrasing_and_help_says_what_to_connect(comfy):
    g = Graph()
    nodes = [instruction(g, "Semantic editing / Change style", {"style": "watercolor"}, seed=seed) for seed in range(8)]
    previews = [g.node("PreviewAny", source=node[0]) for node in nodes]
    result = comfy.run(g)
    phrasings = {text_of(result, preview) for preview in previews}
    assert len(phrasings) > 2 and all("watercolor" in phrasing for phrasing in phrasings)
    told = messages(result, nodes[0])
    assert "Change style" in told and "{image}" in told and "[style]" in told


def test_own_wording_wins_and_unreadable_letters_are_told(comfy):
    g = Graph()
    own = instruction(g, "Semantic editing / Smile", {"person": ""}, own_wording="  {image} grin broadly ")
    chinese = instruction(g, "Semantic editing / Smile", {"person": ""}, own_wording="{image} 微笑")
    previews = [g.node("PreviewAny", source=node) for node in (own[0], own[1], chinese[0])]
    result = comfy.run(g)
    assert [text_of(result, preview) for preview in previews] == ["{image} grin broadly"] * 2 + ["{image} 微笑"]
    assert "微笑" in messages(result, chinese) and "Write in English" in messages(result, chinese)


def test_missing_words_are_asked_for(comfy):
    g = Graph()
    g.node("PreviewAny", source=instruction(g, "Element editing / Remove an object", {"object": " "})[0])
    assert "needs words for [object]" in comfy.run_expect_error(g).message


@pytest.fixture(scope="module")
def picture_file(comfy) -> str:
    return comfy.upload_image(make_photo(SIZE), "bench-condition.png")


def test_every_condition_image_is_made(comfy, picture_file):
    """With the values that the widgets start with."""
    (_, menu) = comfy.object_info("ACEConditionImage")["input"]["required"]["kind"]
    g = Graph()
    source = g.node("LoadImage", image=picture_file)[0]
    made = {}
    for option in menu["options"]:
        values = {
            f"kind.{name}": spec[1]["default"] for inputs in option["inputs"].values() for name, spec in inputs.items()
        }
        node = g.node("ACEConditionImage", image=source, kind=option["key"], **values)
        made[option["key"]] = g.node("PreviewImage", images=node)
    result = comfy.run(g)
    assert list(made) == [kind.label for kind in CONDITION_IMAGES.values()]
    picture = as_tensor(make_photo(SIZE))
    for name, kind in CONDITION_IMAGES.items():
        expected = (make_condition_image(name, picture)[0] * 255).numpy()
        found = np.asarray(result.images[made[kind.label].id][0].convert("RGB")).astype(float)
        assert found.shape == expected.shape
        # The host's own kernels may turn a pixel of an edge over, no more.
        assert (np.abs(found - expected) > 2).mean() < 0.01, kind.label


def test_condition_images_of_a_batch_and_other_values(comfy, picture_file):
    g = Graph()
    source = g.node("LoadImage", image=picture_file)[0]
    batch = g.node("ImageBatch", image1=source, image2=g.node("ImageInvert", image=source))
    node = g.node("ACEConditionImage", image=batch, kind="Mosaic", **{"kind.block": 30})
    shown = g.node("PreviewImage", images=node)
    pictures = comfy.run(g).images[shown.id]
    assert len(pictures) == 2 and all(picture.size == SIZE for picture in pictures)
    tile = np.asarray(pictures[0])[:30, :30]
    assert (tile == tile[0, 0]).all()
    assert torch.unique(torch.tensor(np.asarray(pictures[1])).view(-1, 3), dim=0).shape[0] <= 9


def test_impossible_values_are_refused(comfy, picture_file):
    g = Graph()
    source = g.node("LoadImage", image=picture_file)[0]
    node = g.node("ACEConditionImage", image=source, kind="Canny edges", **{"kind.low": 0.9, "kind.high": 0.2})
    g.node("PreviewImage", images=node)
    assert "low must not be above high" in comfy.run_expect_error(g).message
