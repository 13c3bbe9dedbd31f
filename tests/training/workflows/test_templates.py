"""The shipped templates as their files say it: one screen shows each, nothing lies on anything else."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest
from comfyui_ace.training.workflows.node_sizes import node_size

FILES = sorted((Path(__file__).resolve().parents[3] / "workflows").glob("*.json"))
ROOM = (1790, 940)  # pixels that a screen of 1920 x 1080 has for the graph, beside the front end's own bars
READABLE = (
    0.68  # zoom at which an artist still reads every field without effort; the front end leaves words out below 0.57
)
TITLE, GAP = 30, 30

Box = tuple[float, float, float, float]  # left, top, right, bottom


def box_of(node: dict) -> Box:
    """With its title, and as large as it is after a run."""
    width, height = node["size"]
    if node["type"] != "MarkdownNote":
        least = node_size(node["type"])
        width, height = max(width, least[0]), max(height, least[1])
    x, y = node["pos"]
    return x, y - TITLE, x + width, y + height


def near(one: Box, other: Box, gap: float) -> bool:
    return all(min(one[k + 2], other[k + 2]) - max(one[k], other[k]) > -gap for k in (0, 1))


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def template(request) -> dict:
    return json.loads(request.param.read_text(encoding="utf-8"))


def test_one_screen_shows_the_whole_graph_large_enough_to_be_read(template):
    boxes = [box_of(node) for node in template["nodes"]]
    extent = [max(box[k + 2] for box in boxes) - min(box[k] for box in boxes) for k in (0, 1)]
    assert min(room / length for room, length in zip(ROOM, extent, strict=True)) >= READABLE, extent


def test_there_is_air_between_nodes(template):
    boxes = {f"{node['type']} ({node['id']})": box_of(node) for node in template["nodes"]}
    assert not [pair for pair in combinations(boxes, 2) if near(boxes[pair[0]], boxes[pair[1]], GAP)]


def test_frames_are_around_whole_nodes(template):
    for group in template["groups"]:
        left, top, width, height = group["bounding"]
        frame = (left, top, left + width, top + height)
        boxes = [box_of(node) for node in template["nodes"]]
        inside = [box for box in boxes if near(frame, box, 0)]
        assert group["title"] and inside
        for box in inside:
            assert left < box[0] and top < box[1] and box[2] < frame[2] and box[3] < frame[3]
