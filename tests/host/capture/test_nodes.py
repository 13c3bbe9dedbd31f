"""The capturing nodes in graphs of core nodes: what is kept is what ran together, whatever ComfyUI had cached."""

from __future__ import annotations

import time

import numpy as np
import pytest
from host.harness.capture_graphs import (
    CHECKS_OFF,
    PACKS,
    NoisePictures,
    assert_inverses,
    capture_result,
    capture_source,
    datasets_root,
    inverse,
    results_by_source,
    run_on,
    wait_for_pairs,
)
from host.harness.comfy_server import Graph


@pytest.fixture(scope="module")
def server(start_comfy):
    return start_comfy(packs=PACKS)


@pytest.fixture(scope="module")
def photos(server) -> NoisePictures:
    return NoisePictures(server)


def test_a_pair_is_kept_and_the_wires_pass_through(server, photos):
    name, pixels = photos(1)
    g = Graph()
    loaded = g.node("LoadImage", image=name)
    white = g.node("SolidMask", value=1.0, width=32, height=24)
    source = capture_source(g, loaded, mask=white)
    seen_mask = g.node("MaskToImage", mask=source[1])
    result = capture_result(
        g, g.node("ImageInvert", image=source), "first", instruction="{image} inverted", tags="a, b", seed=7
    )
    saved = g.node("SaveImage", images=result, filename_prefix="x")
    masks = g.node("PreviewImage", images=seen_mask)
    run = server.run(g)
    np.testing.assert_allclose(np.asarray(run.images[saved.id][0]).astype(int), inverse(pixels), atol=1)
    assert np.asarray(run.images[masks.id][0]).min() == 255
    dataset = wait_for_pairs(server, "first", 1)
    assert_inverses(dataset, [pixels])
    (row,) = dataset.rows()
    assert (row.instruction, row.prompt, row.seed, row.tags) == ("{image} inverted", "inverted", 7, ("a", "b"))
    assert row.id.startswith("noise1-32-")
    assert dataset.load(row).masks[0].min() == 255
    (thumbnail,) = run.images[result.id]
    assert thumbnail.size == (64, 24)  # source and result side by side
    assert server.run(g).executed == []  # a marker does not keep what is behind it from being cached
    np.testing.assert_allclose(np.asarray(thumbnail)[:, :32].astype(int), pixels, atol=1)


def test_what_became_of_a_pair_is_told_on_the_node(server, photos):
    name, _ = photos(2)
    g = Graph()
    source = capture_source(g, g.node("LoadImage", image=name))
    kept = capture_result(g, g.node("ImageInvert", image=source), "told")
    same = capture_result(g, source, "told")
    run_on(g, g.node("ImageBatch", image1=kept, image2=same))
    texts = server.run(g).texts
    told = {node.id: [text for id_, text in texts if id_ == node.id][-1] for node in (kept, same)}
    assert "told: 1 pair, " in told[kept.id] and "kept as noise2-32-" in told[kept.id]
    assert "rejected: the result equals its source" in told[same.id]
    dataset = wait_for_pairs(server, "told", 1, rejected=1)
    assert dataset.counts().by_check == {"no_op": 1}
    (row,) = dataset.rows()
    assert row.instruction == "{image} told"  # the trigger


def test_a_cached_source_pairs_with_its_own_result(server, photos):
    """Run after run with one node changed; ComfyUI keeps the rest. Then back to what was there before."""
    first, first_pixels = photos(3)
    second, second_pixels = photos(4)
    g = Graph()
    loaded = g.node("LoadImage", image=first)
    source = capture_source(g, loaded)
    edit = g.node("ImageScaleBy", image=source, upscale_method="nearest-exact", scale_by=1.0)
    inverted = g.node("ImageInvert", image=edit)
    capture_result(g, inverted, "cached", checks="size=off")
    server.run(g)
    g.set(edit, scale_by=2.0)
    run = server.run(g)
    assert source.id in run.cached and source.id not in run.executed
    g.set(loaded, image=second)
    g.set(edit, scale_by=1.0)
    server.run(g)
    g.set(loaded, image=first)
    server.run(g)
    dataset = wait_for_pairs(server, "cached", 3)
    found = results_by_source(dataset)
    sizes = sorted(target.shape[:2] for target in found[first_pixels.tobytes()])
    assert sizes == [(24, 32), (48, 64)]
    for pixels in (first_pixels, second_pixels):
        small = [target for target in found[pixels.tobytes()] if target.shape == pixels.shape]
        np.testing.assert_array_equal(small[0], inverse(pixels))


