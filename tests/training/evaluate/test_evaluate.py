"""Evaluation: measures against hand calculations, what is compared with what, and what is written."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from comfyui_ace.ace.bundles.bundle import find_bundle
from comfyui_ace.ace.pictures.resolution import Resolution
from comfyui_ace.ace.pipeline import ACEPipeline
from comfyui_ace.cli import main
from comfyui_ace.training.dataset.store import Dataset, Pair
from comfyui_ace.training.evaluate.cases import CaseSettings, choose_rows, make_cases
from comfyui_ace.training.evaluate.errors import EvaluationError
from comfyui_ace.training.evaluate.evaluation import Answer, Evaluation, score
from comfyui_ace.training.evaluate.measures import Distances, find_lpips, mean, measure
from comfyui_ace.training.evaluate.page import describe, write_page
from comfyui_ace.training.evaluate.run import SamplerSettings, evaluate
from comfyui_ace.training.trainer.data.encoding import fitted_pixels
from comfyui_ace.training.trainer.data.examples import PlanSettings, make_plan
from comfyui_ace.training.trainer.data.file_index import FileIndex
from pair_factory import half_mask, picture
from PIL import Image
from trainer_runs import workshop_fixture  # noqa: F401

RESOLUTION = Resolution.published(64)


@pytest.fixture(scope="module")
def pipeline(workshop):
    return ACEPipeline.load(find_bundle(workshop.bundle))


def flat(value: float, height: int = 16, width: int = 32) -> torch.Tensor:
    return torch.full((1, height, width, 3), value)


def everything(**changes) -> CaseSettings:
    return CaseSettings(**{"split": None, **changes})


def cases_of(folder, settings=None):
    settings = settings or everything()
    return list(make_cases(choose_rows([folder], settings), RESOLUTION, settings))


def test_distances_are_what_a_hand_calculation_gives():
    found = measure(flat(0.75), flat(0.5))
    assert found.l1 == pytest.approx(0.25) and found.lpips is None
    assert found.psnr == pytest.approx(-10 * np.log10(0.25**2), abs=1e-4)
    c1 = 0.01**2  # flat pictures have no contrast to compare, only brightness
    assert found.ssim == pytest.approx((2 * 0.75 * 0.5 + c1) / (0.75**2 + 0.5**2 + c1), abs=1e-3)


def test_equal_pictures_have_finite_numbers():
    assert measure(flat(0.3), flat(0.3)) == Distances(0.0, 100.0, pytest.approx(1.0), None)


def test_ssim_agrees_with_scikit_image():
    structural_similarity = pytest.importorskip("skimage.metrics").structural_similarity
    one, other = (picture(seed, 48, 48).astype(np.float32) / 255 for seed in (1, 2))
    other = 0.6 * one + 0.4 * other
    wanted = structural_similarity(
        one, other, data_range=1.0, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    found = measure(torch.from_numpy(one)[None], torch.from_numpy(other)[None]).ssim
    assert found == pytest.approx(wanted, abs=0.01)  # they differ in what lies beyond the border


def test_pictures_of_different_size_are_refused():
    with pytest.raises(ValueError, match=r"one size.*16, 32.*16, 16"):
        measure(flat(0.0), flat(0.0, 16, 16))


def test_lpips_is_left_out_where_its_weights_are_not_at_hand(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert find_lpips() is None
    assert mean([Distances(1, 2, 3, 0.5), Distances(3, 4, 5, None)]) == Distances(2, 3, 4, None)


def test_the_score_is_nothing_for_the_source_and_one_for_the_teacher():
    source = Distances(0.5, 0, 0)
    assert score(source, source) == 0.0
    assert score(Distances(0.0, 0, 0), source) == 1.0
    assert score(Distances(0.1, 0, 0), source) == pytest.approx(0.8)
    assert score(Distances(0.1, 0, 0), None) is None
    assert score(Distances(0.1, 0, 0), Distances(0.0, 0, 0)) is None


def test_cases_show_what_the_trainer_shows(workshop, tmp_path):
    """Pictures, sizes and words of every pair, history and references included, are those of the trainer's plan."""
    plan = make_plan([workshop.dataset], RESOLUTION, FileIndex(tmp_path / "files.jsonl"), PlanSettings())
    examples = {example.id: example for example in (*plan.train, *plan.validation)}
    cases = cases_of(workshop.dataset)
    assert {case.row.id for case in cases} == set(examples)
    assert any(len(example.references) > 1 for example in examples.values())
    for case in cases:
        example = examples[case.row.id]
        assert torch.equal(case.teacher, fitted_pixels(example.target))
        assert len(case.shown) == len(example.references)
        for (_, shown), reference in zip(case.shown, example.references, strict=True):
            assert torch.equal(shown, fitted_pixels(reference))
        assert torch.equal(case.source, fitted_pixels(example.references[example.edited]))
        assert (case.mask is not None) == (example.masks[example.edited] is not None)


def test_under_a_mask_only_the_masked_part_is_the_students(workshop):
    (case,) = [case for case in cases_of(workshop.dataset) if case.mask is not None]
    result = torch.rand_like(case.source)
    pasted, half = case.pasted(result), case.source.shape[2] // 2
    assert torch.equal(pasted[:, :, :half], result[:, :, :half])
    assert torch.equal(pasted[:, :, half:], case.source[:, :, half:])


