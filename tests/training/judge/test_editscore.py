"""EditScore behind a package that only looks like it: what it is shown, how its answers count, and how it is loaded."""

from __future__ import annotations

import sys

import pytest
from comfyui_ace.training.judge import editscore
from comfyui_ace.training.judge.editscore import EditScoreJudge, load_editscore
from comfyui_ace.training.judge.prompts import PairPictures
from comfyui_ace.training.judge.scores import Marks
from comfyui_ace.training.vision_language.errors import ModelError
from PIL import Image

PACKAGE = """
import sys
sys.path.insert(0, "editscore")

class EditScore:
    def __init__(self, **given):
        if given["model_name_or_path"] == "broken":
            raise OSError("no config.json")
        self.given = given
"""


class Model:
    """The two methods of the package's models; answers come in order."""

    def __init__(self, *answers):
        self.answers, self.shown, self.seeds = list(answers), [], []

    def prepare_input(self, images, text_prompt=""):
        self.shown.append((images, text_prompt))
        return len(self.shown)

    def inference(self, inputs, seed=None):
        self.seeds.append(seed)
        return self.answers.pop(0)


class Scorer:
    SC_prompt, PQ_prompt, score_range, seed = "Was this done: <instruction>", "How does it look?", 25, 42

    def __init__(self, *answers):
        self.model = Model(*answers)


def said(*marks):
    return f'{{"reasoning": "seen", "score": {list(marks)}}}'


def pair(source=True, size=(64, 48)):
    return PairPictures(
        Image.new("RGB", size, "red") if source else None, Image.new("RGB", size, "blue"), "make it blue"
    )


def test_marks_of_25_become_marks_of_10():
    scorer = Scorer(said(25, 20), said(15, 5))
    judgement = EditScoreJudge(scorer).judge(pair(size=(2000, 1000)))
    assert judgement.passes == (Marks((10.0, 8.0), (6.0, 2.0)),) and judgement.overall == 4.0
    assert (judgement.semantic_reasoning, judgement.quality_reasoning) == ("seen", "seen")
    (both, words), (alone, look) = scorer.model.shown
    assert [image.getpixel((0, 0)) for image in both] == [(255, 0, 0), (0, 0, 255)] and words.endswith("make it blue")
    assert alone.getpixel((0, 0)) == (0, 0, 255) and look == Scorer.PQ_prompt, "the result by itself"
    assert both[0].size == alone.size == (1024, 512), "large pictures do not fit its context"


def test_passes_have_seeds_of_their_own_and_are_averaged():
    scorer = Scorer(said(25, 25), said(25, 25), said(10, 10), said(10, 10))
    judgement = EditScoreJudge(scorer, passes=2).judge(pair())
    assert judgement.overall == 7.0 and scorer.model.seeds == [42, 42, 43, 43]


@pytest.mark.parametrize(
    "bad", ["I'm sorry, but I can't assist with that request.", said(26, 3), said(9), said(9, 9, 9), '{"score": [9, ']
)
def test_what_it_says_badly_is_drawn_once_more_and_then_unscored(bad):
    judge = EditScoreJudge(Scorer(bad, said(25, 20), said(25, 25)))
    assert judge.judge(pair()).sc == 8.0 and judge.repeated == 1
    scorer = Scorer(said(25, 25), bad, bad)
    judgement = EditScoreJudge(scorer).judge(pair())
    assert not judgement.scored and judgement.overall is None, "neither the middle of the scale nor a number by lot"
    assert scorer.model.seeds == [42, 42, 1042]


def test_exchanged_pictures_are_asked_about_too():
    scorer = Scorer(said(25, 25), said(25, 25), said(0, 5))
    assert EditScoreJudge(scorer).judge(pair(), swap=True).swapped == (0.0, 2.0)
    assert scorer.model.shown[-1][0][0].getpixel((0, 0)) == (0, 0, 255)


def test_a_picture_from_words_alone_is_not_for_it():
    with pytest.raises(ModelError, match="has none"):
        EditScoreJudge(Scorer()).judge(pair(source=False))


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "editscore").mkdir()
    (tmp_path / "editscore" / "__init__.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("editscore", None)


def test_it_is_loaded_from_a_folder_and_leaves_the_path_alone(package):
    before = list(sys.path)
    given = load_editscore("/models/4b", lora="/models/lora").given
    assert sys.path == before
    assert (given["backbone"], given["model_name_or_path"], given["lora_path"]) == (
        "qwen3vl",
        "/models/4b",
        "/models/lora",
    )
    assert given["score_range"] == 25 and given["max_model_len"] >= 8192
    with pytest.raises(ModelError, match=r"cannot load 'broken': no config\.json"):
        load_editscore("broken")
    with pytest.raises(ModelError, match="runs on qwen3vl"):
        load_editscore("/models/4b", backbone="openai")


def test_without_the_package_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(editscore, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="-m pip install editscore"):
        load_editscore("/models/4b")
