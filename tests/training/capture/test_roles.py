"""Who plays which part: by name, by marker, by looking, by asking; and what is sent in the end."""

from __future__ import annotations

import pytest
from comfyui_ace.training.capture.errors import AmbiguousRoleError, WorkflowError
from comfyui_ace.training.capture.plan import RESULT, make_plan
from comfyui_ace.training.capture.role_finder import find_roles
from comfyui_ace.training.capture.roles import RoleChoices, Roles
from comfyui_ace.training.capture.workflow.graph import Workflow
from comfyui_ace.training.capture.workflow.load import load_workflow
from comfyui_ace.training.capture.workflow.markers import check_indices
from host.harness.graph import Graph, NodeRef


def _roles(graph: Graph, choices: RoleChoices | None = None, **kwargs) -> Roles:
    return find_roles(load_workflow(graph.prompt()), choices or RoleChoices(), **kwargs)


def _graph() -> Graph:
    """1 photo → 2 noise (seed) → 3 save; 4 another photo, blended in by nobody."""
    graph = Graph()
    photo = graph.node("LoadImage", image="photo.png")
    noise = graph.node("ImageAddNoise", image=photo, seed=5, strength=1.0)
    graph.node("SaveImage", images=noise, filename_prefix="x")
    graph.node("LoadImage", image="other.png")
    return graph


def test_what_is_plain_is_found():
    roles = _roles(_graph())
    assert roles.result == ("2", 0) and roles.seeds == (("2", "seed"),)
    assert [(picture.loader, picture.link, picture.mask_link) for picture in roles.pictures] == [("1", ("1", 0), None)]


def test_two_views_of_one_result_are_no_question():
    graph = _graph()
    graph.node("PreviewImage", images=["2", 0])
    assert _roles(graph).result == ("2", 0)


def test_two_results_are_a_question():
    graph = _graph()
    graph.node("PreviewImage", images=["1", 0])
    with pytest.raises(AmbiguousRoleError) as question:
        _roles(graph)
    assert (
        question.value.choices == ("node 3: SaveImage", "node 5: PreviewImage")
        and question.value.flag == "--result NODE"
    )
    asked = []
    roles = _roles(graph, ask=lambda q: asked.append(q.question) or 1)
    assert roles.result == ("1", 0) and asked == ["Which node shows the result?"]
    assert _roles(graph, RoleChoices(result="3")).result == ("2", 0)
    assert _roles(graph, RoleChoices(result="ImageAddNoise")).result == ("2", 0)


def test_loaders_are_asked_for_in_the_order_of_the_folders():
    graph = _graph()
    blend = graph.node("ImageBlend", image1=["2", 0], image2=["4", 0], blend_factor=0.5, blend_mode="normal")
    graph.node("PreviewImage", images=blend)
    asked = []

    def last(question: AmbiguousRoleError) -> int:
        asked.append((question.question, question.choices))
        return len(question.choices) - 1

    roles = _roles(graph, RoleChoices(folders=2, result="6"), ask=last)
    assert [picture.loader for picture in roles.pictures] == ["4", "1"]
    assert asked == [  # the second is no question any more
        (
            "Which node loads the pictures of --inputs?",
            ("node 1: LoadImage (photo.png)", "node 4: LoadImage (other.png)"),
        )
    ]
    named = _roles(graph, RoleChoices(sources=("1", "4"), folders=2, result="6"))
    assert [picture.loader for picture in named.pictures] == ["1", "4"]
    with pytest.raises(WorkflowError, match="3 input folder"):
        _roles(graph, RoleChoices(sources=("1", "4"), folders=3, result="6"))


