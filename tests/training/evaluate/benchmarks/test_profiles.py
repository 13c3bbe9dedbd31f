"""The benchmarks' numbers, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from benchmark_sets import flat, noise
from comfyui_ace.training.evaluate.errors import EvaluationError
from comfyui_ace.training.evaluate.metrics.similarity import Several, Undefined
from comfyui_ace.training.evaluate.profiles.icebench import (
    ICEBENCH,
    colourfulness,
    edge_similarity,
    grey_similarity,
    outside_distance,
    question_answered,
)
from comfyui_ace.training.evaluate.profiles.profile import Measured, Sample, Tools
from comfyui_ace.training.evaluate.profiles.registry import PROFILES, find_profile
from comfyui_ace.training.vision_language.answer import Answer
from PIL import Image


def test_magicbrush_by_hand(tools):
    """Half of the result is 51 levels off: L1 .1, L2 .02; a result of another size is resized to the truth."""
    target = flat(100, 100, 100)
    result = target.copy()
    result.paste((151, 151, 151), (0, 0, 20, 30))
    profile = find_profile("magicbrush")
    values = profile.measure(Sample(result, target=target), Tools())
    assert values["l1"] == pytest.approx(0.1) and values["l2"] == pytest.approx(0.02)
    assert set(profile.missing(Tools())) == {"clip_i", "dino", "clip_t"}
    large = profile.measure(Sample(flat(100, 100, 100, size=(80, 60)), target=target, target_caption="a wall"), tools)
    assert large["l1"] == 0 and large["clip_i"] == pytest.approx(1) and large["dino"] == pytest.approx(1)
    assert -1 <= large["clip_t"] <= 1
    no_words = profile.measure(Sample(result, target=target), tools)["clip_t"]
    assert isinstance(no_words, Undefined) and "caption" in no_words.reason
    assert isinstance(profile.measure(Sample(result), Tools())["l1"], Undefined)


def test_magicbrush_compares_with_the_truth_and_emu_with_the_input(tools):
    source, target = noise(1), noise(2)
    sample = Sample(target.copy(), source, target, source_caption="a", target_caption="b")
    truth = find_profile("magicbrush").measure(sample, tools)
    inputs = find_profile("emu").measure(sample, tools)
    assert truth["l1"] == 0 < inputs["l1"] and truth["clip_i"] == pytest.approx(1) != inputs["clip_img"]


def test_same_captions_have_no_direction(tools):
    emu = find_profile("emu")
    samples = [
        Sample(noise(3), noise(1), source_caption="a cat", target_caption="a dog"),
        Sample(noise(3), noise(1), source_caption="a cat", target_caption="a cat"),
        Sample(noise(1), noise(1), source_caption="a cat", target_caption="a dog"),
        Sample(noise(3), noise(1), source_caption="a cat", target_caption="dog " * 90),
    ]
    means = emu.means([Measured(emu.measure(sample, tools)) for sample in samples])
    assert means["clip_dir"].count == 1 and means["clip_out"].count == 3 and means["clip_img"].count == 4
    assert sorted(means["clip_dir"].skipped.values()) == [1, 1, 1]


def test_ip2p_prepares_pictures_in_another_way(tools):
    sample = Sample(noise(3, (90, 40)), noise(1, (90, 40)), source_caption="a cat", target_caption="a dog")
    assert find_profile("ip2p").measure(sample, tools)["image"] != pytest.approx(
        find_profile("emu").measure(sample, tools)["clip_img"], abs=1e-4
    )


def test_icebench_by_hand():
    source, result = flat(0, 0, 0), flat(0, 0, 0)
    result.paste((255, 255, 255), (0, 0, 20, 30))
    mask = Image.new("L", (40, 30))
    mask.paste(255, (0, 0, 10, 30))
    assert outside_distance(Sample(result, source), Tools()) == pytest.approx(0.5)
    assert outside_distance(Sample(result, source, mask=mask), Tools()) == pytest.approx(1 / 3)
    everywhere = outside_distance(Sample(result, source, mask=Image.new("L", (40, 30), 255)), Tools())
    assert isinstance(everywhere, Undefined)
    assert colourfulness(Sample(flat(128, 128, 128)), Tools()) == pytest.approx(0)
    # All red: |R - G| = 1, |(R + G) / 2 - B| = .5, no spread: .3 · √1.25.
    assert colourfulness(Sample(flat(255, 0, 0)), Tools()) == pytest.approx(0.3 * 1.25**0.5)


def test_icebench_averages_tasks_and_not_pictures():
    def one(task, clip_cap, clip_src, l1, question=None):
        values = {"clip_cap": clip_cap, "clip_src": clip_src, "l1_raw": l1, "ssim": Undefined("x"), "colorfulness": 0.1}
        return Measured({**values, **({} if question is None else {"vllmqa": question})}, task)

    means = ICEBENCH.means(
        [
            one("Color Editing", 0.2, 0.9, 0.1, 1.0),
            one("Color Editing", 0.3, 0.9, 0.1, 0.0),
            one("Outpainting", 0.4, 0.8, 0.3),
            Measured({"clip_cap": 0.3}, "Text2Image"),
            Measured({"clip_cap": 0.2, "colorfulness": 0.4, "l1_colorize": 0.9}, "Image Colorize"),
        ]
    )
    assert means["clip_cap"].value == pytest.approx((0.25 + 0.4 + 0.3 + 0.2) / 4)
    # The question was not asked about the outpainted picture, so that its task has no prompt following.
    wanted = ((2 * 0.25 + 0.5) / 2 + 2 * 0.3 + (1.5 * 0.2 + 0.25 * 0.4)) / 3
    assert means["prompt_following"].value == pytest.approx(wanted)
    assert sum(means["prompt_following"].skipped.values()) == 1
    assert means["source_consistency"].value == pytest.approx(((0.9 + 0.9) / 2 + (0.8 + 0.7) / 2) / 2)
    assert means["ssim"].value is None and means["ssim"].skipped == {"x": 3}


def test_icebench_takes_of_a_task_what_it_has(tools):
    every = Tools(clip=tools.clip, language_model=Saying('{"answer": 1}'))
    pictures = {"source": noise(1), "references": (noise(3),), "target_caption": "word " * 90}

    def keys(task):
        return set(ICEBENCH.measure(Sample(noise(2), **pictures, task=task), every))

    assert keys("Text2Image") == {"clip_cap"} and keys("Image Deblur") == {"ssim"}
    assert keys("Style Reference Generation") == {"clip_cap", "clip_ref"}
    assert keys("Image Colorize") == {"clip_cap", "l1_colorize", "colorfulness"}
    assert keys("Color Editing") == keys("Virtual Try On") == {"clip_cap", "clip_src", "l1_raw", "vllmqa"}
    value = ICEBENCH.measure(Sample(noise(2), **pictures, task="Text2Image"), every)["clip_cap"]
    assert isinstance(value, float), "a long caption is cut, as by the script"
    assert not isinstance(find_profile("ip2p").measure(Sample(noise(2), **pictures), every)["caption"], Undefined)
    assert isinstance(find_profile("emu").measure(Sample(noise(2), **pictures), every)["clip_out"], Undefined)


def test_icebench_compares_drawings_by_hand():
    """A grey of 100 where 151 was: 51 of 255 levels; a white square on black has edges where its border is."""
    assert grey_similarity(Sample(flat(151, 151, 151), flat(100, 100, 100)), Tools()) == pytest.approx(0.8)
    pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    square = flat(0, 0, 0)
    square.paste((255, 255, 255), (10, 10, 30, 20))
    nothing = edge_similarity(Sample(flat(0, 0, 0), flat(0, 0, 0)), Tools())
    border = edge_similarity(Sample(square, flat(0, 0, 0)), Tools())
    assert nothing == 1.0 and 1 - border == pytest.approx(2 * (20 + 10) / 1200, rel=0.25)


class Saying:
    model, address, parallel = "eyes", None, 1

    def __init__(self, text):
        self.text, self.asked = text, []

    def ask(self, request):
        self.asked.append(request)
        return Answer(self.text)


@pytest.mark.parametrize(
    ("said", "value"), [('{"answer": 1}', 1.0), ('{"answer": 0}', 0.0), ('{"answer": true}', None)]
)
def test_icebench_asks_a_model(said, value):
    eyes = Saying(said)
    mask = Image.new("L", (40, 30))
    words = "make {image} as red as {image1}"
    sample = Sample(noise(1), noise(2), mask=mask, instruction=words, references=(noise(3), noise(4)))
    found = question_answered(sample, Tools(language_model=eyes))
    assert found == value or (value is None and isinstance(found, Undefined))
    assert len(eyes.asked[0].images) == 4 and "make Image 1 as red as Image 4" in eyes.asked[0].parts[-1]
    assert "Image 3 is a mask" in eyes.asked[0].parts[-1] and "Image 4 is a reference" in eyes.asked[0].parts[-1]


class Reading:
    name = "stub"

    def read(self, line):
        return "ACE" if np.asarray(line).mean() > 20 else ""


def test_letters_count_by_line():
    pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    mask = Image.new("L", (40, 30))
    mask.paste(255, (2, 2, 38, 12))
    nowhere = Image.new("L", (40, 30))
    profile = find_profile("anytext")
    lines = (("ACE", mask), ("ACF", mask), ("ACE", nowhere))
    values = profile.measure(Sample(flat(200, 200, 200), lines=lines), Tools(ocr=Reading()))
    assert values["accuracy"] == Several((1.0, 0.0, 0.0))
    assert values["ned"].values == (1.0, pytest.approx(2 / 3, abs=1e-4), pytest.approx(0, abs=1e-4))
    assert isinstance(profile.measure(Sample(flat(1, 1, 1)), Tools(ocr=Reading()))["ned"], Undefined)


class Faces:
    name = "stub"

    def embeddings(self, image):
        red = image.getpixel((0, 0))[0]
        return [] if red == 0 else [np.array([red, 255 - red], dtype=float)]


def test_faces_that_are_not_found_are_counted():
    profile = find_profile("face")
    pictures = [(flat(255, 0, 0), flat(255, 0, 0)), (flat(255, 0, 0), flat(0, 0, 0)), (flat(0, 0, 0), flat(255, 0, 0))]
    measured = [Measured(profile.measure(Sample(after, before), Tools(faces=Faces()))) for before, after in pictures]
    means = profile.means(measured)
    assert means["cosine"].value == pytest.approx(1) and means["similarity"].value == pytest.approx(100)
    assert means["effective"].value == 1 and sum(means["cosine"].skipped.values()) == 2


def test_every_profile_says_what_decides_its_numbers():
    assert set(PROFILES) == {"magicbrush", "emu", "ip2p", "icebench", "anytext", "face"}
    for profile in PROFILES.values():
        assert all((profile.title, profile.encoders, profile.preprocessing, profile.reference, profile.aggregation))
    with pytest.raises(EvaluationError, match="anytext, face"):
        find_profile("fid")