def test_a_changed_source_runs_a_result_again_that_does_not_depend_on_it(server, photos):
    """The other way round: the source is made from the result, as for teaching restoration."""
    name, pixels = photos(5)
    g = Graph()
    loaded = g.node("LoadImage", image=name)
    capture_result(g, loaded, "restore", instruction="{image} sharp again", checks=CHECKS_OFF)
    blurred = g.node("ImageBlur", image=loaded, blur_radius=1, sigma=1.0)
    capture_source(g, blurred)
    server.run(g)
    g.set(blurred, blur_radius=4)
    run = server.run(g)
    assert loaded.id in run.cached
    dataset = wait_for_pairs(server, "restore", 2)
    sources = [pair.source for pair in dataset]
    assert not np.array_equal(*sources)
    assert all(np.array_equal(pair.target, pixels) for pair in dataset)


@pytest.mark.parametrize("policy", [("--cache-none",), ("--cache-lru", "1")])
def test_pairing_under_other_cache_policies(start_comfy, policy):
    """The source is random and never the same twice, so a source of another run or made anew would show."""
    with start_comfy(*policy, packs=PACKS) as other:
        for size in (32, 40, 48):
            g = Graph()
            source = capture_source(g, g.node("ProbeNoise", size=size))
            blurred = g.node("ImageBlur", image=source, blur_radius=1, sigma=0.3)
            result = capture_result(g, g.node("ImageInvert", image=blurred), "policy")
            g.node("PreviewImage", images=result)
            other.run(g)
        dataset = wait_for_pairs(other, "policy", 3)
        for pair in dataset:
            inner = (slice(2, -2), slice(2, -2))
            difference = np.abs(pair.target[inner].astype(int) - inverse(pair.source)[inner])
            assert difference.mean() < 8  # of noise with another noise it is 85


def test_batches_pair_item_by_item(server, photos):
    names, pixels = zip(*(photos(seed) for seed in (10, 11, 12)), strict=True)
    g = Graph()
    batch = g.node("LoadImage", image=names[0])
    for name in names[1:]:
        batch = g.node("ImageBatch", image1=batch, image2=g.node("LoadImage", image=name))
    capture_result(g, g.node("ImageInvert", image=capture_source(g, batch)), "batch")
    server.run(g)
    assert_inverses(wait_for_pairs(server, "batch", 3), list(pixels))


def test_lists_pair_item_by_item(server, photos):
    """A list and its batch on the other side; sizes differ, as they may in a list."""
    names, pixels = zip(*(photos(seed, (16 + seed, 24)) for seed in (13, 14, 15)), strict=True)
    g = Graph()
    loaded = [g.node("LoadImage", image=name) for name in names]
    listed = g.node("ProbeList", **{f"image{k}": node for k, node in enumerate(loaded)})
    result = capture_result(g, g.node("ImageInvert", image=capture_source(g, listed)), "list")
    seen = g.node("PreviewImage", images=result)
    run = server.run(g)
    assert [image.size for image in run.images[seen.id]] == [(29, 24), (30, 24), (31, 24)]  # still a list
    assert_inverses(wait_for_pairs(server, "list", 3), list(pixels))