def test_masks_are_found_where_they_are_loaded():
    graph = Graph()
    photo = graph.node("LoadImage", image="photo.png")
    mask = graph.node("LoadImageMask", image="mask.png", channel="red")
    fill = graph.node("ImageCompositeMasked", destination=photo, source=photo, x=0, y=0, resize_source=False, mask=mask)
    graph.node("SaveImage", images=fill)
    (picture,) = _roles(graph, RoleChoices(mask_folders=(0,))).pictures
    assert picture.mask_loader == "2" and picture.mask_link == ("2", 0)
    assert _roles(graph).pictures[0].mask_link is None  # a fixed mask is part of the workflow, not of the pair

    graph.set(fill, mask=photo[1])
    for choices in (RoleChoices(), RoleChoices(mask_folders=(0,))):
        (picture,) = _roles(graph, choices).pictures
        assert picture.mask_loader == "1" and picture.mask_link == ("1", 1)
    with pytest.raises(WorkflowError, match="no node of the workflow loads one"):
        _roles(_graph(), RoleChoices(mask_folders=(0,)))


def test_seeds_that_are_wired_or_fixed():
    graph = _graph()
    number = graph.node("PrimitiveInt", value=3)
    graph.set(NodeRef("2"), seed=number)
    assert _roles(graph).seeds == (("5", "value"),)
    second = graph.node("ImageAddNoise", image=["2", 0], seed=8, strength=1.0)
    graph.set(NodeRef("3"), images=second)
    workflow = load_workflow(graph.prompt())
    assert set(find_roles(workflow, RoleChoices()).seeds) == {("5", "value"), ("6", "seed")}
    fixed = Workflow(workflow.prompt, controls={("6", "seed"): "fixed", ("5", "value"): "randomize"})
    assert find_roles(fixed, RoleChoices()).seeds == (("5", "value"),)
    assert _roles(graph, RoleChoices(seeds=("6.seed",))).seeds == (("6", "seed"),)
    for wrong in ("6", "6.strength", "99.seed"):
        with pytest.raises(WorkflowError):
            _roles(graph, RoleChoices(seeds=(wrong,)))


def test_seeds_stay_below_the_smallest_maximum():
    info = {"ImageAddNoise": {"input": {"required": {"seed": ["INT", {"max": 9}]}}, "output_node": False}}
    assert _roles(_graph(), object_info=info).seed_limit == 10


def test_loaders_and_savers_of_packs_are_known_by_their_schemas():
    graph = Graph()
    photo = graph.node("PackLoader", file="a.png")
    graph.node("PackSaver", pictures=photo)
    info = {
        "PackLoader": {"input": {"required": {"file": [["a.png"], {"image_upload": True}]}}},
        "PackSaver": {"input": {"required": {"pictures": ["IMAGE"]}}, "output_node": True},
    }
    roles = _roles(graph, object_info=info)
    assert roles.pictures[0].loader == "1" and roles.result == ("1", 0)
    with pytest.raises(WorkflowError, match="no result to capture"):
        _roles(graph)


_CHECKS = "no_op=off, size_tolerance=0.5"


def _marked() -> Graph:
    graph = Graph()
    photo = graph.node("LoadImage", image="photo.png")
    source = graph.node("ACECaptureSource", image=photo, mask=photo[1], index=0)
    inverted = graph.node("ImageInvert", image=source)
    masked = graph.node(
        "ImageCompositeMasked", destination=source, source=inverted, x=0, y=0, resize_source=False, mask=source[1]
    )
    words = graph.node("PrimitiveString", value="{image} inside out")
    result = graph.node(
        "ACECaptureResult", image=masked, instruction=words, dataset="mine", tags="a\nb", seed=4, checks=_CHECKS
    )
    graph.node("SaveImage", images=result, filename_prefix="x")
    return graph