def test_masks_are_blanked_only_if_training_did(workshop):
    kept, blanked = (
        next(case for case in cases_of(workshop.dataset, everything(fill=fill)) if case.mask is not None)
        for fill in ("keep", "blank")
    )
    half = kept.source.shape[2] // 2
    assert torch.equal(kept.shown[0][1], kept.source)
    assert not blanked.shown[0][1][:, :, :half].any() and torch.equal(blanked.source, kept.source)


@pytest.fixture
def seeds(tmp_path):
    """Two pairs of the same source and different seeds, one of a third seed with a mask, and one made from text."""
    dataset = Dataset.create(tmp_path, "seeds")
    source = picture(1, 32, 32)
    for seed, target in ((1, 255 - source), (2, source // 2), (3, source // 3)):
        masks = [half_mask(32, 32)] if seed == 3 else []
        dataset.append(Pair(source=source, target=target, instruction="{image} darker", seed=seed, masks=masks))
    dataset.append(Pair(target=picture(7, 32, 48), instruction="noise", seed=1))
    return dataset.folder


def test_another_seed_of_the_teacher_counts_only_for_the_same_inputs(seeds):
    first, second, masked, text = cases_of(seeds)
    assert torch.equal(first.other_seed, second.teacher) and torch.equal(second.other_seed, first.teacher)
    assert masked.other_seed is None and text.other_seed is None and text.source is None


def test_numbers_and_page(pipeline, seeds, tmp_path):
    done = []
    found = evaluate(
        pipeline,
        [seeds],
        cases=everything(),
        sampler=SamplerSettings(seed=5, steps=2),
        student="random",
        progress=lambda *call: done.append(call),
    )
    assert done[0] == ("evaluating", 0, 4) and done[-1] == ("evaluating", 4, 4)
    assert found.sampler["steps"] == 2 and found.sampler["cfg"] == pipeline.defaults.guidance_scale
    text = found.answers[3]
    assert text.source is None and text.student.l1 > 0 and text.as_dict()["score"] is None
    assert found.mean("other_seed") == mean([found.answers[0].other_seed, found.answers[1].other_seed])
    edits = found.answers[:3]
    ratio = sum(a.student.l1 for a in edits) / sum(a.source.l1 for a in edits)
    assert found.score == pytest.approx(1 - ratio)
    assert found.seconds > 0 and (found.peak_memory is None or found.peak_memory > 1e7)

    stored = json.loads(found.write_json(tmp_path / "e.json").read_text())
    assert stored["score"] == found.score and len(stored["by_pair"]) == 4
    page = write_page(found, tmp_path / "page.html").read_text()
    assert page.count("<figure>") == sum(len(answer.pictures) for answer in found.answers)
    assert not re.search(r"(src|href)=.?(https?:)?//|@import|url\(", page)
    assert "pairs it was trained on" in page  # split "both"


def test_the_same_seed_gives_the_same_numbers(pipeline, workshop):
    first, second = (
        evaluate(pipeline, [workshop.dataset], sampler=SamplerSettings(steps=1), resolution=RESOLUTION)
        for _ in range(2)
    )
    assert [a.student for a in first.answers] == [a.student for a in second.answers]


def test_nothing_held_out_is_said(seeds, pipeline):
    Dataset(seeds).rewrite(lambda row: replace(row, split="train"))
    with pytest.raises(EvaluationError, match="dataset split"):
        evaluate(pipeline, [seeds])


def test_pairs_are_spread_over_the_datasets(workshop, seeds):
    chosen = choose_rows([workshop.dataset, seeds], everything(max_pairs=7))
    assert len(chosen) == 7 and {dataset.folder for dataset, _ in chosen} == {workshop.dataset, seeds}


def test_a_damaged_pair_is_named(seeds, pipeline):
    row = next(Dataset(seeds).rows())
    (seeds / row.target_file_name).write_bytes(b"broken")
    with pytest.raises(EvaluationError, match=row.id):
        evaluate(pipeline, [seeds], cases=everything())


def test_words_cannot_become_markup(tmp_path):
    evil = "<script>alert(1)</script>"
    answer = Answer(evil, evil, evil, False, Distances(0.1, 20, 0.5), None, None, Distances(0, 100, 1), 1.0, None, None)
    answer = replace(answer, pictures=((evil, Image.new("RGB", (8, 8))),))
    found = Evaluation((answer,), evil, (evil,), "validation", {"steps": 2}, "cpu", None)
    assert "<script>alert" not in write_page(found, tmp_path / "p.html").read_text()
    assert describe(found).startswith("no score on 1 held-out pairs")


def test_command(workshop, tmp_path, capsys):
    output = tmp_path / "out"
    arguments = ["evaluate", str(workshop.dataset), "-m", str(workshop.bundle), "-o", str(output), "--steps", "1"]
    assert main([*arguments, "--pairs", "1", "--device", "cpu", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["pairs"] == 1 and printed == json.loads((output / "evaluation.json").read_text())
    assert (output / "index.html").is_file()
