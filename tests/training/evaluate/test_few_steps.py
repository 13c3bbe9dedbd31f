"""How few steps a student needs: which ways are tried, which is chosen, and what is said of it."""

from __future__ import annotations

import json

import pytest
from comfyui_ace.ace.pictures.resolution import Resolution
from comfyui_ace.ace.weights.presets import BundleDefaults, RecommendedSampling
from comfyui_ace.training.evaluate import few_steps
from comfyui_ace.training.evaluate.cases import CaseSettings
from comfyui_ace.training.evaluate.errors import EvaluationError, NothingMeasuredError
from comfyui_ace.training.evaluate.evaluation import Evaluation, FailedPair, PairResult
from comfyui_ace.training.evaluate.few_steps import FewStepSearch, Trial, cheaper, find_fewest_steps
from comfyui_ace.training.evaluate.metrics.image_metrics import ImageMetrics

OWN = RecommendedSampling(20, 4.5, 0.5)


def trial(steps: int, scale: float, l1: float, gmsd: float = 0.1, source: float | None = 0.2) -> Trial:
    return Trial(RecommendedSampling(steps, scale, 0.5), l1, gmsd, source, 1.0)


def search(*trials: Trial, baseline: Trial | None = None, pairs: int = 8, loss: float = 0.05) -> FewStepSearch:
    return FewStepSearch(baseline or trial(20, 4.5, 0.1), trials, pairs, loss)


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (OWN, [(4, 1), (6, 1), (8, 1), (4, 4.5), (6, 4.5), (8, 4.5), (20, 1)]),
        (RecommendedSampling(6, 1.0, 0.5), [(4, 1)]),
        (
            RecommendedSampling(50, 4.5, 0.5),
            [(4, 1), (6, 1), (8, 1), (4, 4.5), (6, 4.5), (8, 4.5), (20, 1), (20, 4.5), (50, 1)],
        ),
        (RecommendedSampling(4, 1.0, 0.5), []),
    ],
    ids=["published", "small", "large", "few already"],
)
def test_ways_with_fewer_evaluations_are_tried(own, expected):
    found = [(each.steps, each.guidance_scale) for each in cheaper(own)]
    costs = [each.evaluations for each in cheaper(own)]
    assert sorted(found) == sorted(expected) and costs == sorted(costs)
    assert all(cost < own.evaluations for cost in costs)
    assert all(each.guidance_rescale == own.guidance_rescale for each in cheaper(own))


def test_the_cheapest_that_loses_little_is_chosen():
    # The baseline's score is 0.5, so the L1 may rise by 0.05 · 0.5 · 0.2 = 0.005.
    found = search(trial(4, 1, 0.1051), trial(8, 1, 0.1049), trial(20, 1, 0.09))
    assert found.chosen.sampling == RecommendedSampling(8, 1, 0.5)
    assert found.sentence == (
        "Samples with 8 steps without guidance: 5.0 times less work a picture than the model's own way, and within 5% of its "
        "score."
    )


@pytest.mark.parametrize(
    "found",
    [
        search(trial(4, 1, 0.2)),
        search(trial(4, 1, 0.09, gmsd=0.106)),
        search(),
        search(trial(4, 1, 0.19, source=None), baseline=trial(20, 4.5, 0.1, source=None)),
        search(trial(4, 1, 0.33), baseline=trial(20, 4.5, 0.3)),  # worse than its source, so L1 decides
    ],
    ids=["far", "blurred", "nothing cheaper", "no source", "no score"],
)
def test_otherwise_it_samples_as_the_model_does(found):
    assert found.chosen is found.baseline and "Samples as the model does, with 20 steps" in found.sentence


def test_without_a_score_the_distance_itself_decides():
    assert search(trial(4, 1, 0.104, source=None), baseline=trial(20, 4.5, 0.1, source=None)).chosen.sampling.steps == 4


def test_the_report_shows_every_trial(tmp_path):
    found = search(trial(4, 1, 0.15), trial(8, 1, 0.1))
    page = found.to_html()
    assert page.count("<tr") == 4 and "<tr class=chosen><th>with 8 steps without guidance" in page
    stored = json.loads(found.write_json(tmp_path / "steps.json").read_text())
    assert stored["chosen"] == {"steps": 8, "guidance_scale": 1, "guidance_rescale": 0.5}
    assert [each["l1"] for each in stored["trials"]] == [0.15, 0.1] and stored["baseline"]["l1"] == 0.1


