"""A sampler at work: progress, previews, interruption, and what is kept between two prompts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from host.harness.edits import EditGraph, difference, run_latent, saved_latent

_SNOW = "{image} make it snow"


def _edit(photo: str, **settings):
    g = EditGraph()
    sampled = g.sampler(g.unit(_SNOW, g.picture(photo)), **settings)
    return g, sampled, g.save_latent(sampled[1])


def test_progress_is_reported_step_by_step(comfy, bundle, photo):
    g, sampled, _ = _edit(photo, steps=5, seed=101)
    told = comfy.run(g).progress(sampled.id)
    assert told[0] == (1, 5) and told[-1] == (5, 5)
    assert told == sorted(set(told)) and {total for _, total in told} == {5}  # newer hosts leave some out


def test_previews(comfy, bundle, photo):
    g, sampled, _ = _edit(photo, steps=4, seed=102)
    result = comfy.run(g, extra_data={"preview_method": "latent2rgb"})
    assert [preview.node_id for preview in result.previews] == [sampled.id] * 4
    first, last = (np.asarray(result.previews[k].image, dtype=float) for k in (0, -1))
    assert abs(first.shape[1] / first.shape[0] - 96 / 64) < 0.01
    assert first.std() > 5 and last.std() > 5 and np.abs(first - last).mean() > 1


def test_no_previews_when_they_are_switched_off(comfy, bundle, photo):
    g, _, _ = _edit(photo, steps=3, seed=103)
    assert comfy.run(g, extra_data={"preview_method": "none"}).previews == []


@pytest.mark.parametrize("node", ["ACESampler", "KSampler"])
def test_interrupt_in_mid_run_then_run_again(comfy, bundle, photo, node):
    g = EditGraph()
    unit = g.unit(_SNOW, g.picture(photo))
    if node == "ACESampler":
        g.save_latent(g.sampler(unit, steps=900, seed=104)[1])
    else:
        g.save_latent(g.encoded_ksampler(unit, steps=900, seed=104))
    prompt_id = comfy.queue(g)
    comfy.wait_for_event(prompt_id, "progress", where=lambda data: data["value"] >= 3)
    comfy.interrupt(prompt_id)
    result = comfy.wait(prompt_id, timeout=30)
    assert (result.error.kind, result.error.node_type) == ("interrupted", node)
    assert 3 <= max(step for step, _ in result.progress()) < 900
    g, _, _ = _edit(photo, steps=3, seed=105)
    before = comfy.run(_edit(photo, steps=3, seed=105)[0])
    assert before.error is None
    comfy.free()
    assert torch.equal(saved_latent(comfy, comfy.run(g)), saved_latent(comfy, before))


def test_same_prompt_again_runs_nothing(comfy, bundle, photo):
    g, _, kept = _edit(photo, seed=106)
    first = comfy.run(g)
    assert kept.id in first.executed
    again = comfy.run(g)
    assert again.executed == []
    assert again.outputs == first.outputs


def test_another_seed_runs_the_sampler_alone(comfy, bundle, photo):
    g, sampled, kept = _edit(photo, seed=107)
    first = comfy.run(g)
    g.set(sampled, seed=108)
    second = comfy.run(g)
    assert second.executed == [sampled.id, kept.id]
    assert difference(saved_latent(comfy, second), saved_latent(comfy, first)) > 0.01
    g.set(sampled, seed=107)
    third = comfy.run(g)
    assert torch.equal(saved_latent(comfy, third), saved_latent(comfy, first))


def test_two_prompts_in_a_row(comfy, bundle, photo):
    """Queued together; the second needs what the first loads, with another instruction."""
    graphs = []
    for text in (_SNOW, "{image} make it night"):
        g = EditGraph()
        g.save_latent(g.sampler(g.unit(text, g.picture(photo)), seed=109)[1])
        graphs.append(g)
    comfy.free()
    ids = [comfy.queue(g) for g in graphs]
    first, second = (comfy.wait(prompt_id) for prompt_id in ids)
    assert first.error is None and second.error is None
    assert graphs[0].model[0] in first.executed and graphs[1].model[0] in second.cached
    latents = [saved_latent(comfy, result) for result in (first, second)]
    assert difference(latents[1], latents[0]) > 0.01


def test_models_are_let_go_and_come_back(comfy, bundle, photo):
    """ComfyUI's “unload models” button between two runs."""
    g, _, _ = _edit(photo, seed=110)
    first = saved_latent(comfy, comfy.run(g))
    comfy.free()
    result = comfy.run(g)
    assert result.cached == []
    assert torch.equal(saved_latent(comfy, result), first)


def test_sampling_alters_nothing_that_others_see(comfy, bundle, photo):
    """Guidance Rescale and the sampler's own rescale work on clones: the bare model stays what it was."""

    def bare():
        g = EditGraph()
        return run_latent(comfy, g, g.encoded_ksampler(g.unit(_SNOW, g.picture(photo)), rescale=None, seed=111))

    before = bare()
    comfy.run(_edit(photo, seed=112, guidance_rescale=1.0)[0])
    comfy.free()
    assert torch.equal(bare(), before)
