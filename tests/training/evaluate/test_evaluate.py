"""Evaluation: metrics against hand calculations, what is compared with what, and what is written."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from comfyui_ace.ace.bundles.bundle import SHIPPED_BUNDLES, find_bundle
from comfyui_ace.ace.model.sampler import check_finite
from comfyui_ace.ace.pictures.resolution import Resolution
from comfyui_ace.ace.pipeline import ACEPipeline
from comfyui_ace.cli import main
from comfyui_ace.commands.demo.pairs import EMBEDDED
from comfyui_ace.training.dataset.store import Dataset, Pair
from comfyui_ace.training.evaluate.cases import CaseSettings, choose_rows, make_cases
from comfyui_ace.training.evaluate.errors import EvaluationError
from comfyui_ace.training.evaluate.evaluation import Evaluation, PairResult, score
from comfyui_ace.training.evaluate.metrics.image_metrics import ImageMetrics, compute_metrics, load_lpips, mean_metrics
from comfyui_ace.training.evaluate.page import describe, write_page
from comfyui_ace.training.evaluate.run import SamplerSettings, evaluate
from comfyui_ace.training.evaluate.verdict import give_verdict
from comfyui_ace.training.trainer.data.encoding import fitted_pixels
from comfyui_ace.training.trainer.data.examples import ExampleSettings, make_examples
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


def metrics(l1: float, ssim: float = 0.5, detail: float = 1.0) -> ImageMetrics:
    return ImageMetrics(l1, 20.0, ssim, ssim, 0.1, detail)


def everything(**changes) -> CaseSettings:
    return CaseSettings(**{"split": None, **changes})


def cases_of(folder, settings=None):
    settings = settings or everything()
    return list(make_cases(choose_rows([folder], settings), RESOLUTION, settings))


def test_distances_are_what_a_hand_calculation_gives():
    found = compute_metrics(flat(0.75), flat(0.5))
    assert found.l1 == pytest.approx(0.25) and found.lpips is None
    assert found.psnr == pytest.approx(-10 * np.log10(0.25**2), abs=1e-4)
    c1 = 0.01**2  # flat pictures have no contrast to compare, only brightness
    assert found.ssim == pytest.approx((2 * 0.75 * 0.5 + c1) / (0.75**2 + 0.5**2 + c1), abs=1e-3)


def test_equal_pictures_have_finite_numbers():
    same = compute_metrics(flat(0.3), flat(0.3))
    near = pytest.approx
    assert same == ImageMetrics(0.0, 100.0, near(1.0), near(1.0), near(0.0), near(1.0))


def test_ssim_agrees_with_scikit_image():
    structural_similarity = pytest.importorskip("skimage.metrics").structural_similarity
    one, other = (picture(seed, 48, 48).astype(np.float32) / 255 for seed in (1, 2))
    other = 0.6 * one + 0.4 * other
    wanted = structural_similarity(
        one, other, data_range=1.0, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    found = compute_metrics(torch.from_numpy(one)[None], torch.from_numpy(other)[None]).ssim
    assert found == pytest.approx(wanted, abs=0.01)  # they differ in what lies beyond the border


def test_pictures_of_different_size_are_refused():
    with pytest.raises(ValueError, match=r"one size.*16, 32.*16, 16"):
        compute_metrics(flat(0.0), flat(0.0, 16, 16))


def test_lpips_is_left_out_where_its_weights_are_not_at_hand(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert load_lpips() is None
    one, other = ImageMetrics(1, 2, 3, 1, 0, 1, 0.5, 0.1), ImageMetrics(3, 4, 5, 0, 1, 2, None, 0.3)
    assert mean_metrics([one, other]) == ImageMetrics(2, 3, 4, 0.5, 0.5, 1.5, None, pytest.approx(0.2))


def test_the_score_is_nothing_for_the_source_and_one_for_the_teacher():
    source = metrics(0.5)
    assert score(source, source) == 0.0
    assert score(metrics(0.0), source) == 1.0
    assert score(metrics(0.1), source) == pytest.approx(0.8)
    assert score(metrics(0.1), None) is None
    assert score(metrics(0.1), metrics(0.0)) is None


def test_cases_show_what_the_trainer_shows(workshop, tmp_path):
    """Pictures, sizes and words of every pair, history and references included, are those of the trainer's examples."""
    made = make_examples([workshop.dataset], RESOLUTION, FileIndex(tmp_path / "files.jsonl"), ExampleSettings())
    examples = {example.id: example for example in (*made.train, *made.validation)}
    cases = cases_of(workshop.dataset)
    assert {case.row.id for case in cases} == set(examples)
    assert any(len(example.references) > 1 for example in examples.values())
    for case in cases:
        example = examples[case.row.id]
        assert torch.equal(case.teacher, fitted_pixels(example.target))
        assert len(case.condition_images) == len(example.references)
        for (_, shown), reference in zip(case.condition_images, example.references, strict=True):
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
    assert torch.equal(kept.condition_images[0][1], kept.source)
    assert not blanked.condition_images[0][1][:, :, :half].any() and torch.equal(blanked.source, kept.source)


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
    text = found.results[3]
    assert text.source is None and text.student.l1 > 0 and text.as_dict()["score"] is None
    assert found.mean("other_seed") == mean_metrics([found.results[0].other_seed, found.results[1].other_seed])
    edits = found.results[:3]
    ratio = sum(a.student.l1 for a in edits) / sum(a.source.l1 for a in edits)
    assert found.score == pytest.approx(1 - ratio)
    assert found.seconds > 0 and (found.peak_memory is None or found.peak_memory > 1e7)

    stored = json.loads(found.write_json(tmp_path / "e.json").read_text())
    assert stored["score"] == found.score and len(stored["by_pair"]) == 4
    page = write_page(found, tmp_path / "page.html").read_text()
    assert page.count("<figure>") == sum(len(result.pictures) for result in found.results)
    assert not re.search(r"(src|href)=.?(https?:)?//|@import|url\(", page)
    assert "pairs it was trained on" in page  # split "both"