def test_every_way_is_measured_on_the_same_pairs(monkeypatch):
    """The number of evaluations decides the order, the bundle's own way is measured first, and at most eight pairs are."""
    asked = []

    class Found:
        results = failed = ()
        failed_names: frozenset = frozenset()
        seconds = 0.5

        def without(self, _pairs):
            return self

        def mean(self, _name):
            return type("Metrics", (), {"l1": 0.1, "gmsd": 0.1})

    def evaluate(_pipeline, _folders, *, cases, sampler, progress, detail, resolution):
        asked.append((cases.max_pairs, sampler.seed, sampler.steps, sampler.guidance_scale, detail))
        progress("evaluating", 1, 2)
        return Found()

    monkeypatch.setattr(few_steps, "evaluate", evaluate)
    told = []

    def find(pairs: int, defaults: BundleDefaults) -> FewStepSearch | None:
        monkeypatch.setattr(few_steps, "choose_rows", lambda _folders, cases: [None] * min(pairs, cases.max_pairs))
        return find_fewest_steps(
            type("Pipeline", (), {"defaults": defaults}),
            [],
            cases=CaseSettings(max_pairs=16),
            resolution=Resolution.published(1024),
            progress=lambda *each: told.append(each),
        )

    assert find(2, BundleDefaults()) is None, "too few pairs to decide anything"
    assert find(8, BundleDefaults(steps=4, guidance_scale=1.0)) is None, "nothing is cheaper"
    assert not asked
    assert find(20, BundleDefaults()).pairs == 8
    assert asked[0] == (8, 0, 20, 4.5, False) and len(asked) == 8
    assert {(pairs, seed, detail) for pairs, seed, _, _, detail in asked} == {(8, 0, False)}
    assert told[0] == ("trying fewer steps", 1, 16) and told[-1] == ("trying fewer steps", 15, 16)


def test_a_way_that_gives_no_picture_is_passed_over_and_named(monkeypatch):
    """What its own way cannot be measured on counts for none of them."""

    def measured(*l1: float | None):
        near, broken = metrics, [FailedPair(str(n), "d", "NaN") for n, each in enumerate(l1) if each is None]
        results = [
            PairResult(str(n), "d", "x", False, near(each), near(0.2), None, near(0.0), 1.0, None, None)
            for n, each in enumerate(l1)
            if each is not None
        ]
        return Evaluation(tuple(results), "s", ("d",), "validation", {}, "cpu", None, failed=tuple(broken))

    def metrics(l1: float) -> ImageMetrics:
        return ImageMetrics(l1, 20.0, 0.5, 0.5, 0.1, 1.0)

    found = {
        (20, 4.5): measured(0.1, 0.1, 0.1, None),
        (4, 1.0): measured(0.1, 0.1, None, 0.1),
        (6, 1.0): NothingMeasuredError("the student gave no picture on any of the 4 pairs"),
        (8, 1.0): measured(0.1, 0.1, 0.1, 9.0),
    }

    def evaluate(_pipeline, _folders, *, sampler, **_settings):
        one = found.get((sampler.steps, sampler.guidance_scale), found[8, 1.0])
        if isinstance(one, Exception):
            raise one
        return one

    monkeypatch.setattr(few_steps, "evaluate", evaluate)
    monkeypatch.setattr(few_steps, "choose_rows", lambda *_: [None] * 4)
    pipeline = type("Pipeline", (), {"defaults": BundleDefaults()})
    search = lambda: find_fewest_steps(pipeline, [], cases=CaseSettings(), resolution=Resolution.published(64))  # noqa: E731
    chosen = search()
    assert (chosen.chosen.sampling.steps, chosen.chosen.sampling.guidance_scale) == (8, 1.0) and chosen.pairs == 3
    assert [(each.steps, each.guidance_scale) for each in chosen.failed] == [(4, 1.0), (6, 1.0)]
    assert chosen.to_html().count("gave no picture") == 2
    found[20, 4.5] = measured(0.1, 0.1, None, None)
    assert search() is None, "too few pairs are left"
    found[20, 4.5] = found[6, 1.0]
    with pytest.raises(EvaluationError, match="no picture on any"):
        search()


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"sampler_steps": "0", "sampler_cfg": "1", "sampler_rescale": "0"},
        {"sampler_steps": "4", "sampler_cfg": "nan", "sampler_rescale": "0"},
        {"sampler_steps": "four", "sampler_cfg": "1", "sampler_rescale": "0"},
        {"sampler_steps": "4", "sampler_cfg": "1", "sampler_rescale": "2"},
        {"sampler_steps": "4", "sampler_cfg": "1"},
    ],
)
def test_a_header_that_recommends_nothing_usable_is_passed_over(metadata):
    assert RecommendedSampling.from_metadata(metadata) is None


def test_a_recommendation_survives_the_header():
    assert RecommendedSampling.from_metadata(OWN.to_metadata()) == OWN