def test_one_source_goes_with_every_result(server, photos):
    name, pixels = photos(16)
    g = Graph()
    source = capture_source(g, g.node("LoadImage", image=name))
    repeated = g.node("RepeatImageBatch", image=g.node("ImageInvert", image=source), amount=2)
    varied = g.node("ImageAddNoise", image=repeated, seed=1, strength=0.5)
    capture_result(g, varied, "one", checks=CHECKS_OFF)
    server.run(g)
    dataset = wait_for_pairs(server, "one", 2)
    assert [row.seed for row in dataset.rows()] == [1, 1]  # the only seed of the graph
    assert all(np.array_equal(pair.source, pixels) for pair in dataset)


def test_numbers_that_do_not_fit_stop_the_run(server, photos):
    (first, _), (second, _) = photos(17), photos(18)
    g = Graph()
    batch = g.node("ImageBatch", image1=g.node("LoadImage", image=first), image2=g.node("LoadImage", image=second))
    source = capture_source(g, batch)
    capture_result(g, g.node("RepeatImageBatch", image=source, amount=2), "misfit")
    error = server.run_expect_error(g)
    assert "2 source pictures cannot be paired with 4 results" in error.message
    assert not (datasets_root(server) / "misfit").exists()


def test_a_list_of_datasets_and_checks_goes_item_by_item(server, photos):
    names, pixels = zip(*(photos(seed) for seed in (23, 24, 25)), strict=True)
    g = Graph()
    listed = g.node("ProbeList", **{f"image{k}": g.node("LoadImage", image=name) for k, name in enumerate(names)})
    datasets = g.node("ProbeTexts", texts="here\nthere\nhere")
    checks = g.node("ProbeTexts", texts="no_op=off\nno_op=off\nno_op=on")
    result = capture_result(g, capture_source(g, listed), datasets, checks=checks)
    run = server.run(g)
    (first,), (second,) = wait_for_pairs(server, "here", 1, rejected=1), wait_for_pairs(server, "there", 1)
    np.testing.assert_array_equal(first.target, pixels[0])
    np.testing.assert_array_equal(second.target, pixels[1])
    assert (first.instruction, second.instruction) == ("{image} here", "{image} there")
    told = [text for node, text in run.texts if node == result.id][-1]
    assert "here: 1 pair, 0 rejected" in told and "there: 1 pair, " in told and "here: 1 pair, 1 rejected" in told
    g.set(datasets, texts="here\nthere")
    assert "2 dataset names cannot be paired with 3 results" in server.run_expect_error(g).message


def test_two_results_share_a_source_and_two_captures_share_a_canvas(server, photos):
    (first, first_pixels), (second, second_pixels) = photos(19), photos(20)
    g = Graph()
    source = capture_source(g, g.node("LoadImage", image=first))
    capture_result(g, g.node("ImageInvert", image=source), "inverted")
    capture_result(g, g.node("ImageBlur", image=source, blur_radius=3, sigma=2.0), "blurred")
    server.run(g)
    assert_inverses(wait_for_pairs(server, "inverted", 1), [first_pixels])
    (pair,) = wait_for_pairs(server, "blurred", 1)
    assert np.array_equal(pair.source, first_pixels)
    # A second source of the same index belongs to the result that is made from it.
    other = capture_source(g, g.node("LoadImage", image=second))
    capture_result(g, g.node("ImageInvert", image=other), "other")
    server.run(g)
    assert_inverses(wait_for_pairs(server, "other", 1), [second_pixels])
    wait_for_pairs(server, "inverted", 1)  # and no second one