def test_the_same_seed_gives_the_same_numbers(pipeline, workshop):
    first, second = (
        evaluate(pipeline, [workshop.dataset], sampler=SamplerSettings(steps=1), resolution=RESOLUTION)
        for _ in range(2)
    )
    assert [a.student for a in first.results] == [a.student for a in second.results]


def pair_result(without: float, kept: float | None, ssim: tuple[float, float] = (0.7, 0.8)) -> PairResult:
    """A pair whose student lies so far from the teacher, without Keep Detail and with it."""
    student, ceiling = metrics(without, ssim[0]), metrics(0.01, 0.9)
    found = PairResult("a", "d", "{image} x", False, student, metrics(0.2), None, ceiling, 1.0, None, None)
    return found if kept is None else replace(found, with_detail=metrics(kept, ssim[1]))


def evaluation(*results: PairResult) -> Evaluation:
    return Evaluation(results, "student", ("d",), "validation", {"steps": 2}, "cpu", None)


@pytest.mark.parametrize(
    ("pairs", "helps"),
    [
        ([(0.04, 0.03), (0.05, 0.04), (0.03, 0.02)], True),
        ([(0.04, 0.03), (0.05, 0.04)], False),  # too few pairs
        ([(0.040, 0.039), (0.050, 0.049), (0.030, 0.029)], False),  # too little
        ([(0.04, 0.01), (0.04, 0.045), (0.04, 0.045)], False),  # one pair alone makes the mean
        ([(0.04, 0.05), (0.05, 0.06), (0.03, 0.04)], False),
        ([(0.0, 0.0)] * 3, False),
    ],
)
def test_detail_helps_by_a_margin_and_on_most_pairs(pairs, helps):
    found = evaluation(*(pair_result(*pair) for pair in pairs))
    assert found.detail_helps is helps
    means = [sum(column) / len(pairs) for column in zip(*pairs, strict=True)]
    assert found.score_with_detail == pytest.approx(1 - means[1] / 0.2)
    assert found.score == pytest.approx(1 - means[0] / 0.2)


def test_detail_that_costs_structure_does_not_help():
    pairs = [(0.04, 0.03), (0.05, 0.04), (0.03, 0.02)]
    assert not evaluation(*(pair_result(*pair, ssim=(0.8, 0.7)) for pair in pairs)).detail_helps