def test_markers_name_the_parts_and_are_not_sent():
    graph = _marked()
    roles = _roles(graph)
    assert roles.result == ("4", 0)
    said = roles.marker_settings
    assert (said.instruction, said.dataset, said.tags, said.checks) == (
        "{image} inside out",
        "mine",
        ("a", "b"),
        ("no_op=off", "size_tolerance=0.5"),
    )
    (picture,) = roles.pictures
    assert picture.loader == picture.mask_loader == "1" and picture.mask_link == ("1", 1)
    plan = make_plan(load_workflow(graph.prompt()), roles, "go")
    assert {node["class_type"] for node in plan.template.values()} == {
        "LoadImage", "ImageInvert", "ImageCompositeMasked", "PreviewImage"
    }  # fmt: skip
    assert plan.template["4"]["inputs"]["destination"] == ["1", 0] and plan.template["4"]["inputs"]["mask"] == ["1", 1]
    assert plan.template[RESULT]["inputs"]["images"] == ["4", 0] and plan.previews == ((None, None),)


def test_a_marker_without_mask_leaves_the_mask_open():
    prompt = _marked().prompt()
    del prompt["2"]["inputs"]["mask"]
    bare = find_roles(load_workflow(prompt), RoleChoices()).prompt
    assert "mask" not in bare["4"]["inputs"]


def test_the_pair_marker():
    graph = Graph()
    photo = graph.node("LoadImage", image="photo.png")
    other = graph.node("LoadImage", image="other.png")
    blend = graph.node("ImageBlend", image1=photo, image2=other, blend_factor=0.5, blend_mode="normal")
    references = {"references.reference10": photo, "references.reference2": other}
    pair = graph.node("ACECapturePair", source=photo, result=blend, **references)
    graph.node("PreviewImage", images=pair)
    roles = _roles(graph)
    assert [picture.link for picture in roles.pictures] == [("1", 0), ("2", 0), ("1", 0)]
    assert [picture.loader for picture in roles.pictures] == ["1", None, None]  # one folder: the others are fixed
    plan = make_plan(load_workflow(graph.prompt()), roles, "go")
    assert [image for image, _ in plan.previews] == [None, "capture-image-1", "capture-image-2"]


@pytest.mark.parametrize(
    "change, words",
    [
        ({"image": "typed"}, "nothing is connected"),
        ({"index": 1}, r"no Capture Source has index 0, that is \{image\}; there is 1"),
        ({"index": 12}, "index is 0 to 9"),
        ({"index": "first"}, "index is 0 to 9"),
    ],
)
def test_markers_that_are_wired_wrongly(change, words):
    prompt = _marked().prompt()
    prompt["2"]["inputs"].update(change)
    with pytest.raises(WorkflowError, match=words):
        find_roles(load_workflow(prompt), RoleChoices())


def test_two_markers_for_one_picture_and_words_made_on_the_way():
    prompt = _marked().prompt()
    prompt["9"] = {"class_type": "ACECaptureSource", "inputs": {"image": ["3", 0], "index": 0}}
    assert find_roles(load_workflow(prompt), RoleChoices()).result == ("4", 0)  # it has no part in this result
    prompt["4"]["inputs"]["source"] = ["9", 0]
    with pytest.raises(WorkflowError, match="index 0"):
        find_roles(load_workflow(prompt), RoleChoices())
    prompt = _marked().prompt()
    prompt["5"] = {"class_type": "Captioner", "inputs": {"image": ["1", 0], "prompt": "what is it"}}
    words = find_roles(load_workflow(prompt), RoleChoices()).marker_settings
    assert words.dataset == "mine"  # what nobody asks for is no obstacle
    with pytest.raises(WorkflowError, match="instruction is made while the graph runs"):
        _ = words.instruction
    prompt["6"]["inputs"]["image"] = ["6", 0]
    prompt["5"] = {"class_type": "PrimitiveString", "inputs": {"value": ""}}
    with pytest.raises(WorkflowError, match="nothing is connected"):
        find_roles(load_workflow(prompt), RoleChoices())