def test_references_and_masks(server, photos):
    """The second picture is pasted into the first where the mask is white; markers and the one node keep the same."""
    (back, back_pixels), (front, front_pixels) = photos(21), photos(22)
    g = Graph()
    mask = g.node("SolidMask", value=1.0, width=32, height=24)
    hole = g.node("SolidMask", value=0.0, width=16, height=24)
    mask = g.node("MaskComposite", destination=mask, source=hole, x=0, y=0, operation="multiply")
    first, second = g.node("LoadImage", image=back), g.node("LoadImage", image=front)
    source, reference = capture_source(g, first, mask=mask), capture_source(g, second, index=1)
    pasted = g.node(
        "ImageCompositeMasked", destination=source, source=reference, x=0, y=0, resize_source=False, mask=source[1]
    )
    words = {"instruction": "the right half of {image1} in {image}"}
    capture_result(g, pasted, "marked", **words)
    more = {"mask": mask, "references.image0": second}
    g.node("ACECapturePair", source=first, result=pasted, dataset="in-one", **words, **more)
    server.run(g)
    (marked,), (in_one,) = wait_for_pairs(server, "marked", 1), wait_for_pairs(server, "in-one", 1)
    for pair in (marked, in_one):
        np.testing.assert_array_equal(pair.source, back_pixels)
        np.testing.assert_array_equal(pair.references[0], front_pixels)
        np.testing.assert_array_equal(pair.target[:, :16], back_pixels[:, :16])
        np.testing.assert_array_equal(pair.target[:, 16:], front_pixels[:, 16:])
        assert pair.masks[0][:, :16].max() == 0 and pair.masks[0][:, 16:].min() == 255 and pair.masks[1] is None


def test_the_teachers_time_is_kept_where_the_whole_edit_ran(server, photos):
    g = Graph()
    loaded = g.node("LoadImage", image=photos(40)[0])
    back = g.node("LoadImage", image=photos(41)[0])  # the same for all: that it is cached does not matter
    source = capture_source(g, loaded)
    slow = g.node("ProbeSteps", image=source, steps=1, seconds=0.3)
    pasted = g.node("ImageCompositeMasked", destination=back, source=slow, x=8, y=0, resize_source=False)
    noisy = g.node("ImageAddNoise", image=pasted, seed=1, strength=0.5)
    result = capture_result(g, g.node("RepeatImageBatch", image=noisy, amount=2), "timed", checks=CHECKS_OFF)
    in_one = g.node(
        "ACECapturePair",
        source=loaded,
        result=noisy,
        dataset="timed-in-one",
        instruction="",
        checks=CHECKS_OFF,
    )
    g.node("PreviewImage", images=g.node("ImageBatch", image1=result, image2=in_one))

    def times(dataset: str, pairs: int) -> list[float | None]:
        return [row.teacher_seconds for row in wait_for_pairs(server, dataset, pairs).rows()]

    began = time.monotonic()
    server.run(g)
    assert 0.15 <= times("timed", 1)[0] <= (time.monotonic() - began) / 2  # of two, which are equal
    assert all(
        row.teacher_memory > 50e6 for row in wait_for_pairs(server, "timed", 1).rows()
    )  # bytes of the whole ComfyUI
    assert times("timed-in-one", 1)[0] >= 0.3
    g.set(noisy, seed=2)
    server.run(g)
    assert times("timed", 2)[1] is times("timed-in-one", 2)[1] is None  # the slow node was cached
    g.set(loaded, image=photos(42)[0])
    assert back.id in server.run(g).cached
    assert times("timed", 3)[2] >= 0.15 and times("timed-in-one", 3)[2] >= 0.3


def test_the_same_pair_is_kept_once_also_after_a_restart(start_comfy):
    with start_comfy(packs=PACKS) as other:
        name, pixels = NoisePictures(other)(30)
        g = Graph()
        result = capture_result(
            g, g.node("ImageInvert", image=capture_source(g, g.node("LoadImage", image=name))), "again"
        )
        for _ in range(2):
            other.run(g)
            other.free()
        dataset = wait_for_pairs(other, "again", 1)
        kept = {path.name: path.read_bytes() for path in (dataset.folder / "target").iterdir()}
        place = {"ACE_DATASETS": str(datasets_root(other))}
        with start_comfy(packs=PACKS, env=place) as restarted:
            NoisePictures(restarted)(30)
            run_on(g, result)
            assert "the same pair is kept as" in "\n".join(text for _, text in restarted.run(g).texts)
        dataset = wait_for_pairs(other, "again", 1)
        assert_inverses(dataset, [pixels])
        assert {path.name: path.read_bytes() for path in (dataset.folder / "target").iterdir()} == kept