def test_what_keep_detail_adds_is_on_the_page_and_in_the_sentence(tmp_path):
    found = evaluation(*[pair_result(0.04, 0.03), pair_result(0.05, 0.04), pair_result(0.03, 0.02)])
    assert "; with Keep Detail 0.850" in describe(found)
    page = write_page(found, tmp_path / "page.html").read_text()
    assert "student with Keep Detail" in page and "0.850, +0.050: it helps" in page and "ceiling" in page
    without = evaluation(pair_result(0.04, None))
    assert without.score_with_detail is None and not without.detail_helps and "Keep Detail" not in describe(without)
    assert "not measured" in write_page(without, tmp_path / "page.html").read_text()


def test_keep_detail_is_measured_on_edits_alone_and_only_if_wanted(pipeline, seeds):
    found = evaluate(pipeline, [seeds], cases=everything(), sampler=SamplerSettings(steps=1))
    assert [one.with_detail is not None for one in found.results] == [True, True, True, False]
    assert any(label == "student with Keep Detail" for label, _ in found.results[0].pictures)
    left_out = evaluate(pipeline, [seeds], cases=everything(), sampler=SamplerSettings(steps=1), detail=False)
    assert all(one.with_detail is None for one in left_out.results)
    assert [one.student for one in left_out.results] == [one.student for one in found.results]


def test_a_perfect_student_goes_beyond_its_ceiling_with_keep_detail(seeds):
    """It paints what the shipped VAE makes of the teacher's result: exactly the ceiling, and more with the detail."""
    bundle = find_bundle(SHIPPED_BUNDLES / "ace-tiny")
    pipeline = ACEPipeline.load(bundle)
    dataset = Dataset.create(seeds.parent, "photographs")
    cat = np.asarray(Image.open(EMBEDDED).convert("RGB"))
    for top, left in ((20, 40), (60, 90), (100, 140)):
        source = cat[top : top + 96, left : left + 96]
        dataset.append(Pair(source=source, target=255 - source, instruction="{image} negative"))

    class Perfect:
        defaults, model, vae = pipeline.defaults, pipeline.model, pipeline.vae

        def __call__(self, context, **_settings):
            teacher = 1 - context.unit.images[0].image
            return SimpleNamespace(images=self.vae.decode(self.vae.encode(teacher)))

    found = evaluate(Perfect(), [dataset.folder], cases=everything())
    assert found.score == pytest.approx(found.ceiling_score)
    assert found.score_with_detail > found.ceiling_score + 0.2 * (1 - found.ceiling_score)
    assert found.detail_helps


def test_nothing_held_out_is_said(seeds, pipeline):
    Dataset(seeds).rewrite(lambda row: replace(row, split="train"))
    with pytest.raises(EvaluationError, match="dataset split"):
        evaluate(pipeline, [seeds])


def test_pairs_are_spread_over_the_datasets(workshop, seeds):
    chosen = choose_rows([workshop.dataset, seeds], everything(max_pairs=7))
    assert len(chosen) == 7 and {dataset.folder for dataset, _ in chosen} == {workshop.dataset, seeds}