def test_only_what_the_result_needs_is_sent():
    graph = _graph()
    graph.node("NoSuchNode", image=["4", 0])
    workflow = load_workflow(graph.prompt())
    workflow = Workflow(workflow.prompt, problems={"5": "the server has no node 'NoSuchNode'"})
    plan = make_plan(workflow, find_roles(workflow, RoleChoices()), "go")
    assert set(plan.template) == {"1", "2", RESULT}
    assert plan.varying == (("1", "image"), ("2", "seed"))
    broken = Workflow(workflow.prompt, problems={"2": "the server has no node"})
    with pytest.raises(WorkflowError, match="node 2"):
        make_plan(broken, find_roles(broken, RoleChoices()), "go")


def test_a_source_without_part_in_the_result_is_refused():
    graph = _graph()
    roles = _roles(graph, RoleChoices(sources=("4",)))
    with pytest.raises(WorkflowError, match="has no part in the result"):
        make_plan(load_workflow(graph.prompt()), roles, "go")


def test_an_instruction_that_names_a_missing_picture_is_noticed_before_anything_is_run():
    workflow = load_workflow(_marked().prompt())
    with pytest.raises(WorkflowError, match=r"names \{image3\}, but the pair has 1"):
        make_plan(workflow, find_roles(workflow, RoleChoices()), "{image3} x")


def test_pictures_marked_with_gaps_are_refused():
    """Pairs keep their pictures in a row, so with a gap {image2} would be stored as {image1}."""
    graph = _marked()
    other = graph.node("LoadImage", image="other.png")
    graph.node("ACECaptureSource", image=other, index=2)
    with pytest.raises(WorkflowError, match=r"no Capture Source has index 1, that is \{image1\}; there is 0, 2"):
        _roles(graph, RoleChoices(folders=2))
    check_indices({0, 1, 2})
    check_indices(())


def test_a_named_loader_does_not_take_the_place_of_the_marked_picture():
    """The marker is behind a resize: the pair must show the picture that the edit sees, whichever file it comes from."""
    graph = Graph()
    photo, style = graph.node("LoadImage", image="a.png"), graph.node("LoadImage", image="style.png")
    blend = graph.node("ImageBlend", image1=photo, image2=style, blend_factor=0.5, blend_mode="normal")
    small = graph.node("ImageScale", image=blend, width=512)
    source = graph.node("ACECaptureSource", image=small, index=0)
    graph.node("ACECaptureResult", image=graph.node("ImageInvert", image=source), dataset="d", instruction="")
    elsewhere = graph.node("LoadImage", image="elsewhere.png")
    with pytest.raises(AmbiguousRoleError):
        _roles(graph)
    (picture,) = _roles(graph, RoleChoices(sources=("2",))).pictures
    assert (picture.link, picture.loader) == (("4", 0), "2")
    with pytest.raises(WorkflowError, match="does not load what node 5 marks"):
        _roles(graph, RoleChoices(sources=(elsewhere.id,)))
    more = _roles(graph, RoleChoices(sources=("1", elsewhere.id), folders=2)).pictures
    assert [(picture.link, picture.loader) for picture in more] == [(("4", 0), "1"), ((elsewhere.id, 0), elsewhere.id)]


def _two_pairs() -> Graph:
    graph = Graph()
    photo = graph.node("LoadImage", image="a.png")
    for number, kind in enumerate(("ImageInvert", "ImageBlur")):
        result = graph.node(kind, image=photo)
        graph.node("ACECapturePair", source=photo, result=result, instruction=f"i{number}", dataset=f"d{number}")
    return graph


