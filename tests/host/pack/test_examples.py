"""The pack's own photographs and drawings reach the input folder when, and only when, a graph names them."""

from __future__ import annotations

import shutil

import pytest
from host.harness.comfy_server import PACK_ROOT
from host.harness.graph import Graph
from PIL import Image


@pytest.fixture
def folder(comfy):
    """The input folder, without examples before and after."""

    def clear():
        for path in (comfy.base_dir / "input").glob("ACE Edit *"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    clear()
    yield comfy.base_dir / "input"
    clear()


def examples(folder) -> list[str]:
    return sorted(path.name for path in folder.glob("ACE Edit *"))


def loads(name: str) -> Graph:
    graph = Graph()
    picture = graph.node("LoadImage", image=name)
    graph.node("SaveImage", images=picture, filename_prefix="loaded")
    return graph


def test_a_prompt_that_names_an_example_runs_on_a_fresh_install(comfy, folder):
    assert examples(folder) == []
    comfy.run(loads("ACE Edit cat.jpg"))
    assert examples(folder) == ["ACE Edit cat.jpg"]
    assert (folder / "ACE Edit cat.jpg").read_bytes() == (PACK_ROOT / "pictures" / "photos" / "cat.jpg").read_bytes()


def test_a_drawing_is_an_example_too(comfy, folder):
    comfy.run(loads("ACE Edit house.png"))
    assert examples(folder) == ["ACE Edit house.png"]
    shipped = PACK_ROOT / "pictures" / "drawings" / "house.png"
    assert (folder / "ACE Edit house.png").read_bytes() == shipped.read_bytes()


def test_what_the_artist_changed_stays(comfy, folder):
    Image.new("RGB", (8, 8), "red").save(folder / "ACE Edit cat.jpg")
    before = (folder / "ACE Edit cat.jpg").read_bytes()
    assert comfy.fetch("/ace/examples", "POST", json=["ACE Edit cat.jpg"]).json() == {"copied": []}
    assert (folder / "ACE Edit cat.jpg").read_bytes() == before


def test_folders_have_the_same_names_in_them(comfy, folder):
    names = ["ACE Edit photos", "ACE Edit masks", "ACE Edit second pictures"]
    assert comfy.fetch("/ace/examples", "POST", json={"any": [names]}).json() == {"copied": names}
    photos, masks, second = ({path.stem for path in (folder / name).iterdir()} for name in names)
    assert len(photos) >= 14 and photos == masks == second
    for path in (folder / names[0]).iterdir():
        other = folder / names[2] / path.name
        assert path.read_bytes() != other.read_bytes()
        with Image.open(path) as photo, Image.open(folder / names[1] / f"{path.stem}.png") as mask:
            assert photo.size == mask.size


def test_a_masked_example_brings_its_mask(comfy, folder):
    graph = Graph()
    picture = graph.node("LoadImage", image="ACE Edit flower masked.png")
    shown = graph.node("MaskToImage", mask=picture[1])
    graph.node("SaveImage", images=shown, filename_prefix="mask")
    [[mask]] = comfy.run(graph).images.values()
    with Image.open(PACK_ROOT / "pictures" / "masks" / "flower.png") as expected:
        assert list(mask.convert("L").getdata()) == list(expected.getdata())


@pytest.mark.parametrize(
    "name",
    ["ACE Edit none.jpg", "ACE Edit ../cat.jpg", "ACE Edit ../../pictures/photos/cat.jpg", "cat.jpg", "ACE Edit "],
)
def test_other_names_are_passed_over(comfy, folder, name):
    assert comfy.fetch("/ace/examples", "POST", json=[name]).json() == {"copied": []}
    assert examples(folder) == []