def test_each_of_several_datasets_is_told(tmp_path):
    """A mean hides the edit that was not learnt."""

    def result(number, dataset, l1):
        return PairResult(
            str(number), dataset, "x", False, metrics(l1), metrics(0.4), None, metrics(0.1), 1.0, None, None
        )

    results = [result(number, "ink", 0.1) for number in range(3)] + [result(3, "night", 0.3)]
    found = Evaluation(tuple(results), "s", ("ink", "night"), "validation", {"steps": 4}, "cpu", None)
    parts = found.by_dataset()
    assert {name: part.score for name, part in parts.items()} == {
        "night": pytest.approx(0.25),
        "ink": pytest.approx(0.75),
    }
    assert list(parts) == ["night", "ink"] and found.score == pytest.approx(1 - 0.15 / 0.4)
    assert found.as_dict()["by_dataset"]["ink"]["pairs"] == 3
    assert describe(found).endswith("weakest on night: 0.250")
    text = write_page(found, tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.index("<th>night</th><td>1</td><td>0.250</td>") < text.index("<th>ink</th><td>3</td><td>0.750</td>")
    alone = replace(found, results=tuple(results[:3]), datasets=("ink",))
    assert alone.by_dataset() == {} and "weakest" not in describe(alone)


def test_datasets_of_one_name_are_told_apart(seeds, pipeline, tmp_path):
    other = tmp_path / "other" / seeds.name
    shutil.copytree(seeds, other)
    found = evaluate(pipeline, [seeds, other], cases=everything(max_pairs=2))
    assert set(found.by_dataset()) == set(found.datasets) == {seeds.as_posix(), other.as_posix()}


def test_a_damaged_pair_is_named(seeds, pipeline):
    row = next(Dataset(seeds).rows())
    (seeds / row.target_file_name).write_bytes(b"broken")
    with pytest.raises(EvaluationError, match=row.id):
        evaluate(pipeline, [seeds], cases=everything())


def failing(pipeline, broken):
    """A pipeline whose results are no numbers where ``broken`` says so of the number of its call."""

    class Failing:
        defaults, model, vae = pipeline.defaults, pipeline.model, pipeline.vae
        calls = 0

        def __call__(self, *given, **settings):
            Failing.calls += 1
            check_finite(torch.full((1,), torch.nan if broken(Failing.calls) else 0.0), "the decoded picture")
            return pipeline(*given, **settings)

    return Failing()


def test_a_pair_without_a_picture_is_named_and_the_others_are_measured(pipeline, seeds, tmp_path):
    ids = [row.id for row in Dataset(seeds).rows()]
    settings = {"cases": everything(), "sampler": SamplerSettings(steps=1)}
    whole = evaluate(pipeline, [seeds], **settings)
    found = evaluate(failing(pipeline, lambda call: call == 2), [seeds], **settings)
    assert [one.id for one in found.results] == [ids[0], *ids[2:]]
    assert [one.student for one in found.results] == [whole.results[number].student for number in (0, 2, 3)]
    (failed,) = found.failed
    assert (failed.id, failed.dataset) == (ids[1], "seeds") and "no numbers" in failed.reason
    assert found.as_dict()["failed"][0]["id"] == ids[1]
    assert f"1 more pair is in no number, because the student gave no picture there: {ids[1]}" in describe(found)
    page = write_page(found, tmp_path / "p.html").read_text()
    assert f"{ids[1]} of seeds: the decoded picture holds values that are no numbers" in page
    many = replace(found, results=found.results * 3, split="validation")
    assert "it gave no picture on 1 of 10 pairs" in give_verdict(many).sentence


def test_a_student_without_any_picture_is_an_error(pipeline, seeds):
    first = next(Dataset(seeds).rows()).id
    with pytest.raises(EvaluationError, match=rf"any of the 4 pairs.*{first}.*no numbers"):
        evaluate(failing(pipeline, lambda _call: True), [seeds], cases=everything(), sampler=SamplerSettings(steps=1))


def test_a_vae_that_fails_on_a_picture_fails_that_pair(pipeline, seeds, monkeypatch):
    decode = pipeline.vae.decode
    calls = iter(range(100))
    monkeypatch.setattr(pipeline.vae, "decode", lambda z: decode(z) * (torch.nan if next(calls) == 1 else 1.0))
    found = evaluate(pipeline, [seeds], cases=everything(), sampler=SamplerSettings(steps=1), detail=False)
    assert len(found.results) == 3 and "round trip" in found.failed[0].reason


def test_words_cannot_become_markup(tmp_path):
    evil = "<script>alert(1)</script>"
    result = PairResult(evil, evil, evil, False, metrics(0.1), None, None, metrics(0.0), 1.0, None, None)
    result = replace(result, pictures=((evil, Image.new("RGB", (8, 8))),))
    found = Evaluation((result,), evil, (evil,), "validation", {"steps": 2}, "cpu", None)
    assert "<script>alert" not in write_page(found, tmp_path / "p.html").read_text()
    assert describe(found).startswith("no score on 1 held-out pair")


def test_command(workshop, tmp_path, capsys):
    output = tmp_path / "out"
    arguments = ["evaluate", str(workshop.dataset), "-m", str(workshop.bundle), "-o", str(output), "--steps", "1"]
    assert main([*arguments, "--pairs", "1", "--device", "cpu", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["pairs"] == 1 and printed == json.loads((output / "evaluation.json").read_text())
    assert (output / "index.html").is_file()