def test_one_of_several_captures_of_a_graph_is_chosen():
    graph = _two_pairs()
    with pytest.raises(AmbiguousRoleError) as question:
        _roles(graph)
    assert question.value.choices == ("node 3: ACECapturePair (d0)", "node 5: ACECapturePair (d1)")
    second = _roles(graph, ask=lambda question: 1)
    assert (second.result, second.marker_settings.dataset) == (("4", 0), "d1") and len(second.pictures) == 1
    assert _roles(graph, RoleChoices(result="3")).marker_settings.dataset == "d0"
    with pytest.raises(WorkflowError, match="fits several nodes"):
        _roles(graph, RoleChoices(result="ACECapturePair"))
    before = _roles(graph, RoleChoices(result="4"))  # the node whose picture it marks
    assert (before.result, before.marker_settings.dataset) == (("4", 0), "d1")
    other = graph.node("ImageSharpen", image=["4", 0])
    with pytest.raises(WorkflowError, match=f"3, 5 mark pairs and node {other.id} is none of them"):
        _roles(graph, RoleChoices(result=other.id))


def test_two_chains_whose_sources_share_an_index():
    graph = Graph()
    chains = []
    for number in range(2):
        photo = graph.node("LoadImage", image=f"{number}.png")
        source = graph.node("ACECaptureSource", image=photo, index=0)
        edit = graph.node("ImageInvert", image=source)
        chains.append((photo, graph.node("ACECaptureResult", image=edit, dataset=f"d{number}", instruction="")))
    for number, (photo, result) in enumerate(chains):
        roles = _roles(graph, RoleChoices(result=result.id))
        assert roles.marker_settings.dataset == f"d{number}" and [p.loader for p in roles.pictures] == [photo.id]
    with pytest.raises(AmbiguousRoleError):
        _roles(graph)


def _plus_graph(photo, reference=None) -> Graph:
    """1 photo (and 2 a reference) → unit → Encode for ACE++ → KSampler → Crop → save, as core and the pack wire it."""
    graph = Graph()
    names = [photo] if reference is None else [photo, reference]
    loaded = [graph.node("LoadImage", image=name) for name in names]
    words = ("{image}", "{image1}")
    images = [
        graph.node("ACEImage", image=one[0], indicator=word)
        for one, word in zip(loaded, words[: len(loaded)], strict=True)
    ]
    more = {f"more.image{k}": image for k, image in enumerate(images[1:])}
    unit = graph.node("ACEConditionUnit", instruction="{image} in oil", image=images[0], edit="first image", **more)
    model = graph.node("UNETLoader", unet_name="flux1-fill-dev.safetensors", weight_dtype="default")
    clip = graph.node("DualCLIPLoader", clip_name1="clip_l.safetensors", clip_name2="t5.safetensors", type="flux")
    vae = graph.node("VAELoader", vae_name="ae.safetensors")
    encoded = graph.node("ACEEncodePlus", clip=clip, vae=vae, context=unit, task="edit the picture", model=model)
    guided = graph.node("FluxGuidance", conditioning=encoded, guidance=50.0)
    links = {"model": model, "positive": guided, "negative": encoded[1], "latent_image": encoded[2]}
    sampled = graph.node("KSampler", seed=7, steps=28, cfg=1.0, **links)
    canvas = graph.node("VAEDecode", samples=sampled, vae=vae)
    graph.node("SaveImage", images=graph.node("ACECrop", result=canvas, fit=encoded[3], trim=0))
    return graph


def test_a_graph_of_ace_plus_is_a_teacher():
    roles = _roles(_plus_graph("photo.png"))
    kinds = {node: entry["class_type"] for node, entry in roles.prompt.items()}
    assert kinds[roles.result[0]] == "ACECrop" and [kinds[node] for node, _ in roles.seeds] == ["KSampler"]
    (picture,) = roles.pictures
    assert picture.loader == "1" and picture.link == ("1", 0) and picture.mask_link is None

    graph = _plus_graph("photo.png", "reference.png")
    both = _roles(graph, RoleChoices(folders=2, sources=("1", "2")))
    assert [picture.loader for picture in both.pictures] == ["1", "2"]
    with pytest.raises(AmbiguousRoleError):
        _roles(graph)
    graph.set(NodeRef("3"), mask=["1", 1])
    assert _roles(graph, RoleChoices(folders=2, sources=("1", "2"))).pictures[0].mask_link == ("1", 1)
